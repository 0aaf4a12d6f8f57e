"""Runs of ``shiftforge unit`` with several seeds: each one's report, and all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from shiftforge.errors import CheckFailed

if TYPE_CHECKING:
    from shiftforge.sim.edgebert.rtl.encoder_cosim import LayerReport
    from shiftforge.sim.edgebert.rtl.matmul_cosim import CosimReport

    Report: TypeAlias = CosimReport | LayerReport

__all__ = [
    "SeedRun",
    "failures",
    "print_seeds",
    "run_seeds",
    "seeds_json",
    "shown_report",
    "write_junit",
]


@dataclass(frozen=True)
class SeedRun:
    """report: None where the simulation did not end. failure: what is wrong, or empty."""

    seed: int
    report: Report | None
    failure: str


def run_seeds(
    seeds: Sequence[int], trace: Path | None, ran: Callable[[int, Path | None], Report]
) -> list[SeedRun]:
    """A run for each seed. trace: with several seeds, one a seed, named after it. ran: takes a seed
    and the file of its trace."""
    found = []
    for seed in seeds:
        file = trace
        if trace is not None and len(seeds) > 1:
            file = trace.with_stem(f"{trace.stem}-seed{seed}")
        try:
            report = ran(seed, file)
        except CheckFailed as error:
            found.append(SeedRun(seed, None, str(error)))
            continue
        wrong = f"RTL, golden and OpenCL: {report.first}" if report.mismatches else ""
        found.append(SeedRun(seed, report, wrong))
    return found


def shown_report(found: Sequence[SeedRun]) -> Report | None:
    """The first report with a difference, else the first; None where no simulation ended."""
    reports = [(run.failure, run.report) for run in found if run.report is not None]
    wrong = [report for failure, report in reports if failure]
    return wrong[0] if wrong else reports[0][1] if reports else None


def failures(found: Sequence[SeedRun]) -> list[str]:
    """A line for each run that failed, with its seed where there are several."""
    named = len(found) > 1
    return [f"seed {r.seed}: {r.failure}" if named else r.failure for r in found if r.failure]


def seeds_json(report: Report, found: Sequence[SeedRun]) -> dict[str, Any]:
    """The report shown, as JSON has it; with several seeds ``mismatches`` is of all of them."""
    from shiftforge.cli.output import plain

    whole: dict[str, Any] = dict(plain(report))
    rows = [
        {
            "seed": run.seed,
            "mismatches": None if run.report is None else run.report.mismatches,
            "cycles": None if run.report is None else run.report.cycles,
            "failure": run.failure,
        }
        for run in found
    ]
    if len(found) > 1:
        whole["mismatches"] = sum(row["mismatches"] or 0 for row in rows)
    return {**whole, "seeds": rows}


def print_seeds(found: Sequence[SeedRun]) -> None:
    """A table of several seeds."""
    from shiftforge.cli.output import print_table

    if len(found) == 1:
        return
    rows = []
    for run in found:
        cells = ["-", "-"]
        if run.report is not None:
            cells = [f"{run.report.mismatches:,}", f"{run.report.cycles:,}"]
        rows.append((str(run.seed), *cells, run.failure.splitlines()[0] if run.failure else ""))
    print_table("Seeds", ("seed", "mismatches", "cycles", "the first"), rows)


def write_junit(path: Path | None, unit: str, found: Sequence[SeedRun]) -> None:
    """A suite for each seed, a case for each stage, or for the run where it did not end."""
    if path is None:
        return
    from shiftforge.atomic import write_file
    from shiftforge.sim.junit import Suite, junit_xml

    suites = [Suite(f"{unit} seed {run.seed}", _cases(run), _seconds(run)) for run in found]
    write_file(path, junit_xml(suites))


def _seconds(run: SeedRun) -> float:
    return 0.0 if run.report is None else run.report.cycles / run.report.cycles_per_second


def _cases(run: SeedRun) -> tuple[Any, ...]:
    from shiftforge.sim.edgebert.rtl.matmul_cosim import KINDS, CosimReport
    from shiftforge.sim.junit import Case

    report = run.report
    if report is None:
        return (Case("run", run.failure),)
    first = "" if report.divergence is None else report.divergence["stage"]
    if isinstance(report, CosimReport):
        counts = {f"{kind} product": report.by_kind[kind] for kind in KINDS}
    else:
        counts = {check.stage: check.mismatches for check in report.stages}
    told = {name: f"{count:,} values differ" if count else "" for name, count in counts.items()}
    if first in told:
        told[first] = run.failure
    return tuple(Case(name, failure) for name, failure in told.items())
