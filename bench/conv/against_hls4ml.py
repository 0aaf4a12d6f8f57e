"""Multiply-accumulates a second of emulation: hls4ml's C++ beside the three OpenCL devices.

    python bench/conv/against_hls4ml.py [--frames N] [--repetitions R] [--json FILE]

One small CNN that both run, of the same random weights: hls4ml writes it with its usual 16-bit
fixed-point type and compiles it with g++ as its own ``compile()`` does, streams between layers,
once a strategy; the faster one counts. Here it is quantised twice, to weights of two terms (the
default) and of one, which an array needs half the cycles for. In every repetition hls4ml and each
device take their turn. Device outputs are held against the integer reference, and all against the
float network by their correlation. Needs ``pip install 'shiftforge[all,bench-hls4ml]'`` and g++.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np

from bench.common.machine import (
    RESULTS,
    command_line,
    load,
    machine,
    print_table,
    usable_devices,
    versions,
)
from bench.common.records import write_json

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

RESULT = RESULTS / "against_hls4ml.json"
BOARD, SHAPE = "a10gx1150", (3, 32, 32)
STRATEGIES = ("Latency", "Resource")
TERMS = (2, 1)
PRECISION = "ap_fixed<16,6>"
ASKED = {"pocl": 50.0, "intel-cpu": 15.0, "intel-fpga-emu": 2.0}
"""Times hls4ml's rate."""


def network() -> torch.nn.Sequential:
    """Four convolutions and a classifier, 5.2 million multiply-accumulates; weights that keep the
    size of what they read, so that 16 bits do not overflow."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 8 * 8, 10),
    )  # fmt: skip
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return layers.eval()


def macs(layers: torch.nn.Sequential) -> int:
    """Of a frame, from the shapes that the convolutions and the classifier give."""
    import torch
    from torch import nn

    total = 0

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        total += output[0].numel() * weight[0].numel()

    weighted = [m for m in layers if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in weighted]
    with torch.inference_mode():
        layers(torch.zeros(1, *SHAPE))
    for hook in hooks:
        hook.remove()
    return total


class Hls4ml:
    """The network as hls4ml compiled it, with one strategy."""

    def __init__(self, layers: torch.nn.Module, strategy: str, folder: Path) -> None:
        import hls4ml

        config = hls4ml.utils.config_from_pytorch_model(
            layers, SHAPE, granularity="model", default_precision=PRECISION,
            default_reuse_factor=1, channels_last_conversion="internal",
        )  # fmt: skip
        config["Model"]["Strategy"] = strategy
        self.model = hls4ml.converters.convert_from_pytorch_model(
            layers, output_dir=str(folder), backend="Vitis", hls_config=config, io_type="io_stream"
        )
        started = time.perf_counter()
        self.model.compile()
        self.compile_seconds = time.perf_counter() - started
        self.outputs: NDArray[Any] = np.zeros(0)

    def seconds(self, frames: NDArray[np.float32]) -> float:
        """Of a frame; frames: (N, C, H, W)."""
        last = np.ascontiguousarray(frames.transpose(0, 2, 3, 1))
        started = time.perf_counter()
        self.outputs = self.model.predict(last).reshape(len(frames), -1)
        return (time.perf_counter() - started) / len(frames)


class Ours:
    """The network as a project: its integers, and what the reference makes of the frames."""

    def __init__(
        self, layers: torch.nn.Module, terms: int, frames: NDArray[np.float32], folder: Path
    ) -> None:
        import shiftforge
        from shiftforge.quant.data.given import given_frames
        from shiftforge.quant.data.inputs import to_codes
        from shiftforge.sim.golden.conv.network import run_golden

        first_last = {} if terms == 2 else {"first_last": "same"}
        model = shiftforge.quantize(
            layers, calib=frames, input_shape=SHAPE, terms=terms, **first_last
        )
        self.folder = folder
        self.design = shiftforge.generate(model, BOARD, output=folder).report
        images = given_frames(frames, model.preprocess, len(frames)).images
        self.codes = to_codes(images, model.preprocess, model.tensors[model.input].grid)
        self.want = run_golden(model, self.codes)[model.output].reshape(len(frames), -1)

    def seconds(self, device: str) -> float:
        """Of a frame on a device, transfers included. Ends the script where an integer differs."""
        from shiftforge.sim.conv.emulate import emulate

        found = emulate(self.folder, device, self.codes)
        wrong = int((found.outputs != self.want).sum())
        if wrong:
            raise SystemExit(f"WRONG: {device}: {wrong} outputs differ from the reference")
        return found.seconds_per_sample


def likeness(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Correlation of all outputs."""
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def measured(count: int, repetitions: int, folder: Path) -> dict[str, Any]:
    """Everything in turn. count: frames of a batch."""
    import torch

    layers = network()
    frames = np.random.default_rng(1).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)
    with torch.inference_mode():
        wanted = layers(torch.from_numpy(frames)).numpy()
    print("compiling hls4ml's C++ ...", flush=True)
    theirs = {name: Hls4ml(layers, name, folder / name) for name in STRATEGIES}
    ours = {terms: Ours(layers, terms, frames, folder / f"terms{terms}") for terms in TERMS}
    seconds: dict[str, list[float]] = {}
    for turn in range(repetitions):
        print(f"repetition {turn + 1} of {repetitions} ...", flush=True)
        for name, own in theirs.items():
            seconds.setdefault(f"hls4ml, {name}", []).append(own.seconds(frames))
        for device in usable_devices():
            for terms, design in ours.items():
                name = f"{device}, {terms} {'term' if terms == 1 else 'terms'}"
                seconds.setdefault(name, []).append(design.seconds(device))
    return {
        "macs": macs(layers),
        "frames": count,
        "designs": {
            terms: {key: own.design[key] for key in ("lanes", "units", "pixels", "macs")}
            for terms, own in ours.items()
        },
        "hls4ml": {"version": metadata.version("hls4ml"), "precision": PRECISION,
                   "io_type": "io_stream",
                   "compile_seconds": {k: own.compile_seconds for k, own in theirs.items()}},
        "correlation_to_float": {
            **{f"hls4ml, {name}": likeness(own.outputs, wanted) for name, own in theirs.items()},
            **{f"terms {terms}": likeness(own.want, wanted) for terms, own in ours.items()},
        },
        "seconds_per_frame": seconds,
    }  # fmt: skip


def ratios(facts: dict[str, Any]) -> dict[str, float]:
    """Rates of the devices over the faster strategy's of hls4ml, by medians."""
    middle = {name: statistics.median(own) for name, own in facts["seconds_per_frame"].items()}
    theirs = min(value for name, value in middle.items() if name.startswith("hls4ml"))
    return {name: theirs / own for name, own in middle.items() if not name.startswith("hls4ml")}


def report(facts: dict[str, Any], last: dict[str, Any] | None) -> None:
    """Print the figures, the ratios and what changed since the last run."""
    intel = "Intel" in facts["machine"]["processor"]
    found, before = ratios(facts), {} if last is None else ratios(last)
    rows = []
    for name, own in facts["seconds_per_frame"].items():
        middle = statistics.median(own)
        row = [name, f"{middle * 1e3:.2f}", f"{facts['macs'] / middle / 1e9:.3f}"]
        if name in found:
            device = name.partition(",")[0]
            asked = f">= {ASKED[device]:g} x"
            verdict = "PASS" if found[name] >= ASKED[device] else "MISS"
            if device == "intel-cpu" and not intel:
                verdict = "not Intel's processor"
            changed = f"{found[name] / before[name]:.2f}" if name in before else ""
            row += [f"{found[name]:.2f}", asked, verdict, changed]
        rows.append([*row, *[""] * (7 - len(row))])
    print_table(["", "ms a frame", "GMAC/s", "x hls4ml", "asked", "", "x last run"], rows)
    told = ", ".join(f"{k} {v:.4f}" for k, v in facts["correlation_to_float"].items())
    print(f"{facts['macs']:,} multiply-accumulates a frame. Correlation to float: {told}.")


def main() -> int:
    """Exit status 0; a wrong integer ends the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULT, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.frames < 2 or arguments.repetitions < 1:
        parser.error("at least 2 frames and 1 repetition")
    facts: dict[str, Any] = {
        "command": command_line(), "machine": machine(), "versions": versions(),
        "load_before": load(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        facts |= measured(arguments.frames, arguments.repetitions, Path(name))
    facts |= {"load_after": load(), "ratios": ratios(facts)}
    kept = RESULT.read_text(encoding="utf-8") if RESULT.is_file() else "null"
    last = json.loads(kept)
    same = last is not None and last["machine"]["processor"] == facts["machine"]["processor"]
    report(facts, last if same else None)
    write_json(arguments.json, facts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
