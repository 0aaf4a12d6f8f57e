"""The rules, each with the document it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["RULES", "Rule", "RuleViolation", "violation"]

_GUIDE = "Intel FPGA SDK for OpenCL Pro Edition: Programming Guide (683846, version 22.4), "
_PRACTICE = "Intel FPGA SDK for OpenCL Pro Edition: Best Practices Guide (683521, version 22.4), "
_STANDARD = (
    "Intel FPGA SDK for OpenCL Standard Edition: Best Practices Guide (683176, version 18.1), "
)
_CHANNELS = _GUIDE + "5.4.4 Restrictions in the Implementation of Channels"
_HANDLE = _GUIDE + "5.4.5.1 Declaring the Channel Handle"
_ENABLE = _GUIDE + "5.4.5 Enabling Channels for OpenCL Kernel"
_DEPTH = _GUIDE + "5.4.5.7 Implementing Buffered Channels Using the depth Channels Attribute"
_UNROLL = _GUIDE + "5.2.1 Unrolling a Loop (unroll Pragma)"
_NO_IDS = _GUIDE + "11.3.1.1 Omit Hardware that Generates and Dispatches Kernel IDs"
_AUTORUN = _GUIDE + "11.3.1.2 Omit Communication Hardware between the Host and the Kernel"
_MEMORY = _GUIDE + "Kernel Attributes for Configuring Local and Private Memory Systems"
_LANGUAGE = _GUIDE + "A.1.1 OpenCL 1.0 C Programming Language Implementation"
_ALIASING = _PRACTICE + "4 OpenCL Kernel Design Best Practices, Avoiding Pointer Aliasing"
_IVDEP = _PRACTICE + "6.1.5 Removing Loop-Carried Dependencies Caused by Accesses to Memory Arrays"
_LOOPS = _STANDARD + "5.3 Good Design Practices for Single Work-Item Kernel"
_OPENCL = "The OpenCL Specification, version 1.2, "
_PROJECT = "ShiftForge, docs/ARCHITECTURE.md"

Severity = Literal["error", "advice"]


@dataclass(frozen=True)
class Rule:
    """id: stable name. source: the document and section. severity: advice costs only speed."""

    id: str
    title: str
    source: str
    severity: Severity = "error"


@dataclass(frozen=True)
class RuleViolation:
    """A place in the text that breaks a rule.

    kernel: the kernel concerned ("" for file scope). line: counted from 1 in the text checked.
    """

    rule: str
    kernel: str
    line: int
    message: str
    remedy: str
    severity: Severity = "error"
    source_name: str = ""

    def __str__(self) -> str:
        place = f"{self.source_name}:{self.line}"
        kernel = f" kernel {self.kernel}:" if self.kernel else ""
        return f"{place}:{kernel} {self.message} -> {self.remedy} [{self.rule}]"


_ALL = (
    Rule("readable-text", "The text can be read in full", _PROJECT),
    Rule("channel-extension", "The extension is enabled before channels are used", _ENABLE),
    Rule("channel-file-scope", "Channels are declared at file scope", _HANDLE),
    Rule("channel-pointer", "There are no pointers to channels", _HANDLE),
    Rule("channel-operand", "A channel is named directly in each channel call", _HANDLE),
    Rule("channel-one-writer", "One kernel writes a channel", _CHANNELS),
    Rule("channel-one-reader", "One kernel reads a channel", _CHANNELS),
    Rule("channel-connected", "Each channel has a writer and a reader", _PROJECT),
    Rule("channel-direction", "No kernel both reads and writes a channel", _CHANNELS),
    Rule("channel-index", "Indices into channel arrays are constant and in range", _CHANNELS),
    Rule("channel-unrolled", "An unrolled loop does not copy a channel call", _CHANNELS),
    Rule("channel-depth", "The depth of a channel is a constant integer, 0 or more", _DEPTH),
    Rule("channel-word", "A channel word has at most 1,024 bytes", _PROJECT, "advice"),
    Rule("work-item-function", "Single work-item kernels ask for no work-item id", _NO_IDS),
    Rule("single-work-item", "Single work-item kernels say max_global_work_dim(0)", _NO_IDS),
    Rule("autorun-arguments", "An autorun kernel has no arguments", _AUTORUN),
    Rule("autorun-endless", "An autorun kernel ends in while (1)", _PROJECT),
    Rule("autorun-global-memory", "An autorun kernel has no global pointers", _AUTORUN),
    Rule("autorun-io-channel", "An autorun kernel uses no I/O channel", _AUTORUN),
    Rule("pointer-restrict", "Each pointer argument of a kernel is restrict", _ALIASING),
    Rule("local-in-kernel", "__local memory is declared inside a kernel", _OPENCL + "6.5.2"),
    Rule("attribute-name", "Attributes are ones that the compiler knows", _MEMORY),
    Rule("attribute-value", "Attribute values are legal", _MEMORY),
    Rule("unroll-bounds", "Unrolled loops have compile-time bounds", _UNROLL),
    Rule("ivdep-proof", "ivdep has its proof in a comment beside it", _IVDEP),
    Rule("loop-form", "Loops compare with an integer and step by one", _LOOPS, "advice"),
    Rule("no-recursion", "No function calls itself", _OPENCL + "6.9 Restrictions"),
    Rule("no-allocation", "There is no dynamic allocation", _OPENCL + "6.9 Restrictions"),
    Rule("no-printf", "There is no printf", _PROJECT),
    Rule("no-double", "There is no double precision", _LANGUAGE),
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in _ALL})


def violation(rule: str, kernel: str, line: int, message: str, remedy: str) -> RuleViolation:
    """A violation of a registered rule, with the rule's severity."""
    return RuleViolation(rule, kernel, line, message, remedy, RULES[rule].severity)
