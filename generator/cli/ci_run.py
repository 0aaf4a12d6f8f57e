"""``shiftforge ci run``: every check of a suite, with JUnit for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.command import CheckedCommand
from shiftforge.cli.options import json_option, time_limit_option
from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed

if TYPE_CHECKING:
    from shiftforge.sim.ci.check import Check

__all__ = ["command"]

_SHOWN = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "refused": "ERROR",
          "broken": "ERROR"}  # fmt: skip


def _early(junit: Path | None, require: tuple[str, ...], **values: Any) -> list[Problem]:
    from shiftforge.cli.ci_init import required_problems
    from shiftforge.cli.cosim_results import Wanted

    return [*Wanted(junit=junit).problems(), *required_problems(require or ())]


@click.command("run", cls=CheckedCommand, early=_early, short_help="Run a regression suite.")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--junit",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write JUnit XML: a case for each check.",
)
@click.option(
    "--require",
    multiple=True,
    metavar="NAME",
    help="A device, or rtl, that has to be usable here; it is skipped else (repeatable).",
)
@time_limit_option()
@json_option
def command(
    folder: Path, junit: Path | None, require: tuple[str, ...], time_limit: float, as_json: bool
) -> None:
    """Run the suite in FOLDER (made by `ci init`): nothing of the design may have changed.

    Every check runs, whatever the others found: version, files, digest, model, board and options of
    the design, the reference against the goldens, every usable device and, of a text classifier,
    the RTL. Exit code 1 when one fails; 2 when something cannot be read or a required device is not
    usable, 3 when a tool fails, where no check failed.
    """
    import time

    from shiftforge.atomic import write_file
    from shiftforge.cli.output import note, print_json, print_table, progress
    from shiftforge.sim.ci.check import junit_suite
    from shiftforge.sim.ci.run import Asked, run_suite
    from shiftforge.sim.ci.suite import read_suite
    from shiftforge.sim.junit import junit_xml

    started = time.monotonic()
    suite = read_suite(folder)
    found: list[Check] = []
    with progress() as advance:
        found += run_suite(suite, folder, Asked(frozenset(require), time_limit, advance))
    if junit is not None:
        seconds = time.monotonic() - started
        name = f"{folder.resolve().name}.{suite.kind}"
        write_file(junit, junit_xml([junit_suite(name, found, seconds)]))
    wrong = [check for check in found if check.problems]
    if as_json:
        checks = [check.to_dict() for check in found]
        print_json({"passed": not wrong, "suite": folder, "checks": checks})
    else:
        rows = [(c.name, _SHOWN[c.state], c.detail or _first(c)) for c in found]
        print_table(str(folder), ("check", "", ""), rows)
    if not any(c.state == "passed" and c.name.startswith("device ") for c in found) and not wrong:
        note("warning: no device was usable: nothing ran but the reference")
    _end(wrong)


def _first(check: Check) -> str:
    """What is wrong in short; all of it follows on stderr."""
    if not check.problems:
        return ""
    first, more = check.problems[0], len(check.problems) - 1
    place = f"{first.where}: " if first.where else ""
    return f"{place}{first.what}" + (f" (and {more:,} more)" if more else "")


def _end(wrong: list[Check]) -> None:
    """Tell what is wrong by the exception that the command line ends with."""
    if not wrong:
        return
    states = {check.state for check in wrong}
    text = "\n".join(f"{check.name}: {check.text}" for check in wrong)
    if "failed" in states:
        raise CheckFailed(text)
    if "refused" in states:
        raise InputError(problem for check in wrong for problem in check.problems)
    raise ToolFailed(text)
