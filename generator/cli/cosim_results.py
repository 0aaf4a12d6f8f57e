"""What ``shiftforge cosim DIR`` leaves besides its report: JUnit, coverage, waveform, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import output_problems

if TYPE_CHECKING:
    from shiftforge.generator.project import Project
    from shiftforge.sim.on_rtl import SimulatesRtl, Waveform
    from shiftforge.sim.results import Pair, Run, Table
    from shiftforge.sim.trace import Divergence

__all__ = ["Wanted", "coverage_facts", "coverage_table", "first_failure", "seed_table"]

_HEAD = 200
INFO = "coverage.info"


@dataclass(frozen=True)
class Wanted:
    """The files asked for; None or empty where they are not.

    junit: JUnit XML. coverage: LCOV, or a folder for it. trace: .vcd or .fst. output: a folder for
    what was simulated, overwrite: even where its files were edited.
    """

    junit: Path | None = None
    coverage: Path | None = None
    trace: Path | None = None
    output: Path | None = None
    overwrite: bool = False

    def problems(self) -> list[Problem]:
        """What stops them from being written, all of it, before anything runs."""
        from shiftforge.generator.design import check_folder
        from shiftforge.sim.rtl.trace import trace_kind

        problems = Problems()
        if self.junit is not None:
            problems += output_problems(self.junit) or _foreign(self.junit, "--junit", "shiftforge")
        if self.coverage is not None:
            problems += output_problems(self.coverage) or _foreign(
                self.coverage, "--coverage", "SF:"
            )
        if self.trace is not None:
            problems.check(trace_kind, self.trace)
            problems += output_problems(self.trace)
        if self.output is not None:
            problems.check(check_folder, self.output)
        named = [p.resolve() for p in (self.junit, self.coverage, self.trace) if p is not None]
        if len(set(named)) < len(named):
            problems.append(Problem("two results in one file", "name one file for each"))
        return list(problems)

    def write_junit(
        self, project: Project, golden: Run, runs: Mapping[str, Run], more: Mapping[str, str]
    ) -> None:
        """A suite for each run. more: said of a run's first failure."""
        if self.junit is None:
            return
        from shiftforge.atomic import write_file
        from shiftforge.sim.junit import junit_xml, suite_of

        name = project.folder.resolve().name
        suites = [
            suite_of(golden, run, f"{name}.{at}", more.get(at, "")) for at, run in runs.items()
        ]
        write_file(self.junit, junit_xml(suites))

    def write_waveform(
        self, project: Project, runner: SimulatesRtl, samples: Any, failure: Failure | None
    ) -> Waveform | None:
        """Of the first failure; None where there is none, or none asked for."""
        if self.trace is None or failure is None:
            return None
        return runner.waveform(project, samples, failure.run, failure.found, self.trace)

    def write_sources(
        self, project: Project, runner: SimulatesRtl, samples: Any, run: Run, sample: int
    ) -> None:
        """What was simulated, with the image of one sample."""
        if self.output is not None:
            design = runner.kept(project, samples, run, sample)
            design.write(self.output, overwrite=self.overwrite)


@dataclass(frozen=True, eq=False)
class Failure:
    """A run on the RTL, and the first difference in it."""

    run: Run
    found: Divergence


def first_failure(runs: Sequence[Run], pairs: Mapping[str, Pair]) -> Failure | None:
    """Of runs on the RTL, in their order, the first with a difference of a sample."""
    for run in runs:
        found = pairs[run.at].divergence
        if found is not None and found.sample is not None:
            return Failure(run, found)
    return None


def seed_table(runs: Sequence[Run], pairs: Mapping[str, Pair]) -> Table:
    """A row for each seed."""
    from shiftforge.sim.results import Table

    rows = []
    for run in runs:
        pair = pairs[run.at]
        first = "" if pair.divergence is None else str(pair.divergence).splitlines()[0]
        rows.append((run.facts["seed"], f"{pair.values:,}", f"{pair.mismatches:,}", first))
    return Table("Seeds", ("seed", "integers", "mismatches", "the first"), tuple(rows))


def coverage_facts(coverage: Any) -> dict[str, Any]:
    """As JSON has it."""
    modules = coverage.modules()
    return {
        "points": sum(own.points for own in modules),
        "reached": sum(own.reached for own in modules),
        "modules": [
            {
                "module": own.module,
                "points": own.points,
                "reached": own.reached,
                "never": list(own.never),
                "branches": list(own.branches),
            }
            for own in modules
        ],
    }


def coverage_table(facts: Mapping[str, Any]) -> Table:
    """The same for people."""
    from shiftforge.sim.results import Table

    rows = [
        (
            own["module"],
            own["points"],
            own["reached"],
            f"{own['reached'] / own['points']:.1%}",
            ", ".join(own["never"]) or "-",
            ", ".join(map(str, own["branches"])) or "-",
        )
        for own in facts["modules"]
    ]
    whole = facts["points"], facts["reached"]
    rows.append(("all", *whole, f"{whole[1] / whole[0]:.1%}", "", ""))
    columns = ("module", "points", "reached", "share", "lines never reached", "sides of lines")
    return Table("Coverage of the RTL", columns, tuple(rows))


def _foreign(path: Path, option: str, mark: str) -> list[Problem]:
    """A problem where a file is there that this program did not write."""
    from shiftforge.files import read_bytes

    if not path.exists():
        return []
    try:
        head = read_bytes(path)[:_HEAD]
    except InputError as error:
        return list(error.problems)
    if not head or mark.encode() in head:
        return []
    what = f"exists and is no file of {option}"
    return [Problem(what, "name another file, or remove this one", str(path))]
