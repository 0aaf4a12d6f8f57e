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
_NESTS = (
    _PRACTICE + "3.4.3 Nested Loops; " + _STANDARD + "2.8.4 Nested Loops; "
    "public compiler reports (17.x refused 38 of 45 outer loops whose inner trip count changes)"
)
_FORM = _PRACTICE + "6.2 Good Design Practices for Single Work-Item Kernel, well-formed loops"
_DATA = _PRACTICE + "6.1 Addressing Single Work-Item Kernel Dependencies Based on Report Feedback"
_PORTS = _PRACTICE + "8.4 Local Memory, ports, replication and arbitration"
_BANKS = _PRACTICE + "8.4.1 Geometric Configuration of Local Memory Banks; " + _MEMORY
_ALIGN = _PRACTICE + "8 Improving Memory Access Efficiency, aligned contiguous access"
_EXIT = (
    _PRACTICE + "6.2; "
    "public compiler reports (16.1: unresolvable exit condition where a channel decides)"
)
_ONE_SITE = _CHANNELS
_ORDER = _GUIDE + "5.4.5.9 Enforcing Execution Order of Channels Calls with mem_fence"
_SDK = (
    "Intel FPGA SDK for OpenCL Programming Guides, Standard Edition (683342, version 18.1) "
    "12.2 and Pro Edition (683846, version 22.4) 11.2; see LISTED"
)
_OPENCL = "The OpenCL Specification, version 1.2, "
_PROJECT = "ShiftForge, docs/ARCHITECTURE.md"

Severity = Literal["error", "advice"]
Group = Literal["text", "pipelining", "sdk"]


@dataclass(frozen=True)
class Rule:
    """id: stable name. source: the document and section. severity: advice costs only speed.

    group: "text" is checked always; "pipelining" and "sdk" where a caller asks for them.
    """

    id: str
    title: str
    source: str
    severity: Severity = "error"
    group: Group = "text"


@dataclass(frozen=True)
class RuleViolation:
    """A place in the text that breaks a rule.

    kernel: the kernel concerned ("" for file scope). line: counted from 1 in the text checked.
    subject: the array, channel or function concerned, by which exceptions are listed.
    """

    rule: str
    kernel: str
    line: int
    message: str
    remedy: str
    severity: Severity = "error"
    source_name: str = ""
    subject: str = ""

    def __str__(self) -> str:
        place = f"{self.source_name}:{self.line}"
        kernel = f" kernel {self.kernel}:" if self.kernel else ""
        return f"{place}:{kernel} {self.message} -> {self.remedy} [{self.rule}]"


def _pipelining(rule: str, title: str, source: str) -> Rule:
    return Rule(rule, title, source, group="pipelining")


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
    _pipelining("loop-nested", "Inside the one loop of a layer there is no rolled loop", _NESTS),
    _pipelining("loop-trip", "A trip count is known where its loop is entered", _FORM),
    _pipelining("loop-interval", "No pragma asks for less than an iteration a clock", _LOOPS),
    _pipelining("recurrence-load", "No load lies in a recurrence", _DATA),
    _pipelining(
        "recurrence-multiply",
        "No multiplication, division or floating-point sum lies in a recurrence",
        _DATA,
    ),
    _pipelining("memory-promise", "A promise covers what is loaded and stored in a loop", _IVDEP),
    _pipelining("promise-proof", "Each promise names its proof, and the proof holds", _IVDEP),
    _pipelining("memory-store-site", "A memory has one store site in a loop", _PORTS),
    _pipelining("memory-load-site", "A memory has one load site in a loop", _PORTS),
    _pipelining("memory-width", "The word of an on-chip memory is a power of two", _BANKS),
    _pipelining("global-beat", "Global memory is accessed in aligned beats of 2^n bytes", _ALIGN),
    _pipelining("exit-channel", "No channel decides when a loop ends", _EXIT),
    _pipelining("channel-site", "A loop has one site for each end of a channel", _ONE_SITE),
    _pipelining("channel-order", "Calls on different channels are ordered", _ORDER),
    _pipelining("exception-unused", "Each listed exception occurs", _PROJECT),
    Rule("sdk-attribute", "The board's SDK lists each attribute", _SDK, group="sdk"),
    Rule("sdk-pragma", "The board's SDK lists each loop pragma", _SDK, group="sdk"),
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in _ALL})


def violation(
    rule: str, kernel: str, line: int, message: str, remedy: str, *, subject: str = ""
) -> RuleViolation:
    """A violation of a registered rule, with the rule's severity."""
    severity = RULES[rule].severity
    return RuleViolation(rule, kernel, line, message, remedy, severity, subject=subject)
