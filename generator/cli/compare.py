"""``shiftforge compare``: the first divergence between any two checkpoints of the flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shiftforge.cli.options import (
    RunCommand,
    checkpoint_problems,
    checkpoints,
    edited_option,
    json_option,
    project_problems,
    sample_options,
    time_limit_option,
)
from shiftforge.errors import CheckFailed, Problem

__all__ = ["command"]

_SAMPLES = 8


def _early(first: str | None, second: str | None, **values: Any) -> list[Problem]:
    if (first is None) != (second is None):
        return [Problem("--from and --to go together", "give both, or neither")]
    names = [name for name in (first, second) if name is not None]
    found = checkpoint_problems(names)
    if names and len(set(names)) == 1:
        what = f"{names[0]!r} would be compared with itself"
        found.append(Problem(what, f"use two of: {', '.join(checkpoints())}"))
    return found


@click.command(
    "compare",
    cls=RunCommand,
    early=_early,
    places=project_problems,
    short_help="Find the first difference between two checkpoints.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@sample_options()
@click.option("--from", "first", metavar="CHECKPOINT", help="Needs --to.")
@click.option("--to", "second", metavar="CHECKPOINT", help="Needs --from.")
@click.option("--layers", is_flag=True, help="Print every layer, not the summary alone.")
@time_limit_option()
@edited_option
@json_option
def command(
    folder: Path,
    source: str,
    limit: int | None,
    first: str | None,
    second: str | None,
    layers: bool,
    time_limit: float,
    as_json: bool,
    **values: Any,
) -> None:
    """Compare every layer of the project in DIR between checkpoints, on the same samples.

    A CHECKPOINT is float, fake-quantised, golden, pocl, intel-cpu or intel-fpga-emu. Without --from
    and --to the whole flow is compared, on the devices that are usable here. The first 8 samples
    are taken unless --limit, or a number in INPUT such as bbc:held-out:60, says otherwise. Exit
    code 1 when two checkpoints that hold the same integers differ; the float network is only
    measured.

    Of a text classifier every stage of every sentence is compared, and a CHECKPOINT is float (with
    --classifier), golden, pocl, intel-cpu, intel-fpga-emu or rtl; INPUT is that of `emulate`.
    """
    from shiftforge.cli.devices import split_usable, tell_skipped
    from shiftforge.cli.output import print_json, print_table, print_tables, progress
    from shiftforge.cli.runs import opened
    from shiftforge.quant.text.inputs import own_count
    from shiftforge.sim.compare import compare, default_pairs
    from shiftforge.sim.runner import DEVICE_NAMES
    from shiftforge.sim.trace import divergence_text

    if limit is None and own_count(source) is None:
        limit = _SAMPLES
    pairs = None if first is None or second is None else [(first, second)]
    named = [] if pairs is None else list(pairs[0])
    project, runner, samples = opened(folder, source, limit, values, named)
    devices, skipped = ((), ()) if pairs is not None else split_usable(DEVICE_NAMES)
    if pairs is None:
        pairs = list(default_pairs(runner.flow, devices))
        tell_skipped(skipped, needed=not pairs)
    with progress() as advance:
        found = compare(project, runner, samples, pairs, time_limit_s=time_limit, progress=advance)
    if as_json:
        document = {"passed": all(pair.passed for pair in found), "skipped": skipped}
        print_json({**document, "pairs": [pair.to_dict() for pair in found]})
    else:
        for pair in found if layers else ():
            print_tables(pair.tables, f"{pair.a} and {pair.b}")
        print_table(
            f"{found[0].samples} samples of {source}",
            ("from", "to", "values", "mismatches", "output SQNR", "same top-1", ""),
            [
                (
                    pair.a,
                    pair.b,
                    f"{pair.values:,}",
                    f"{pair.mismatches:,}",
                    _decibels(pair.figures.get("output_sqnr_db")),
                    _share(pair.figures.get("top1_agreement")),
                    ("equal" if pair.mismatches == 0 else "DIFFERENT")
                    if pair.expected_exact
                    else "measured",
                )
                for pair in found
            ],
        )
    wrong = [
        divergence_text(runner.named(samples, pair.divergence), pair.a, pair.b)
        for pair in found
        if not pair.passed and pair.divergence is not None
    ]
    if wrong:
        raise CheckFailed("\n".join(wrong))


def _decibels(value: float | None) -> str:
    if value is None:
        return ""
    return "no difference" if value == float("inf") else f"{value:.1f} dB"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
