"""Rule checker for Intel FPGA OpenCL: what the emulator accepts and the compiler refuses."""

from shiftforge.generator.rules.check import check_rules
from shiftforge.generator.rules.exceptions import RuleException
from shiftforge.generator.rules.registry import RULES, Rule, RuleViolation
from shiftforge.generator.rules.sdk import SdkVersion

__all__ = ["RULES", "Rule", "RuleException", "RuleViolation", "SdkVersion", "check_rules"]
