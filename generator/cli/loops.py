"""``shiftforge loops``: a project's loop table, and a compiler's report held against it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.command import CheckedCommand
from shiftforge.cli.options import edited_option, json_option
from shiftforge.errors import Problem

if TYPE_CHECKING:
    from shiftforge.generator.reports.compare import Comparison
    from shiftforge.generator.reports.figures import Figure
    from shiftforge.generator.reports.ours import OurLoop, Ours
    from shiftforge.generator.reports.types import AocLoop, AocReport

__all__ = ["command"]

_COLUMNS = ("kernel", "loop", "trip count", "II", "limit")
_NAMED = 5


def _places(folder: Path, **values: Any) -> list[Problem]:
    from shiftforge.errors import Problems
    from shiftforge.generator.project import open_project

    problems = Problems()
    problems.check(open_project, folder)
    return problems


@click.command(
    "loops",
    cls=CheckedCommand,
    places=_places,
    short_help="Print a project's loop table, or hold a report of aoc against it.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--aoc",
    "report",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Your compiler's reports/lib/report_data.js, its reports folder, or lib/json/loops.json.",
)
@edited_option
@json_option
def command(folder: Path, report: Path | None, edited: bool, as_json: bool) -> None:
    """Print the loops of the project in DIR: trip count, initiation interval (II) and its limit.

    With --aoc, read the report that `make report` gave (aoc 16.x to 22.4) and name every difference
    in loops, II, latency and area. Exit code 1 where the report refuses or slows a loop that the
    table has better.
    """
    from shiftforge.cli.output import print_json
    from shiftforge.errors import CheckFailed, Problems
    from shiftforge.generator.reports.compare import compare_report
    from shiftforge.generator.reports.read import find_report, read_report

    problems = Problems()
    ours = problems.check(_ours, folder, edited)
    found = problems.check(read_report, report) if report is not None else None
    problems.stop()
    assert ours is not None  # told by stop
    if found is None or report is None:
        if as_json:
            print_json({"project": folder, "loops": ours.rows})
        else:
            _print_table(str(folder), ours.loops)
        return
    comparison = compare_report(ours, found, str(find_report(report)))
    if as_json:
        print_json({"project": folder, "loops": ours.rows, **_document(found, comparison)})
    else:
        _print(found, comparison, str(find_report(report)))
    if comparison.contradicts:
        raise CheckFailed(_verdict(comparison))


def _ours(folder: Path, edited: bool) -> Ours:
    from shiftforge.cli.output import warn
    from shiftforge.errors import InputError
    from shiftforge.generator.manifest import edited_files
    from shiftforge.generator.project import open_project
    from shiftforge.generator.reports.ours import read_ours

    project = open_project(folder)
    problems = edited_files(project.folder, project.manifest)
    if problems and not edited:
        raise InputError(problems)
    for problem in problems:
        warn(f"{problem.where}: {problem.what}")
    return read_ours(folder)


def _print_table(title: str, loops: Iterable[OurLoop]) -> None:
    from shiftforge.cli.output import print_table

    print_table(title, _COLUMNS, [_own(loop) for loop in loops])


def _own(loop: OurLoop | None) -> tuple[object, ...]:
    if loop is None:
        return ("", "", "", "", "")
    trips = loop.trip_count
    count = f"{trips:,}" if isinstance(trips, int) else trips
    return (loop.kernel, loop.loop, count, loop.interval, loop.limit)


def _print(report: AocReport, comparison: Comparison, where: str) -> None:
    from shiftforge.cli.output import print_table
    from shiftforge.generator.reports.figures import RESOURCES

    rows = []
    for row in comparison.rows:
        own, aoc = _own(row.ours), row.aoc
        if row.ours is None and aoc is not None:
            own = (aoc.kernel, aoc.title, "", "", "")
        rows.append((*own, "-" if aoc is None else _state(aoc), row.verdict))
    title = f"{where}: {_about(report)}"
    print_table(title, (*_COLUMNS, "aoc", ""), rows)
    if comparison.latencies:
        cycles = [(one.of, _number(one.report), _number(one.plan)) for one in comparison.latencies]
        print_table("Latency in cycles", ("of", "aoc", "plan"), cycles)
    if comparison.area:
        title = "Area: aoc's estimate, the plan's in brackets"
        print_table(title, ("of", *RESOURCES), _areas(comparison.area))
    if comparison.differences:
        told = [
            (d.kernel, d.loop, d.what, "WORSE" if d.worse else "") for d in (comparison.differences)
        ]
        print_table("Differences", ("of", "loop", "", ""), told)


def _state(loop: AocLoop) -> str:
    from shiftforge.generator.reports.types import Kind

    if loop.kind is not Kind.ROLLED:
        return str(loop.kind.value)
    return "not pipelined" if loop.pipelined is False else loop.interval


def _areas(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    """A row for each kernel, with a cell for each resource."""
    rows: dict[str, list[str]] = {}
    for one in figures:
        plan = "" if one.plan is None else f" ({_number(one.plan)})"
        rows.setdefault(one.of, []).append(f"{_number(one.report)}{plan}")
    return [(of, *cells) for of, cells in rows.items()]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"


def _about(report: AocReport) -> str:
    version = f"aoc {report.version}" if report.version else f"format {report.form.value}"
    return f"{version}, {report.device}" if report.device else version


def _document(report: AocReport, comparison: Comparison) -> dict[str, Any]:
    return {
        "report": {
            "format": report.form.name,
            "version": report.version,
            "device": report.device,
            "loops": [
                {
                    "kernel": loop.kernel,
                    "loop": loop.title,
                    "block": loop.name,
                    "kind": loop.kind.value,
                    "pipelined": loop.pipelined,
                    "ii": loop.ii,
                    "ii_text": loop.interval,
                    "latency": loop.latency,
                    "reason": loop.reason,
                }
                for loop in report.loops
            ],
        },
        "latencies": comparison.latencies,
        "area": comparison.area,
        "differences": comparison.differences,
        "contradicts": comparison.contradicts,
    }


def _verdict(comparison: Comparison) -> str:
    worse = [one for one in comparison.differences if one.worse]
    told = "; ".join(f"{d.kernel} {d.loop} {d.what}" for d in worse[:_NAMED])
    more = f"; and {len(worse) - _NAMED} more" if len(worse) > _NAMED else ""
    return f"the report contradicts the loop table: {told}{more}"
