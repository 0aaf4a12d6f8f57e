"""Seconds a frame of MobileNetV2 1.0 at 224x224 on three OpenCL devices, PyTorch and ONNX Runtime.

    python bench/conv/mobilenet_224.py [--frames N] [--repetitions R] [--json FILE]

Also the time of generation and the peak memory of quantising, generating and emulating. All in one
run on one machine; in every repetition each device and each library takes its turn, so that a
change of the machine's load meets them all. Weights are random: no figure here is an accuracy.
Needs ``pip install 'shiftforge[all,bench]'``. See README.md for what is covered and what is not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
from bench.conv.child import Child

BOARD = "a10gx1150"
# Milliseconds a frame: to be reached now, and later.
TARGETS_MS = {"pocl": (200, 60), "intel-cpu": (700, 80), "intel-fpga-emu": (2000, 500)}
GENERATE_LIMIT_S = 10.0
# Largest difference of two float libraries' logits, as a share of the largest logit.
FLOAT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Spread:
    """Seconds over the repetitions."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def text(self) -> list[str]:
        """Median and range in milliseconds, for a table."""
        low, high = min(self.values) * 1e3, max(self.values) * 1e3
        return [f"{self.median * 1e3:.1f}", f"{low:.1f}..{high:.1f}"]


class Run:
    """The whole measurement; ``facts`` is what --json writes."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        # Compiled kernels of earlier runs would hide what building takes.
        self.environment = {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "POCL_CACHE_DIR": str(folder / "cache/pocl"),
            "PYOPENCL_NO_CACHE": "1",
        }
        (folder / "cache/pocl").mkdir(parents=True)
        self.facts: dict[str, Any] = {
            "command": command_line(),
            "machine": machine(),
            "versions": versions(),
            "load_before": load(),
        }

    def child(self, stage: str, *arguments: object) -> Child:
        """A stage, working in the run's folder."""
        words = [str(word) for word in arguments]
        return Child(stage, str(self.folder), *words, environment=self.environment)

    def once(self, stage: str, *arguments: object) -> dict[str, Any]:
        """A stage that runs and ends, with its peak memory unless it tells its own."""
        child = self.child(stage, *arguments)
        try:
            answer = child.answer()
            peak = child.end()
        finally:
            child.kill()
        return {"peak_mb": peak, **answer}

    def prepare(self) -> None:
        """Quantise, generate, and the reference's output."""
        wanted = self.arguments
        print("quantising ...", flush=True)
        self.facts["quantise"] = self.once("quantise", wanted.calibration, wanted.frames)
        print("generating ...", flush=True)
        self.facts["generate"] = self.once("generate", BOARD, wanted.repetitions)
        # One thread: two of NumPy's BLAS get into each other's way where other work runs.
        self.environment["OPENBLAS_NUM_THREADS"] = "1"
        self.facts["golden"] = self.once("golden")
        del self.environment["OPENBLAS_NUM_THREADS"]

    def measure(self) -> None:
        """Every device and library in turn, as often as wanted."""
        devices = usable_devices()
        libraries = {"PyTorch fp32": "pytorch", "ONNX Runtime fp32": "onnxruntime"}
        children: dict[str, Child] = {}
        emulations: dict[str, list[dict[str, Any]]] = {device: [] for device in devices}
        floats: dict[str, list[float]] = {}
        try:
            for name, stage in libraries.items():
                children[name] = self.child(stage)
                self.facts[stage] = children[name].answer()
            for i in range(self.arguments.repetitions):
                print(f"repetition {i + 1} of {self.arguments.repetitions} ...", flush=True)
                for device in devices:
                    emulations[device].append(self.once("emulate", device))
                for name, child in children.items():
                    for how, seconds in child.ask().items():
                        floats.setdefault(f"{name}, {how}", []).append(seconds)
            for name, stage in libraries.items():
                self.facts[stage]["peak_mb"] = children[name].end()
        finally:
            for child in children.values():
                child.kill()
        self.facts["emulate"] = emulations
        self.facts["float_seconds_per_frame"] = floats
        self.facts["load_after"] = load()

    def faults(self) -> list[str]:
        """What makes the timing worthless: wrong results."""
        found = [
            f"{device}: {sum(r['mismatches'] for r in runs)} outputs differ from the reference"
            for device, runs in self.facts["emulate"].items()
            if any(r["mismatches"] for r in runs)
        ]
        distance = self.facts["onnxruntime"]["relative_distance_to_pytorch"]
        if distance > FLOAT_TOLERANCE:
            found.append(f"PyTorch and ONNX Runtime differ by {distance:.1e} of the largest logit")
        return found


def report(facts: dict[str, Any], frames: int, repetitions: int) -> list[str]:
    """Print the tables; returns the targets of today that were missed."""
    devices = {
        d: Spread(tuple(r["seconds_per_frame"] for r in runs))
        for d, runs in facts["emulate"].items()
    }
    floats = {k: Spread(tuple(v)) for k, v in facts["float_seconds_per_frame"].items()}
    # The best way to run a library one frame at a time is what emulation is held against.
    best = {
        name: min(s.median for k, s in floats.items() if k.startswith(name) and "batch 1," in k)
        for name in ("PyTorch", "ONNX Runtime")
    }
    print(
        f"\n## Milliseconds a frame, {frames} frames, median and range of {repetitions} repetitions"
    )
    rows = []
    for name, spread in [*devices.items(), *floats.items()]:
        label = name
        if name in facts["emulate"]:
            channels = facts["emulate"][name][0]["channels"]
            label = f"{name} ({'real' if channels == 'intel' else channels} channels)"
        ratios = [f"{spread.median / best[n]:.1f}" for n in best]
        rows.append([label, *spread.text(), *ratios])
    print_table(["", "median", "range", "x PyTorch", "x ONNX Runtime"], rows)
    print("Ratios are to the library's fastest median at batch 1, one or all threads.")

    print("\n## Targets")
    missed: list[str] = []
    rows = [_target(d, devices[d].median * 1e3, TARGETS_MS[d], "ms", missed) for d in devices]
    for name, label in (("fixed", "generate, 16 x 7 array"), ("search", "generate, search")):
        seconds = facts["generate"][name]["median"]
        rows.append(_target(label, seconds, (GENERATE_LIMIT_S, None), "s", missed))
    print_table(["", "measured", "now", "", "later", ""], rows)

    print("\n## Peak memory and other times")
    rows = [_memory("quantise", facts["quantise"]), _memory("generate", facts["generate"])]
    for device, runs in facts["emulate"].items():
        rows.append([f"emulate {device}", f"{max(r['peak_mb'] for r in runs):.0f}"])
        rows[-1] += [_seconds([r[k] for r in runs]) for k in ("process_seconds", "build_seconds")]
    rows[0] += [_seconds([facts["quantise"]["seconds"]]), ""]
    found = facts["generate"]
    rows[1] += [_seconds([*found["fixed"]["seconds"], *found["search"]["seconds"]]), ""]
    print_table(["", "MB", "seconds", "of it clBuildProgram"], rows)
    quantised = facts["quantise"]
    print(
        f"Quantise: {quantised['calibration_frames']} calibration frames; "
        f"{quantised['peak_before_mb']:.0f} MB of it were there before (PyTorch, the network), and "
        f"capture took {quantised['load_seconds']:.1f} s more. Emulate: with building, a warm-up "
        f"frame and {frames} frames. Reference (numpy, one thread): "
        f"{facts['golden']['seconds_per_frame'] * 1e3:.0f} ms a frame."
    )
    plan = found["fixed"]
    print(
        f"\nThe design ({plan['units']} x {plan['pixels']} array, {BOARD}): {plan['lanes']} lanes, "
        f"{plan['modelled_cycles']:,} cycles a frame, utilisation {plan['utilisation']:.1%}, "
        f"{plan['modelled_fps']:.0f} fps, all modelled, at {plan['clock_mhz']:g} MHz (assumed)."
    )
    return missed


def _memory(name: str, facts: dict[str, Any]) -> list[str]:
    return [name, f"{facts['peak_mb']:.0f}"]


def _seconds(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low}..{high}"


def _target(
    name: str, value: float, limits: tuple[float, float | None], unit: str, missed: list[str]
) -> list[str]:
    cells = [name, f"{value:.4g} {unit}"]
    for i, limit in enumerate(limits):
        if limit is None:
            cells += ["", ""]
            continue
        passed = value <= limit
        cells += [f"<= {limit:g} {unit}", "PASS" if passed else "MISS"]
        if not passed and i == 0:
            missed.append(name)
    return cells


def main() -> int:
    """Exit status: 1 where a result was wrong, or with --strict a target of today was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=4, help="frames of a batch, at least 2")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--calibration", type=int, default=4, help="calibration frames")
    parser.add_argument("--strict", action="store_true", help="exit 1 for a missed target")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    arguments = parser.parse_args()
    if arguments.frames < 2 or arguments.repetitions < 1 or arguments.calibration < 1:
        parser.error("at least 2 frames, 1 repetition and 1 calibration frame")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        run = Run(arguments, Path(name))
        facts = run.facts
        print(f"# {facts['command']}")
        print(", ".join(f"{k} {v}" for k, v in facts["machine"].items()))
        print(", ".join(f"{k} {v}" for k, v in facts["versions"].items()))
        print(f"load before: {facts['load_before']} on {facts['machine']['cores']} cores")
        run.prepare()
        run.measure()
    missed = report(facts, arguments.frames, arguments.repetitions)
    faults = run.faults()
    facts["seconds"] = time.perf_counter() - started
    busy = facts["load_before"][0] > 0.5
    print(f"load after: {facts['load_after']}; the whole run took {facts['seconds']:.0f} s")
    if busy:
        print("Other work ran when this began: these are not the times of an idle machine.")
    if arguments.json is not None:
        write_json(arguments.json, facts)
    for fault in faults:
        print(f"WRONG: {fault}")
    if not faults:
        print(
            "All device outputs equal the reference; PyTorch and ONNX Runtime agree to "
            f"{facts['onnxruntime']['relative_distance_to_pytorch']:.1e} of the largest logit."
        )
    return 1 if faults or (arguments.strict and missed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
