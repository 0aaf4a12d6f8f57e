"""Network and board to design, the same way for every target: plan, fit, emit, rules."""

from __future__ import annotations

from typing import Any

from shiftforge.boards.types import Board
from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.board_fit import fit_problems
from shiftforge.generator.design import Design
from shiftforge.generator.rules import check_rules
from shiftforge.generator.target import Target

__all__ = ["build", "check_device_text"]

_TEXT = ".cl"


def build(target: Target[Any, Any, Any], network: Any, board: Board, options: Any) -> Design:
    """The design of a network for a board; nothing is written.

    Raises InputError where the network or the options do not suit the target, and for a board that
    is too small; CheckFailed where device text breaks a rule of Intel's compiler.
    """
    plan = target.plan(network, board, options)
    problems = fit_problems(target.estimate(plan))
    if problems:
        raise InputError(problems)
    design = target.emit(plan)
    check_device_text(design)
    manifest = {**design.manifest, "schema": 1, "kind": target.kind}
    report = {"kind": target.kind, **design.report}
    finished = Design(design.files, report, manifest)
    return Design(finished.files, {**report, "digest": finished.digest}, manifest)


def check_device_text(design: Design) -> None:
    """Refuse text that Intel's compiler would refuse; the emulator accepts some of it."""
    broken = [
        violation
        for name in sorted(design.files)
        if name.endswith(_TEXT)
        for violation in check_rules(design.files[name].decode("utf-8"), source_name=name)
        if violation.severity == "error"
    ]
    if broken:
        raise CheckFailed("\n".join(str(violation) for violation in broken))
