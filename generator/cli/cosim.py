"""``shiftforge cosim DIR``: a project's samples on its own RTL, held against the reference."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.cosim_results import (
    Wanted,
    coverage_facts,
    coverage_table,
    first_failure,
    seed_table,
)
from shiftforge.cli.options import (
    RunCommand,
    device_problems,
    edited_option,
    json_option,
    overwrite_option,
    project_problems,
    refuse_options,
    sample_options,
    time_limit_option,
)
from shiftforge.cli.seeds import Seeds
from shiftforge.cli.unit import UNITS, Choice, simulate
from shiftforge.cli.unit import command as unit_command
from shiftforge.errors import CheckFailed, InputError, Problem

if TYPE_CHECKING:
    from shiftforge.sim.on_rtl import SimulatesRtl

__all__ = ["command"]

_OLD = "`cosim` without DIR is `shiftforge unit` now; the old spelling works for one release"
_OWN = ("source", "limit", "threshold", "devices", "time_limit", "edited", "coverage")
_WANTED = ("junit", "coverage", "trace", "output", "overwrite")


def _early(folder: Path | None, devices: tuple[str, ...], **values: Any) -> list[Problem]:
    if folder is None:
        return []
    wanted = _wanted(values)
    problems = [*device_problems(devices or ()), *wanted.problems()]
    if wanted.output is not None and wanted.output.resolve() == folder.resolve():
        what = "the simulation would take the project's own place"
        problems.append(Problem(what, "name another folder", str(wanted.output)))
    return problems


def _wanted(values: dict[str, Any]) -> Wanted:
    return Wanted(
        values.get("junit"),
        values.get("coverage"),
        values.get("trace"),
        values.get("output"),
        bool(values.get("overwrite")),
    )


@click.command(
    "cosim",
    cls=RunCommand,
    early=_early,
    places=project_problems,
    short_help="Run a project's samples on its RTL, bit for bit.",
)
@click.argument("folder", metavar="DIR", required=False, type=click.Path(path_type=Path))
@sample_options(required=False)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="NAME",
    help="Compare this OpenCL device too (repeatable).",
)
@click.option(
    "--seed",
    "--seeds",
    "seeds",
    type=Seeds(),
    default="0",
    show_default=True,
    metavar="SEEDS",
    help="Of the values from which registers start: 7, 1..20 or 1,4,9..12, a run each.",
)
@click.option(
    "--junit",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write JUnit XML: a case for every stage of every sample, a suite for every run.",
)
@click.option(
    "--coverage",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Count how often each line of the RTL runs: a table, and FILE for LCOV's readers.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the signals of the first sample that differs (.vcd or .fst), cut to its layer.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Keep what is simulated here: SystemVerilog of unit and bench, memory image, arguments.",
)
@overwrite_option
@time_limit_option("End a device's run after this long.")
@click.option("--unit", default=UNITS[0], hidden=True)
@edited_option
@json_option
def command(
    folder: Path | None,
    source: str | None,
    limit: int | None,
    devices: tuple[str, ...],
    time_limit: float,
    unit: str,
    as_json: bool,
    **values: Any,
) -> None:
    """Run the project in DIR on its RTL in Verilator and compare every stage with the reference.

    DIR is a project that `generate` made of a text classifier; each sentence is one program. INPUT
    is a file of texts, one a line, - for standard input, bbc:held-out[:N], sentiment:held-out[:N]
    or random:SEED. Registers start from random values; a run that holds for one seed and not for
    another reads one that was not set. Built simulations are kept in
    $XDG_CACHE_HOME/shiftforge/rtl (~/.cache). Exit code 1 when any value differs, or a program does
    not end. A unit by itself, with random operands: `shiftforge unit`.
    """
    from shiftforge.cli.output import note

    old = {name: values.pop(name) for name in _UNIT_OPTIONS}
    wanted, seeds = _wanted(values), values.pop("seeds")
    for name in _WANTED:
        values.pop(name)
    if folder is None:
        problems = refuse_options(_OWN, "without the folder of a text classifier")
        if problems:
            raise InputError(problems)
        note(_OLD)
        shared = {name: getattr(wanted, name) for name in _WANTED if name != "coverage"}
        simulate(Choice(unit, seeds=seeds, **old, **shared), as_json)
        return
    refused = refuse_options(("unit", *_UNIT_OPTIONS), "is for units without a project")
    if source is None:
        refused.append(Problem("no texts to run", "give --input, such as random:0", "--input"))
    # The input's own problem is told above.
    request = _Request(folder, source or "random:0", limit, values, devices, seeds, wanted)
    _run(request, refused, time_limit, as_json)


# What `cosim` took for a unit without a project before `unit` was a command of its own; those that
# it takes for both are its own.
_BOTH = ("unit", "as_json", "seeds", *_WANTED)
_UNIT_OPTIONS = tuple(str(p.name) for p in unit_command.params if p.name not in _BOTH)
command.params += [
    click.Option([*p.opts, str(p.name)], type=p.type, default=p.default, hidden=True)
    for p in unit_command.params
    if p.name in _UNIT_OPTIONS
]


@dataclass(frozen=True)
class _Request:
    """What a user asks for."""

    folder: Path
    source: str
    limit: int | None
    values: dict[str, Any]
    devices: tuple[str, ...]
    seeds: tuple[int, ...]
    wanted: Wanted


def _run(asked: _Request, problems: list[Problem], time_limit: float, as_json: bool) -> None:
    from shiftforge.cli.output import note, print_json, print_tables, progress
    from shiftforge.cli.runs import opened
    from shiftforge.sim.on_rtl import RtlRequest
    from shiftforge.sim.runner import GOLDEN, RTL
    from shiftforge.sim.trace import divergence_text

    folder, wanted = asked.folder, asked.wanted
    devices = tuple(dict.fromkeys(asked.devices))
    problems += _without_rtl(folder)
    project, runner, samples = opened(
        folder, asked.source, asked.limit, asked.values, [RTL], devices, problems
    )
    rtl: SimulatesRtl = runner  # type: ignore[assignment]
    request = RtlRequest(asked.seeds, wanted.coverage is not None)
    count = runner.count(samples)
    times = f", {len(asked.seeds):,} seeds" if len(asked.seeds) > 1 else ""
    note(f"{count:,} samples of {asked.source} on the RTL{times}")
    with progress() as advance:
        golden = runner.run(project, samples, GOLDEN, progress=advance)
        runs = {
            name: runner.run(project, samples, name, time_limit_s=time_limit, progress=advance)
            for name in devices
        }
        simulated = rtl.on_rtl(project, samples, request, advance)
    runs |= {run.at: run for run in simulated}
    pairs = {name: runner.pair(samples, golden, run) for name, run in runs.items()}
    failure = first_failure(simulated, pairs)
    shown = simulated[0] if failure is None else failure.run
    report, tables = runner.cosim(samples, shown, pairs)
    waveform = wanted.write_waveform(project, rtl, samples, failure)
    more = {} if waveform is None or failure is None else {failure.run.at: str(waveform)}
    wanted.write_junit(project, golden, runs, more)
    wanted.write_sources(
        project, rtl, samples, shown, 0 if failure is None else failure.found.sample or 0
    )
    report |= {
        "seeds": [
            {
                "seed": run.facts["seed"],
                "mismatches": pairs[run.at].mismatches,
                "seconds": run.facts["seconds"],
                "divergence": _told(runner, samples, pairs[run.at].divergence),
            }
            for run in simulated
        ],
        "waveform": None if waveform is None else asdict(waveform),
    }
    if len(simulated) > 1:
        tables = (*tables, seed_table(simulated, pairs))
    if wanted.coverage is not None:
        report["coverage"], table = _covered(project, rtl, samples, simulated, wanted.coverage)
        tables = (*tables, table)
    if as_json:
        print_json(report)
    else:
        print_tables(tables, str(folder))
    if waveform is not None:
        note(str(waveform))
    wrong = [pair for pair in pairs.values() if not pair.passed]
    if wrong:
        raise CheckFailed("\n".join(divergence_text(p.divergence, p.a, p.b) for p in wrong))


def _told(runner: Any, samples: Any, found: Any) -> dict[str, Any] | None:
    """A difference as JSON has it, with the sample's own name."""
    return None if found is None else runner.named(samples, found).to_dict()


def _covered(
    project: Any, rtl: SimulatesRtl, samples: Any, runs: tuple[Any, ...], path: Path
) -> tuple[dict[str, Any], Any]:
    """Write what the runs counted; as JSON has it, and as a table."""
    from shiftforge.atomic import write_file

    coverage = rtl.coverage(project, samples, runs)
    write_file(path, coverage.lcov(str(project.path("rtl"))))
    facts = coverage_facts(coverage)
    return facts, coverage_table(facts)


def _without_rtl(folder: Path) -> list[Problem]:
    """A problem where the folder holds a project that has no RTL."""
    from shiftforge.generator.project import open_project
    from shiftforge.sim.runner import RTL, runner_of

    try:
        if RTL in runner_of(open_project(folder).kind).checkpoints:
            return []
    except InputError:
        return []  # told when it is opened
    what = "the project has no RTL: it is not of a text classifier"
    return [Problem(what, "run it with: shiftforge emulate", str(folder))]
