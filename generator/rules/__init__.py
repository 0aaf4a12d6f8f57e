"""Rule checker for Intel FPGA OpenCL: what the emulator accepts and the compiler refuses."""

from shiftforge.generator.rules.check import check_rules
from shiftforge.generator.rules.registry import RULES, Rule, RuleViolation

__all__ = ["RULES", "Rule", "RuleViolation", "check_rules"]
