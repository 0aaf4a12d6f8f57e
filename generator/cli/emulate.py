"""``shiftforge emulate``: a generated project on an OpenCL device, held against the reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from shiftforge.cli.options import (
    RunCommand,
    device_problems,
    edited_option,
    json_option,
    output_file_problems,
    project_problems,
    sample_options,
    time_limit_option,
)
from shiftforge.errors import Problem

__all__ = ["command"]

_CLOCKED = {"device": "pocl", "source": "random:0"}


def _early(
    device: str, clocked: bool = False, timeline: Path | None = None, **values: Any
) -> list[Problem]:
    problems = device_problems([device])
    if clocked:
        from shiftforge.sim.opencl.devices import clocked_problems

        problems += clocked_problems([device])
    if timeline is not None:
        from shiftforge.sim.conv.clocked.timeline import is_timeline

        problems += output_file_problems(timeline, ".json", is_timeline)
    return problems


class _NeededUnlessClocked(click.Option):
    """Cycles hardly depend on samples and not on the device: a clocked run has its own."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """See click."""
        if opts.get("clocked"):
            opts = {**_CLOCKED, **opts}
        return super().handle_parse_result(ctx, opts, args)


@click.command(
    "emulate",
    cls=RunCommand,
    early=_early,
    places=project_problems,
    short_help="Run a project on an OpenCL device, bit for bit.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--device",
    cls=_NeededUnlessClocked,
    required=True,
    metavar="NAME",
    help="pocl, intel-cpu or intel-fpga-emu.",
)
@sample_options(cls=_NeededUnlessClocked)
@click.option("--check", is_flag=True, help="Compare every layer, not the output alone.")
@time_limit_option("End the device's run after this long.")
@edited_option
@json_option
def command(
    folder: Path,
    device: str,
    source: str,
    limit: int | None,
    check: bool,
    time_limit: float,
    as_json: bool,
    **values: Any,
) -> None:
    """Run the project in DIR (made by `generate`) and compare with the reference, bit for bit.

    INPUT is an image, a folder of images or of class folders, an .npy batch, fashion-mnist:test,
    random:SEED or photos (./photos or builtin:photos where a folder has that name); for a text
    classifier a file of texts, one a line, - for standard input, bbc:held-out[:N],
    sentiment:held-out[:N] or random:SEED. Exit code 1 when any integer differs.

    With --clocked every kernel issues at most one iteration a simulated cycle, at the latencies
    that the project was planned with, at half and at double of them. The figures are of one frame
    in the steady state, and counted, not measured on a board. Without --limit the first 3 samples
    run; --device is pocl and --input random:0 unless they are given.
    """
    from shiftforge.cli.output import note, print_json, print_tables, progress
    from shiftforge.cli.runs import opened
    from shiftforge.errors import CheckFailed
    from shiftforge.sim.compare import emulate
    from shiftforge.sim.trace import divergence_text

    project, runner, samples = opened(folder, source, limit, values, devices=[device])
    note(f"{runner.count(samples):,} samples of {source} on {device}")
    with progress() as advance:
        report = emulate(
            project, runner, samples, device,
            every_stage=check, time_limit_s=time_limit, progress=advance,
        )  # fmt: skip
    if as_json:
        print_json(report.to_dict())
    else:
        print_tables(runner.rows(samples, report), str(folder))
    if report.divergence is not None:
        raise CheckFailed(divergence_text(report.divergence, "golden", device))
