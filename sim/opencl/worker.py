"""The child process of ``emulate``: builds the kernels, runs the frames, leaves files behind.

Usage: ``python -m shiftforge.sim.opencl.worker FOLDER`` with job.json and codes.npy in FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.generator.design import read_manifest
from shiftforge.quant.graph.file import load_model
from shiftforge.sim.opencl.runtime import Accelerator, Outputs

__all__ = ["COMPILE_SECONDS", "describe_waits", "main"]

COMPILE_SECONDS = 60.0
"""Allowance for the compilation of a first launch on a busy machine, on top of the stall limit."""


class _Watch:
    """Looks at the emulator's waits; ends the process where no word has moved for a while."""

    def __init__(self, accelerator: Accelerator, work: Path, stall_s: float) -> None:
        self.accelerator, self.work, self.stall_s = accelerator, work, stall_s
        self.words, self.since = -1, time.monotonic()

    def __call__(self) -> None:
        waits = self.accelerator.waits.reshape(-1, 3)
        words = int(waits[:, 2].astype(np.int64).sum())
        if words != self.words:
            self.words, self.since = words, time.monotonic()
            return
        # Before the first word the runtime is still compiling for the processor.
        patience = self.stall_s if words else self.stall_s + COMPILE_SECONDS
        if time.monotonic() - self.since < patience:
            return
        message = "the kernels hang: " + describe_waits(self.accelerator.manifest, waits)
        _fail(self.work, {"kind": "check", "message": message})
        # The kernels cannot be stopped; only the process can.
        os._exit(1)


def describe_waits(manifest: Any, waits: NDArray[np.int32]) -> str:
    """Who waits for what, from rows (reader waits, writer waits, words read) of all channels."""
    parts = []
    for channel, (reader, writer, words) in zip(manifest["channels"], waits.tolist(), strict=True):
        if reader:
            parts.append(f"{channel['reader']} reads empty channel {channel['name']}")
        if writer:
            parts.append(f"{channel['writer']} writes full channel {channel['name']}")
        if reader or writer:
            parts[-1] += f" (after {words} words)"
    return "; ".join(parts) or "no kernel waits on a channel"


def _fail(work: Path, data: dict[str, Any]) -> None:
    (work / "failure.json").write_text(json.dumps(data), encoding="utf-8")


def _run(
    accelerator: Accelerator,
    codes: NDArray[Any],
    job: Mapping[str, Any],
    work: Path,
    report: Callable[[int], None],
) -> tuple[list[Outputs], float]:
    watch = None if accelerator.lowered else _Watch(accelerator, work, float(job["stall_s"]))
    chunk = int(job["chunk"])
    parts = []
    seconds = 0.0
    # The runtimes compile for the processor at the first launch: keep it out of the time.
    accelerator.run(codes[:1], watch)
    for start in range(0, len(codes), chunk):
        parts.append(accelerator.run(codes[start : start + chunk], watch))
        seconds += parts[-1].seconds
        report(min(start + chunk, len(codes)))
    return parts, seconds


def run_job(work: Path) -> None:
    """Run job.json; writes result.npz and report.json."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    codes = np.load(work / "codes.npy", allow_pickle=False)
    folder = Path(job["folder"])
    manifest = read_manifest(folder)
    model = load_model(folder / "model.safetensors")
    shapes = {name: (t.shape, t.grid.signed) for name, t in model.tensors.items()}
    grid = model.tensors[model.input].grid
    if codes.min() < grid.qmin or codes.max() > grid.qmax:
        raise InputError(
            Problem(
                f"input codes {codes.min()} to {codes.max()} leave the grid's range "
                f"{grid.qmin} to {grid.qmax}",
                "quantise the frames onto the model's input grid",
            )
        )
    total = len(codes) * (2 if job["check"] else 1)

    def build(trace: bool) -> Accelerator:
        return Accelerator(
            folder, manifest, shapes, job["device"], trace=trace, strict_depth=job["strict_depth"]
        )

    plain = build(trace=False)
    runs, seconds = _run(plain, codes, job, work, lambda n: print("frames", n, total, flush=True))
    arrays: dict[str, NDArray[Any]] = {"output": np.concatenate([r.output for r in runs])}
    if job["check"]:
        arrays["untraced"] = arrays["output"]
        traced, _ = _run(
            build(trace=True),
            codes,
            job,
            work,
            lambda n: print("frames", len(codes) + n, total, flush=True),
        )
        arrays["output"] = np.concatenate([r.output for r in traced])
        for name in traced[0].maps:
            arrays[f"map:{name}"] = np.concatenate([r.maps[name] for r in traced])
    report = {
        "platform": f"{plain.device.platform.name}, {plain.device.platform.version.strip()}",
        "channels": "lowered" if plain.lowered else "intel",
        "build_seconds": plain.build_seconds,
        "seconds": seconds,
    }
    np.savez(work / "result.npz", **arrays)  # type: ignore[arg-type]
    (work / "report.json").write_text(json.dumps(report), encoding="utf-8")


def guarded(job: Callable[[Path], None]) -> int:
    """Do a job in the folder of the first argument; 0, or 1 with the reason in failure.json."""
    warnings.filterwarnings("ignore")
    work = Path(sys.argv[1])
    try:
        job(work)
    except InputError as error:
        _fail(work, {"kind": "input", "problems": [asdict(p) for p in error.problems]})
        return 1
    except CheckFailed as error:
        _fail(work, {"kind": "check", "message": str(error)})
        return 1
    except ToolFailed as error:
        _fail(work, {"kind": "tool", "message": str(error)})
        return 1
    return 0


def main(job: Callable[[Path], None] = run_job) -> None:
    """Entry point; the exit status is 0 only where the results are complete."""
    status = guarded(job)
    sys.stdout.flush()
    # The Intel runtimes can abort in their exit handlers; the results are written.
    os._exit(status)


if __name__ == "__main__":
    main()
