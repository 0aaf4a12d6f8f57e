"""The command line: ``shiftforge COMMAND``; one module a command.

Exit codes: 0 done, 1 a check failed, 2 bad input or a system that refuses (every problem is
listed), 3 a tool failed (an OpenCL runtime, Verilator, a compiler: nothing is known of the check),
4 a fault of shiftforge itself, 130 interrupted (128 and the number of another signal).
Commands import what they run when they run, so that ``--help`` needs neither torch nor OpenCL.
"""

from __future__ import annotations

import io
import os
import resource
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

import shiftforge
from shiftforge import signals
from shiftforge.cli import (
    boards,
    cache,
    check,
    ci,
    compare,
    cosim,
    doctor,
    emulate,
    evaluate,
    explore,
    generate,
    loops,
    quantize,
    report,
    route,
    train,
    unit,
)
from shiftforge.cli.examples import add_examples
from shiftforge.cli.output import (
    ReaderLeftError,
    begin_document,
    document_printed,
    note,
    print_json,
    print_problems,
    unwritten,
)
from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.faults import TRACEBACK, fault_text, refusal_of, traceback_wanted

__all__ = ["cli", "run"]

_NEEDS = {  # libraries that do not fail with less memory, they end the process
    **dict.fromkeys(("check", "quantize", "train"), ("torch", 768 << 20)),
    **dict.fromkeys(
        ("generate", "explore", "emulate", "evaluate", "compare", "cosim", "unit", "report", "ci"),
        ("numpy", 192 << 20),
    ),
}


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a check failed, 2 bad input or a system that refuses, 3 a tool "
    "failed, 4 a fault of shiftforge itself, 130 interrupted.",
)
@click.version_option(shiftforge.__version__, prog_name="shiftforge")
def cli() -> None:
    """From a PyTorch network to checked FPGA hardware without multipliers.

    The usual order: check, quantize, generate, emulate.
    """
    try:
        os.getcwd()
    except OSError as error:  # libraries end the process where it was deleted
        what, remedy = "the current folder no longer exists", "cd to one that does"
        raise InputError(Problem(what, remedy)) from error
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    library, least = _NEEDS.get(click.get_current_context().invoked_subcommand or "", ("", 0))
    if limit != resource.RLIM_INFINITY and limit < least:
        what = f"memory is limited to {limit >> 20:,} MiB (ulimit -v)"
        remedy = f"raise the limit: {library} needs {least >> 20:,} MiB to begin"
        raise InputError(Problem(what, remedy))


for _module in (
    doctor,
    boards,
    check,
    quantize,
    train,
    generate,
    explore,
    loops,
    emulate,
    evaluate,
    compare,
    cosim,
    ci,
    unit,
    route,
    cache,
    report,
):
    cli.add_command(_module.command)
add_examples(cli)


@dataclass(frozen=True)
class _End:
    """How a command line ended: its exit code, lines for stderr, and what went wrong for JSON."""

    code: int
    lines: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; prints what a user must know."""
    begin_document()
    try:
        code = cli.main(list(arguments), prog_name="shiftforge", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except BaseException as error:
        end = _end_of(error)
    for line in end.lines:
        note(line)
    try:
        as_json = "--json" in arguments
        if end.problems and end.code == 2 and not end.lines:
            print_problems(end.problems, as_json=as_json and not document_printed())
        elif end.problems and as_json and not document_printed():
            print_json({"error": end.problems})
    except (ReaderLeftError, InputError):
        pass  # the lines have told it
    return end.code


def _end_of(error: BaseException) -> _End:
    if signals.received():  # whatever became of the exception that the signal raised
        number = signals.received()
        return _End(128 + number, (signals.stop_text(number),))
    if isinstance(error, click.Abort) and isinstance(error.__cause__, EOFError):
        error = error.__cause__  # click takes every end of a file for that of the terminal
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _End(130, ("interrupted",))
    if isinstance(error, ReaderLeftError):
        return _End(0)
    if isinstance(error, SystemExit):
        # What click puts there before it ends: its reader has left.
        left = type(sys.stdout).__name__.endswith("PacifyFlushWrapper")
        return _End(0 if left else _status(error))
    if isinstance(error, CheckFailed):
        return _failed("check failed", error, 1)
    if isinstance(error, ToolFailed):
        return _failed("tool failed", error, 3)
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError) and (lost := unwritten(error)) is not None:
        return _End(2, (), (lost,))
    problems = refusal_of(error)
    if problems is not None:
        _show_traceback(error, isinstance(error, InputError))
        return _End(2, (), problems)
    _show_traceback(error)
    return _fault(error)


def _status(error: SystemExit) -> int:
    return error.code if isinstance(error.code, int) else 0 if error.code is None else 1


def _failed(what: str, error: Exception, code: int) -> _End:
    return _End(code, (f"{what}: {error}",), (Problem(str(error)),))


def _usage(error: click.ClickException) -> _End:
    shown = io.StringIO()
    error.show(file=shown)
    context = error.ctx if isinstance(error, click.UsageError) else None
    remedy = f"see {context.command_path if context else 'shiftforge'} --help"
    return _End(2, tuple(shown.getvalue().splitlines()), (Problem(error.format_message(), remedy),))


def _fault(error: BaseException) -> _End:
    what = f"a fault of shiftforge itself: {fault_text(error)}"
    remedy = f"please report it with the command line and what {TRACEBACK}=1 shows"
    return _End(4, (what, f"       {remedy}"), (Problem(what, remedy),))


def _show_traceback(error: BaseException, known: bool = False) -> None:
    if traceback_wanted() and not known:
        note("".join(traceback.format_exception(error)).rstrip())
