"""``shiftforge compare``: the first divergence between any two checkpoints of the flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shiftforge.cli.options import (
    frame_options,
    json_option,
    threshold_option,
    time_limit_option,
)
from shiftforge.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from shiftforge.sim.opencl.probe import DeviceState

__all__ = ["command"]

_FRAMES = 8


@click.command("compare", short_help="Find the first difference between two checkpoints.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@frame_options
@click.option("--from", "first", metavar="CHECKPOINT", help="Needs --to.")
@click.option("--to", "second", metavar="CHECKPOINT", help="Needs --from.")
@click.option("--layers", is_flag=True, help="Print every layer, not the summary alone.")
@threshold_option("A text classifier's:")
@click.option(
    "--classifier",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A text classifier's: the trained folder, for the checkpoint float.",
)
@time_limit_option()
@json_option
def command(
    folder: Path,
    source: str,
    limit: int | None,
    data_dir: Path | None,
    first: str | None,
    second: str | None,
    layers: bool,
    threshold: float | None,
    classifier: Path | None,
    time_limit: float,
    as_json: bool,
) -> None:
    """Compare every layer of the project in DIR between checkpoints, on the same frames.

    A CHECKPOINT is float, fake-quantised, golden, pocl, intel-cpu or intel-fpga-emu. Without --from
    and --to the whole flow is compared, on the devices that are usable here. The first 8 frames are
    taken unless --limit says otherwise.
    Exit code 1 when two checkpoints that hold the same integers differ; the float network is only
    measured.

    Of a text classifier every stage of every sentence is compared, and a CHECKPOINT is float (with
    --classifier), golden, pocl, intel-cpu, intel-fpga-emu or rtl; INPUT is that of `emulate`.
    """
    from rich.console import Console

    from shiftforge.cli.albert_project import is_albert_project, refuse_options
    from shiftforge.cli.devices import split_usable, tell_skipped
    from shiftforge.cli.output import print_json, print_table, progress
    from shiftforge.sim.compare_text import comparison_table, divergence_text
    from shiftforge.sim.conv.comparison import DEVICES, default_pairs
    from shiftforge.steps import compare

    if (first is None) != (second is None):
        raise click.UsageError("--from and --to go together")
    if is_albert_project(folder):
        from shiftforge.cli.albert_compare import compare_texts

        chosen = (first, second) if first is not None and second is not None else None
        refused = refuse_options(["data_dir"], "is for images")
        most = _FRAMES if limit is None else limit
        compare_texts(
            folder,
            source,
            most,
            chosen,
            threshold,
            layers,
            classifier,
            time_limit,
            refused,
            as_json,
        )
        return
    refused = refuse_options(["threshold", "classifier"], "is for text classifiers")
    if refused:
        raise InputError(refused)
    skipped: tuple[DeviceState, ...] = ()
    if first is not None and second is not None:
        pairs: tuple[tuple[str, str], ...] = ((first, second),)
    else:
        devices, skipped = split_usable(DEVICES)
        tell_skipped(skipped)
        pairs = default_pairs(devices)
    with progress() as advance:
        found = compare(
            folder,
            input=source,
            limit=_FRAMES if limit is None else limit,
            data_dir=data_dir,
            pairs=pairs,
            time_limit_s=time_limit,
            progress=advance,
        )
    if as_json:
        passed = all(pair.passed for pair in found)
        document = {"passed": passed, "skipped": skipped}
        print_json({**document, "pairs": [pair.to_dict() for pair in found]})
    else:
        for pair in found if layers else ():
            Console().print(comparison_table(pair.layers, pair.a, pair.b))
        print_table(
            f"{found[0].samples} samples of {source}",
            ("from", "to", "mismatches", "output SQNR", "same top-1", ""),
            [
                (
                    pair.a,
                    pair.b,
                    f"{pair.mismatches:,}",
                    _decibels(pair.output_sqnr_db),
                    f"{pair.top1_agreement:.1%}",
                    ("equal" if pair.mismatches == 0 else "DIFFERENT")
                    if pair.expected_exact
                    else "measured",
                )
                for pair in found
            ],
        )
    failed = [pair for pair in found if not pair.passed]
    if failed:
        raise CheckFailed(
            "\n".join(divergence_text(pair.divergence, pair.a, pair.b) for pair in failed)
        )


def _decibels(value: float) -> str:
    return "no difference" if value == float("inf") else f"{value:.1f} dB"
