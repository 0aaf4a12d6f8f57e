"""Runs a design on an OpenCL device in a child process with a time limit.

A child, because an OpenCL runtime can abort or hang the process it lives in (and the emulator's
kernels stop only with it), and because the runtimes must be found before a process's first OpenCL
call. A hang is reported with the channels that are full or empty.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge import __version__
from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.generator.design import MANIFEST, read_manifest
from shiftforge.generator.emit.project import INTERFACE
from shiftforge.sim.opencl.probe import require_device

__all__ = ["EmulationResult", "emulate", "run_child"]

Progress = Callable[[str, int, int], None]

CHUNK_FRAMES = 8
_REMEDY = "run `shiftforge generate` again into an empty folder"


@dataclass(frozen=True, eq=False)
class EmulationResult:
    """What a device made of the frames.

    outputs: int32 (N, K), the network's output codes, flattened.
    traces: every stored map as (N, C, H, W) codes; None without ``check``.
    channels: "intel" (real cl_intel_channels) or "lowered" (bounded FIFOs in global memory).
    seconds_per_sample: wall time of the kernels after a warm-up frame, without building them.
    """

    outputs: NDArray[np.int32]
    traces: Mapping[str, NDArray[np.int64]] | None
    device: str
    platform: str
    channels: str
    samples: int
    build_seconds: float
    seconds_per_sample: float


def emulate(
    folder: str | Path,
    device: str,
    codes: NDArray[np.integer],
    *,
    check: bool = False,
    time_limit_s: float = 600.0,
    strict_depth: bool = False,
    stall_s: float = 20.0,
    progress: Progress | None = None,
) -> EmulationResult:
    """Run (N, C, H, W) input codes through a generated folder.

    check: trace every stored map, and hold the traced run's output against an untraced run's.
    time_limit_s: for everything the child does. strict_depth: channels as deep as in hardware.
    stall_s: where the emulator's channels do not move for this long, the run counts as hung.
    Raises InputError for an unknown or unusable device, a folder that was not generated or whose
    data files are missing or truncated, or frames of the wrong shape (an edited kernel text is run
    as it is); CheckFailed where the channels stop or traced and untraced results differ;
    ToolFailed for a crash, a refusal of the compiler or a run past the limit.
    """
    require_device(device)
    root = Path(folder)
    manifest = read_manifest(root)
    _check_files(root, manifest)
    shape = tuple(manifest["image"])
    if codes.ndim != 4 or codes.shape[1:] != shape or len(codes) == 0:
        raise InputError(
            Problem(
                f"frames have the shape {codes.shape}, the design takes (N, {shape[0]}, "
                f"{shape[1]}, {shape[2]}) with N >= 1",
                "use the preprocessing that the model file describes",
            )
        )
    with tempfile.TemporaryDirectory(prefix="shiftforge-run-") as name:
        work = Path(name)
        np.save(work / "codes.npy", codes)
        job = {
            "folder": str(root.resolve()),
            "device": device,
            "check": check,
            "strict_depth": strict_depth,
            "stall_s": stall_s,
            "chunk": CHUNK_FRAMES,
        }
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        run_child(
            "shiftforge.sim.opencl.worker", work, device, time_limit_s,
            "raise --time-limit, or take fewer frames", progress,
        )  # fmt: skip
        report = json.loads((work / "report.json").read_text(encoding="utf-8"))
        with np.load(work / "result.npz", allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
    outputs = arrays.pop("output")
    if check and not np.array_equal(outputs, arrays.pop("untraced")):
        raise CheckFailed(f"{device}: the traced and the untraced run give different outputs")
    return EmulationResult(
        outputs=outputs.reshape(len(outputs), -1).astype(np.int32),
        traces={key[4:]: value for key, value in arrays.items()} if check else None,
        device=device,
        platform=report["platform"],
        channels=report["channels"],
        samples=len(codes),
        build_seconds=report["build_seconds"],
        seconds_per_sample=report["seconds"] / len(codes),
    )


def _check_files(root: Path, manifest: Mapping[str, Any]) -> None:
    """Every file of the design is there, has its size, and no symbolic link leads elsewhere."""
    problems = []
    interface = f"{__version__}/{INTERFACE}"
    if manifest.get("interface") != interface:
        problems.append(
            Problem(
                f"the design was generated by another version (interface "
                f"{manifest.get('interface')!r}, here {interface!r})",
                _REMEDY,
                str(root / MANIFEST),
            )
        )
    for name in manifest["files"]:
        path = root / name
        if path.is_symlink() or not path.is_file():
            problems.append(Problem("a file of the design is missing", _REMEDY, str(path)))
    sizes = manifest.get("sizes", {})
    for name, size in sizes.items():
        path = root / name
        if path.is_file() and path.stat().st_size != size:
            problems.append(
                Problem(
                    f"the file has {path.stat().st_size:,} bytes, the design wrote {size:,}",
                    _REMEDY,
                    str(path),
                )
            )
    if problems:
        raise InputError(problems)


def run_child(
    module: str, work: Path, device: str, limit: float, remedy: str,
    progress: Progress | None = None,
) -> None:  # fmt: skip
    """Run a module on a work folder in a child process, at most ``limit`` seconds.

    Raises ToolFailed where it crashes, takes longer (with the remedy) or its compiler refuses the
    text, CheckFailed where it says so, InputError where it found its input bad.
    """
    command = [sys.executable, "-m", module, str(work)]
    log = (work / "stderr.txt").open("w+", encoding="utf-8", errors="replace")
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
    )
    reader = threading.Thread(target=_follow, args=(child, device, progress), daemon=True)
    reader.start()
    try:
        child.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise ToolFailed(f"{device}: no result within {limit:g} seconds ({remedy})") from None
    finally:
        if child.poll() is None:
            child.kill()
        reader.join(timeout=5)
        log.close()
    if child.returncode != 0:
        raise _failure(work, device, child.returncode)


def _follow(child: subprocess.Popen[str], device: str, progress: Progress | None) -> None:
    for line in child.stdout or ():
        words = line.split()
        if progress is not None and len(words) == 3 and words[0] == "frames":
            progress(device, int(words[1]), int(words[2]))


def _failure(work: Path, device: str, code: int) -> Exception:
    """What the child left behind: a checked message, a user's mistake, or a crash."""
    path = work / "failure.json"
    if path.is_file():
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["kind"] == "input":
            return InputError([Problem(**p) for p in data["problems"]])
        kind = ToolFailed if data["kind"] == "tool" else CheckFailed
        return kind(f"{device}: {data['message']}")
    tail = (work / "stderr.txt").read_text(encoding="utf-8", errors="replace")[-2000:]
    return ToolFailed(f"{device}: the run ended with status {code}\n{tail}".rstrip())
