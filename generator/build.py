"""Network and board to design, the same way for every target: plan, fit, emit, rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from shiftforge.boards.figures import board_figures
from shiftforge.boards.types import Board
from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.board_fit import fit_problems
from shiftforge.generator.design import Design
from shiftforge.generator.rules import SdkVersion, check_rules
from shiftforge.generator.rules.pipeline import Target as Compiler
from shiftforge.generator.rules.pipeline import loop_table, to_json
from shiftforge.generator.target import Compares, Explains, Target

__all__ = ["LOOPS", "build", "check_device_text", "chosen_of", "finish"]

_TEXT = ".cl"
LOOPS = "loops.json"
"""The loop table of a project: kernel, loop, trip count, initiation interval, limit."""


def build(
    target: Target[Any, Any, Any], network: Any, board: Board, options: Any, *,
    compare: bool = False,
) -> Design:  # fmt: skip
    """The design of a network for a board; nothing is written.

    compare: the report holds "alternatives" and "why" where the target tells them, which takes
    plans of its own.

    Raises InputError where the network or the options do not suit the target, and for a board that
    is too small; CheckFailed where device text breaks a rule of Intel's compiler.
    """
    plan = target.plan(network, board, options)
    return finish(target, plan, board, options, compare=compare)


def finish(
    target: Target[Any, Any, Any], plan: Any, board: Board, options: Any, *, compare: bool = False
) -> Design:
    """The design of a plan that the target made for a board with options: see ``build``.

    Its manifest tells how to make it again: the options that differ from their defaults, and the
    board's figures. What a search chose is no option: the same search chooses it again.
    """
    problems = fit_problems(target.estimate(plan))
    if problems:
        raise InputError(problems)
    design = target.emit(plan)
    check_device_text(design, board)
    files = {**design.files, **_loops(design, board)}
    made = {"options": chosen_of(options), "board_figures": board_figures(board)}
    manifest = {**design.manifest, **made, "schema": 1, "kind": target.kind}
    report = {"kind": target.kind, **design.report}
    if compare and isinstance(target, Compares):
        report["alternatives"] = target.alternatives(plan)
    if compare and isinstance(target, Explains):
        report["why"] = target.explain(plan)
    finished = Design(files, report, manifest, design.rules)
    return replace(finished, report={**report, "digest": finished.digest})


def chosen_of(options: Any) -> dict[str, Any]:
    """The options that differ from their defaults, by name, in JSON's types."""
    chosen = {own.name: getattr(options, own.name) for own in fields(options)
              if getattr(options, own.name) != own.default}  # fmt: skip
    return {n: str(value) if isinstance(value, Path) else value for n, value in chosen.items()}


def check_device_text(design: Design, board: Board | None = None) -> None:
    """Refuse text that Intel's compiler would refuse, or not pipeline; the emulator accepts it.

    board: whose SDK has to list what the text says; None for any.
    """
    sdk = SdkVersion(board.sdk.edition, board.sdk.version) if board is not None else None
    own = design.rules
    broken = [
        violation
        for name, text in _texts(design)
        for violation in check_rules(
            text, source_name=name, pipelining=own.pipelining, proofs=own.proofs,
            exceptions=own.exceptions, sdk=sdk,
        )
        if violation.severity == "error"
    ]  # fmt: skip
    if broken:
        raise CheckFailed("\n".join(str(violation) for violation in broken))


def _texts(design: Design) -> Iterator[tuple[str, str]]:
    for name in sorted(design.files):
        if name.endswith(_TEXT):
            yield name, design.files[name].decode("utf-8")


def _loops(design: Design, board: Board) -> dict[str, bytes]:
    """The loop table of a design's device text, as the offline compiler's report would have it."""
    own = Compiler(board.sdk.version, board.family)
    found = [entry for _, text in _texts(design) for entry in loop_table(text, target=own)]
    return {LOOPS: to_json(found).encode()} if found else {}
