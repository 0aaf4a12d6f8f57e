"""The demo: from the shipped float network to three OpenCL devices, without training anything.

Ends with PASS and exit code 0 where every device gives exactly the reference's integers. A device
that is not usable here is skipped by name and reason; without any the demo fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import shiftforge
from shiftforge.cli.output import progress
from shiftforge.errors import CheckFailed, InputError, ToolFailed
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.simulate import run_float_checkpoints
from shiftforge.sim.conv.runner import top1
from shiftforge.sim.opencl.probe import no_device_text, probe, skipped_text
from shiftforge.sim.results import Emulation

SOURCE = "mobilenet_v2_fashion"
INPUT = "fashion-mnist:test"
BOARD = "a10gx1150"
DEVICES = ("pocl", "intel-fpga-emu", "intel-cpu")
FIRST, OTHERS = 500, 20
"""Images for the first usable device, and for each of the others."""


def main() -> int:
    """Runs the flow and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="keep the generated project in this folder")
    parser.add_argument(
        "--scheme",
        choices=["shift", "dtssq"],
        default="shift",
        help="quantise now (shift), or take the codes that ship with the network (dtssq)",
    )
    options = parser.parse_args()
    console = Console()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shiftforge-demo-") as scratch:
        try:
            passed = flow(console, options.output or Path(scratch) / "fashion", options.scheme)
        except (InputError, CheckFailed, ToolFailed) as error:
            console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
            passed = False
    verdict = "[bold green]PASS[/]" if passed else "[bold red]FAIL[/]"
    console.print(f"{verdict} in {time.monotonic() - started:.0f} s")
    return 0 if passed else 1


def flow(console: Console, folder: Path, scheme: str) -> bool:
    """Quantise, generate, run; True where nothing differs anywhere."""
    states = [probe(device) for device in DEVICES]
    skipped = [state for state in states if not state.usable]
    if len(skipped) == len(states):
        raise ToolFailed(no_device_text(skipped))
    for state in skipped:
        console.print(skipped_text(state), markup=False, soft_wrap=True)
    usable = [state.name for state in states if state.usable]
    with progress() as advance:
        how = "quantising" if scheme == "shift" else "taking the trained codes of"
        console.print(f"{how} {SOURCE}: {scheme} weights")
        model = shiftforge.quantize(SOURCE, scheme=scheme, progress=advance)
        console.print(f"generating OpenCL for {BOARD}")
        design = shiftforge.generate(model, BOARD, output=folder)
        frames = shiftforge.load_frames(INPUT, model.preprocess, limit=FIRST)
        floats = float_outputs(model, frames.images)
        runs = []
        for device in usable:
            samples = FIRST if device == usable[0] else OTHERS
            console.print(f"running {samples} images on {device}")
            runs.append(
                shiftforge.emulate(folder, device, input=INPUT, limit=samples, progress=advance)
            )
    float_top1 = top1(floats, frames.labels)
    table(console, float_top1, runs, design.report)
    return all(run.bit_exact for run in runs)


def float_outputs(model: QuantizedModel, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Outputs (N, K) of the float network, a few images at a time."""
    parts = [
        run_float_checkpoints(model, images[start : start + 50])[model.output]
        for start in range(0, len(images), 50)
    ]
    return np.concatenate(parts).reshape(len(images), -1)


def table(
    console: Console,
    float_top1: float | None,
    runs: list[Emulation],
    report: Mapping[str, Any],
) -> None:
    """Accuracy of each device, and what the plan says of the hardware."""
    results = Table(title=f"{SOURCE}, {INPUT}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", "images", "top-1", "mismatches", "channels", "ms an image"):
        results.add_column(name, justify="left" if not name else "right")
    most = runs[0]
    results.add_row("float network", str(most.samples), f"{float_top1:.1%}", "", "", "")
    results.add_row(
        "quantised (reference)", str(most.samples), f"{most.facts['reference_top1']:.1%}"
    )
    for run in runs:
        results.add_row(
            run.device,
            str(run.samples),
            f"{run.facts['top1']:.1%}",
            f"{run.mismatches} of {run.elements:,}",
            run.facts["channels"],
            f"{run.facts['seconds_per_sample'] * 1e3:.1f}",
        )
    console.print(results)
    console.print(
        f"{BOARD}, modelled: {report['lanes']:,} lanes, "
        f"{report['modelled_cycles']:,} cycles a frame ({report['ideal_cycles']:,} ideal), "
        f"utilisation {report['utilisation']:.1%}, "
        f"{report['modelled_fps']:,.0f} frames a second at an assumed {report['clock_mhz']:g} MHz; "
        f"feature maps {report['buffer_bytes']:,} bytes "
        f"(symmetric double buffer: {report['symmetric_bytes']:,})",
        soft_wrap=True,
    )
    for run in runs:
        if run.divergence is not None:
            console.print(
                f"reference and {run.device} first differ in {run.divergence}", markup=False
            )


if __name__ == "__main__":
    sys.exit(main())
