"""Seconds a frame of emulation: another checkout of this project against this one, in turn.

    python bench/conv/emulation_time.py --before CHECKOUT [--repetitions 5] [--json FILE]

MobileNetV2 1.0/224 with random weights, the 16 x 7 array for a10gx1150. Both checkouts generate
from one model file and run the same frames on every usable device, one after the other in every
repetition, the one that is first alternating; every output is held against one reference. Then
the same network with simulated time, one-term weights: seconds of a frame beyond the first.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import (
    command_line,
    load,
    machine,
    print_table,
    usable_devices,
    versions,
)
from bench.common.records import write_json
from bench.conv.checkout import commit_of, environment
from bench.conv.child import Child

ROOT = Path(__file__).resolve().parents[2]
BOARD = "a10gx1150"
LIMIT_RATIO, LIMIT_CLOCKED_S = 1.25, 10.0
BEFORE, NOW = "before", "now"


class Side:
    """A checkout with its own packages, stages and designs. Frames and model are shared."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.folder = folder
        self.stages = checkout / "bench/conv/stages.py"
        (folder / "cache/pocl").mkdir(parents=True)
        self.environment = environment(checkout, folder / "packages") | {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "POCL_CACHE_DIR": str(folder / "cache/pocl"),
        }

    def run(self, stage: str, *words: str) -> dict[str, Any]:
        """A stage that runs and ends."""
        child = Child(
            stage, str(self.folder), *words, environment=self.environment, stages=self.stages
        )
        try:
            answer = child.answer()
            child.end()
        finally:
            child.kill()
        return answer


def prepare(sides: dict[str, Side], frames: int, terms: int) -> None:
    """One model, its frames and the reference's outputs, and each side's design."""
    import numpy as np

    import shiftforge
    from shiftforge.quant.data.inputs import load_frames, to_codes
    from shiftforge.quant.graph.file import save_model

    folder = sides[NOW].folder
    model = shiftforge.quantize(
        "mobilenet_v2_random", calib="random:0", calib_limit=2, rounding="nearest",
        terms=terms, first_last="same",
    )  # fmt: skip
    save_model(model, folder / "model.safetensors")
    images = load_frames("random:1", model.preprocess, limit=frames).images
    codes = to_codes(images, model.preprocess, model.tensors[model.input].grid)
    np.savez(folder / "frames.npz", codes=codes)
    sides[NOW].run("golden")
    for name in ("model.safetensors", "frames.npz", "golden.npy"):
        shutil.copy(folder / name, sides[BEFORE].folder / name)
    for side in sides.values():
        side.run("generate", BOARD, "1")


def measure(sides: dict[str, Side], repetitions: int) -> dict[str, dict[str, list[float]]]:
    """Seconds a frame by device and side. Ends the script where an output is wrong."""
    devices = usable_devices()
    found: dict[str, dict[str, list[float]]] = {d: {BEFORE: [], NOW: []} for d in devices}
    for i in range(repetitions):
        order = (BEFORE, NOW) if i % 2 == 0 else (NOW, BEFORE)
        print(f"repetition {i + 1} of {repetitions}, load {load()[0]} ...", flush=True)
        for device in devices:
            for name in order:
                answer = sides[name].run("emulate", device)
                if answer["mismatches"]:
                    what = f"{answer['mismatches']} outputs differ from the reference"
                    raise SystemExit(f"WRONG: {name} on {device}: {what}")
                found[device][name].append(answer["seconds_per_frame"])
    return found


def clocked(folder: Path, repetitions: int) -> dict[str, Any]:
    """Seconds a frame with simulated time: from runs of one and of four frames."""
    import numpy as np

    from shiftforge.sim.conv.clocked.device import run_clocked
    from shiftforge.sim.conv.clocked.planned import read_planned

    project, codes = folder / "design-fixed0", np.load(folder / "frames.npz")["codes"]
    latencies, wanted = read_planned(project).latencies, np.load(folder / "golden.npy")

    def seconds(frames: int) -> float:
        started = time.perf_counter()
        outputs, _ = run_clocked(project, "pocl", codes, latencies, frames)
        if (np.asarray(outputs.output) != wanted[np.arange(frames) % len(wanted)]).any():
            raise SystemExit("WRONG: a clocked output differs from the reference")
        return time.perf_counter() - started

    seconds(1)  # the kernels are built now
    taken = [(seconds(4) - seconds(1)) / 3 for _ in range(repetitions)]
    return {"seconds_per_frame": taken, "median": statistics.median(taken), "device": "pocl"}


def one(before: Path, terms: int, frames: int, repetitions: int) -> dict[str, Any]:
    """Everything about weights of so many terms; clocked for one."""
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        places = {BEFORE: before, NOW: ROOT}
        sides = {key: Side(place, Path(name) / key) for key, place in places.items()}
        print(f"{terms}-term weights: quantising and generating ...", flush=True)
        prepare(sides, frames, terms)
        seconds = measure(sides, repetitions)
        found: dict[str, Any] = {"terms": terms, "seconds_per_frame": seconds}
        found["median"] = {
            d: {k: statistics.median(v) for k, v in own.items()} for d, own in seconds.items()
        }
        found["ratio"] = {d: own[NOW] / own[BEFORE] for d, own in found["median"].items()}
        if terms == 1:
            found["clocked"] = clocked(sides[NOW].folder, min(repetitions, 3))
    return found


def report(found: dict[str, Any]) -> list[str]:
    """Print a network's table; returns what is over its limit."""
    missed, rows = [], []
    for device, own in found["median"].items():
        ratio = found["ratio"][device]
        passed = ratio <= LIMIT_RATIO
        cells = [f"{device}, {found['terms']}-term"]
        for key in (BEFORE, NOW):
            values = found["seconds_per_frame"][device][key]
            cells.append(f"{own[key] * 1e3:.1f} ({min(values) * 1e3:.1f}..{max(values) * 1e3:.1f})")
        rows.append([*cells, f"{ratio:.2f}", "PASS" if passed else "MISS"])
        if not passed:
            missed.append(f"{device}: {ratio:.2f} times the time before")
    print_table(["ms a frame, median (range)", BEFORE, NOW, "ratio", f"<= {LIMIT_RATIO}"], rows)
    if "clocked" in found:
        seconds = found["clocked"]["median"]
        print(f"With simulated time on PoCL: {seconds:.2f} s a frame (limit {LIMIT_CLOCKED_S:g} s)")
        if seconds > LIMIT_CLOCKED_S:
            missed.append(f"clocked: {seconds:.1f} s a frame")
    return missed


def main() -> int:
    """Exit status 1 where a result was wrong, or with --strict where a limit is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--terms", default="2,1", help="of the weights: 1, 2 or both")
    parser.add_argument("--frames", type=int, default=8, help="frames of a batch")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--strict", action="store_true", help="exit 1 for a missed limit")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    arguments = parser.parse_args()
    before = arguments.before.resolve()
    facts: dict[str, Any] = {
        "command": command_line().replace(str(arguments.before), "CHECKOUT"),
        "before": commit_of(before),
        "now": commit_of(ROOT),
        "machine": machine(),
        "versions": versions(),
        "load_before": load(),
        "networks": [],
    }
    print(f"# {facts['command']}\nbefore {facts['before']}, now {facts['now']}")
    print(f"load before: {facts['load_before']} on {facts['machine']['cores']} cores")
    missed: list[str] = []
    for terms in arguments.terms.split(","):
        found = one(before, int(terms), arguments.frames, arguments.repetitions)
        facts["networks"].append(found)
        missed += report(found)
    facts["load_after"] = load()
    print(f"load after: {facts['load_after']}; all outputs equal the reference's")
    if arguments.json is not None:
        write_json(arguments.json, facts)
    for line in missed:
        print(f"over the limit: {line}")
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    raise SystemExit(main())
