"""``shiftforge cosim DIR``: a project's samples on its own RTL, held against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shiftforge.cli.options import (
    RunCommand,
    device_problems,
    edited_option,
    json_option,
    project_problems,
    refuse_options,
    sample_options,
    time_limit_option,
)
from shiftforge.cli.unit import UNITS, Choice, simulate
from shiftforge.cli.unit import command as unit_command
from shiftforge.errors import CheckFailed, InputError, Problem

__all__ = ["command"]

_OLD = "`cosim` without DIR is `shiftforge unit` now; the old spelling works for one release"
_OWN = ("source", "limit", "threshold", "devices", "time_limit", "edited")


def _early(folder: Path | None, devices: tuple[str, ...], **values: Any) -> list[Problem]:
    return [] if folder is None else device_problems(devices or ())


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
    or random:SEED. Built simulations are kept in $XDG_CACHE_HOME/shiftforge/rtl (~/.cache). Exit
    code 1 when any value differs. A unit by itself, with random operands: `shiftforge unit`.
    """
    from shiftforge.cli.output import note

    old = {name: values.pop(name) for name in _UNIT_OPTIONS}
    if folder is None:
        problems = refuse_options(_OWN, "without the folder of a text classifier")
        if problems:
            raise InputError(problems)
        note(_OLD)
        simulate(Choice(unit, **old), as_json)
        return
    refused = refuse_options(("unit", *_UNIT_OPTIONS), "is for units without a project")
    if source is None:
        refused.append(Problem("no texts to run", "give --input, such as random:0", "--input"))
    # The input's own problem is told above.
    _run(folder, source or "random:0", limit, values, devices, refused, time_limit, as_json)


# What `cosim` took for a unit without a project before `unit` was a command of its own.
_UNIT_OPTIONS = tuple(str(p.name) for p in unit_command.params if p.name not in ("unit", "as_json"))
command.params += [
    click.Option([*p.opts, str(p.name)], type=p.type, default=p.default, hidden=True)
    for p in unit_command.params
    if p.name in _UNIT_OPTIONS
]


def _run(
    folder: Path,
    source: str,
    limit: int | None,
    values: dict[str, Any],
    devices: tuple[str, ...],
    problems: list[Problem],
    time_limit: float,
    as_json: bool,
) -> None:
    from shiftforge.cli.output import note, print_json, print_tables, progress
    from shiftforge.cli.runs import opened
    from shiftforge.sim.runner import GOLDEN, RTL
    from shiftforge.sim.trace import divergence_text

    devices = tuple(dict.fromkeys(devices))
    problems += _without_rtl(folder)
    project, runner, samples = opened(folder, source, limit, values, [RTL], devices, problems)
    note(f"{runner.count(samples):,} samples of {source} on the RTL")
    with progress() as advance:
        golden = runner.run(project, samples, GOLDEN, progress=advance)
        runs = {
            name: runner.run(project, samples, name, time_limit_s=time_limit, progress=advance)
            for name in (*devices, RTL)
        }
    pairs = {name: runner.pair(samples, golden, run) for name, run in runs.items()}
    report, tables = runner.cosim(samples, runs[RTL], pairs)
    if as_json:
        print_json(report)
    else:
        print_tables(tables, str(folder))
    wrong = [pair for pair in pairs.values() if not pair.passed]
    if wrong:
        raise CheckFailed("\n".join(divergence_text(p.divergence, p.a, p.b) for p in wrong))


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
