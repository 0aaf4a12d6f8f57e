"""The rule checker's front door."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from shiftforge.generator.rules.attributes import check_attributes
from shiftforge.generator.rules.calls import reach
from shiftforge.generator.rules.channels import check_channels
from shiftforge.generator.rules.exceptions import RuleException, apply_exceptions
from shiftforge.generator.rules.kernels import check_kernels
from shiftforge.generator.rules.language import check_language
from shiftforge.generator.rules.loops import check_loops
from shiftforge.generator.rules.parse import parse_program
from shiftforge.generator.rules.pipeline.check import Proofs, check_pipelining
from shiftforge.generator.rules.pipeline.walked import walk_text
from shiftforge.generator.rules.preprocess import preprocess
from shiftforge.generator.rules.registry import RuleViolation, violation
from shiftforge.generator.rules.sdk import SdkVersion, check_sdk
from shiftforge.generator.rules.statements import ParseError
from shiftforge.generator.rules.syntax import Program

__all__ = ["check_rules"]

_NO_DEFINES: Mapping[str, str] = {}


def check_rules(
    text: str,
    *,
    source_name: str,
    defines: Mapping[str, str] = _NO_DEFINES,
    pipelining: bool = False,
    proofs: Proofs | None = None,
    exceptions: Sequence[RuleException] = (),
    sdk: SdkVersion | None = None,
) -> list[RuleViolation]:
    """Check OpenCL C for Intel's FPGA compiler against every rule of ``RULES``.

    text: one file with its includes put in; it need not be preprocessed.
    source_name: the file's name, for the messages.
    defines: what ``-D`` options say (name -> text), so that the branch checked is the one built.
    pipelining: check the rules of the group "pipelining", too; with them proofs, the distances in
    iterations that the planner proved by name (None: the promises only have to name one), and
    exceptions, the violations of that group that are listed: one that does not occur is reported.
    sdk: check the rules of the group "sdk" for this edition and version.
    Returns the violations by line; none for a program that keeps all rules. Text that cannot be
    read gives a ``readable-text`` violation, as nothing is known of what it hides.
    """
    found = dict.fromkeys(_violations(text, defines, sdk))
    if pipelining:
        found |= dict.fromkeys(apply_exceptions(_pipelining(text, defines, proofs), exceptions))
    return sorted(
        (dataclasses.replace(v, source_name=source_name) for v in found),
        key=lambda v: (v.line, v.rule, v.kernel, v.message),
    )


def _pipelining(
    text: str, defines: Mapping[str, str], proofs: Proofs | None
) -> Iterator[RuleViolation]:
    try:
        yield from check_pipelining(walk_text(text, defines), proofs)
    except ParseError as error:
        yield violation(
            "readable-text", "", error.line, error.message, "correct the text at this line"
        )


def _violations(
    text: str, defines: Mapping[str, str], sdk: SdkVersion | None
) -> Iterator[RuleViolation]:
    prepared = preprocess(text, defines)
    for fault in prepared.faults:
        yield violation(
            "readable-text",
            "",
            fault.line,
            fault.message,
            "give the checker the whole text as the compiler reads it",
        )
    try:
        program = parse_program(prepared.tokens, prepared.comments)
        yield from _rules(program, sdk)
    except ParseError as error:
        yield violation(
            "readable-text", "", error.line, error.message, "correct the text at this line"
        )


def _rules(program: Program, sdk: SdkVersion | None) -> Iterator[RuleViolation]:
    calls = {kernel.name: reach(program, kernel) for kernel in program.kernels}
    yield from check_channels(program, calls)
    yield from check_kernels(program, calls)
    yield from check_loops(program, calls)
    yield from check_attributes(program)
    yield from check_language(program, calls)
    if sdk is not None:
        yield from check_sdk(program, sdk)
