"""The stages of ``mobilenet_224.py``, each for a process of its own (see child.py).

    python bench/conv/stages.py STAGE FOLDER [ARGUMENTS]

A stage prints one JSON line when it is ready. The timed float stages then run once for every line
of their input and print seconds a frame. Files pass through FOLDER: float.onnx, model.safetensors,
frames.npz (float32 images and integer codes), design-*/.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
from numpy.typing import NDArray

SOURCE = "mobilenet_v2_random"
SIDE = 224


def say(**facts: Any) -> None:
    """One JSON line."""
    print(json.dumps(facts), flush=True)


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def serve(run: Callable[[int, int, int], object], frames: int, cores: int) -> None:
    """Time ``run(frames, batch, threads)`` in each way, once a line of input."""
    ways = {
        "batch 1, 1 thread": (1, 1),
        f"batch 1, {cores} threads": (1, cores),
        f"batch {frames}, {cores} threads": (frames, cores),
    }
    for _ in sys.stdin:
        found = {}
        for name, (batch, threads) in ways.items():
            run(batch, batch, threads)  # threads wake up, weights come back into the caches
            started = time.perf_counter()
            run(frames, batch, threads)
            found[name] = (time.perf_counter() - started) / frames
        say(**found)


def quantise(folder: Path, calibration: int, frames: int) -> None:
    """Capture, quantise with the default options, save the model and its ONNX twin."""
    from shiftforge.quant.calibrate.images import normalise
    from shiftforge.quant.capture.source import load_source
    from shiftforge.quant.data.inputs import load_frames, to_codes
    from shiftforge.quant.export.float_onnx import export_float
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quant.quantize import quantize

    started = time.perf_counter()
    graph = load_source(SOURCE)
    loaded, before = time.perf_counter() - started, peak_mb()
    images = load_frames("random:0", graph.preprocess, limit=calibration).images
    started = time.perf_counter()
    model = quantize(graph, images)
    seconds, peak = time.perf_counter() - started, peak_mb()
    save_model(model, folder / "model.safetensors")
    (folder / "float.onnx").write_bytes(export_float(graph).SerializeToString())
    timed = load_frames("random:1", graph.preprocess, limit=frames).images
    codes = to_codes(timed, model.preprocess, model.tensors[model.input].grid)
    np.savez(folder / "frames.npz", codes=codes, images=normalise(timed, graph.preprocess))
    say(
        load_seconds=loaded,
        seconds=seconds,
        peak_mb=peak,
        peak_before_mb=before,
        calibration_frames=calibration,
    )


def generate(folder: Path, board_name: str, repetitions: int) -> None:
    """Generate and write the fixed 16 x 7 array and what the search finds; median seconds."""
    from shiftforge.boards.load import load_board
    from shiftforge.generator.conv.target import generate as make
    from shiftforge.quant.graph.file import load_model

    model, board = load_model(folder / "model.safetensors"), load_board(board_name)
    found: dict[str, Any] = {}
    for name, shape in (("fixed", (16, 7)), ("search", (None, None))):
        taken = []
        for i in range(repetitions):
            started = time.perf_counter()
            design = make(model, board, units=shape[0], pixels=shape[1])
            design.write(folder / f"design-{name}{i}")
            taken.append(time.perf_counter() - started)
        found[name] = {"seconds": taken, "median": statistics.median(taken), **design.report}
    say(**found)


def golden(folder: Path) -> None:
    """The numpy reference's output of every frame, into golden.npy."""
    from shiftforge.quant.graph.file import load_model
    from shiftforge.sim.golden.conv.network import run_golden

    model = load_model(folder / "model.safetensors")
    codes = np.load(folder / "frames.npz")["codes"]
    started = time.perf_counter()
    output = run_golden(model, codes)[model.output]
    seconds = (time.perf_counter() - started) / len(codes)
    np.save(folder / "golden.npy", output.reshape(len(codes), -1))
    say(seconds_per_frame=seconds)


def emulate(folder: Path, device: str) -> None:
    """One batch on a device; its output is held against golden.npy."""
    from shiftforge.sim.conv.emulate import emulate as run

    codes = np.load(folder / "frames.npz")["codes"]
    wanted = np.load(folder / "golden.npy")
    started = time.perf_counter()
    result = run(folder / "design-fixed0", device, codes)
    say(
        process_seconds=time.perf_counter() - started,
        seconds_per_frame=result.seconds_per_sample,
        build_seconds=result.build_seconds,
        platform=result.platform,
        channels=result.channels,
        mismatches=int((result.outputs != wanted).sum()),
    )


def pytorch(folder: Path) -> None:
    """The network as transformers defines it, eager, frame by frame and as one batch."""
    import torch

    from shiftforge.quant.models.random import random_mobilenet_v2

    network = random_mobilenet_v2(1.0, SIDE)
    images = torch.from_numpy(np.load(folder / "frames.npz")["images"])
    cores = torch.get_num_threads()

    def run(frames: int, batch: int, threads: int) -> torch.Tensor:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            parts = [network(images[i : i + batch]).logits for i in range(0, frames, batch)]
        return torch.cat(parts)

    np.save(folder / "pytorch.npy", run(len(images), 1, cores).numpy())
    say(threads=cores)
    serve(run, len(images), cores)


def onnxruntime(folder: Path) -> None:
    """The same network, batch norm folded, in ONNX Runtime's processor back end."""
    import onnxruntime as ort

    images = np.load(folder / "frames.npz")["images"]
    cores = len(os.sched_getaffinity(0))
    sessions = {}
    for threads in (1, cores):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        sessions[threads] = ort.InferenceSession(
            str(folder / "float.onnx"), options, providers=["CPUExecutionProvider"]
        )
    name = sessions[1].get_inputs()[0].name

    def run(frames: int, batch: int, threads: int) -> NDArray[np.float32]:
        starts = range(0, frames, batch)
        parts = [sessions[threads].run(None, {name: images[i : i + batch]})[0] for i in starts]
        return np.concatenate(parts).reshape(frames, -1)

    wanted = np.load(folder / "pytorch.npy")
    distance = float(np.abs(run(len(images), 1, cores) - wanted).max() / np.abs(wanted).max())
    say(threads=cores, relative_distance_to_pytorch=distance)
    serve(run, len(images), cores)


def main() -> None:
    """Run the stage that the arguments name."""
    stage, folder, *rest = sys.argv[1:]
    root = Path(folder)
    if stage == "quantise":
        quantise(root, int(rest[0]), int(rest[1]))
    elif stage == "generate":
        generate(root, rest[0], int(rest[1]))
    elif stage == "golden":
        golden(root)
    elif stage == "emulate":
        emulate(root, rest[0])
    elif stage == "pytorch":
        pytorch(root)
    elif stage == "onnxruntime":
        onnxruntime(root)
    else:
        raise SystemExit(f"unknown stage {stage!r}")


if __name__ == "__main__":
    main()
