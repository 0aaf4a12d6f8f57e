"""Builds and runs many designs on a device in one child process: starting one takes a second.

The product runs each design in a child of its own (``shiftforge.sim.conv.emulate``, which has
tests of its own); this client uses the same ``Accelerator`` below it. The child is this file,
started as a program: it takes a JSON job a line and answers with one line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from devices import BUILD_OPTIONS, use_device
from numpy.typing import NDArray

from shiftforge.kept import OFF

Arrays = dict[str, NDArray[Any]]


class DeviceClient:
    """The child process of a device; started with the first job, and again after a failure."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._child: subprocess.Popen[str] | None = None

    def run(
        self,
        folder: Path,
        codes: NDArray[Any],
        *,
        trace: bool = True,
        strict_depth: bool = False,
        limit_s: float = 300.0,
    ) -> Arrays:
        """Every stored map by tensor name if traced, and the output under its tensor's name.

        Skips the test where the device is not usable.
        """
        use_device(self.device)
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, __file__, self.device],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,
                text=True,
                # Designs that come once: keeping what PoCL compiled takes it 2 s.
                env={**os.environ, OFF: "all"},
            )
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            np.save(work / "codes.npy", codes.astype(np.int16))
            job = {"folder": str(folder), "work": name, "trace": trace, "strict": strict_depth,
                   "options": os.environ.get(BUILD_OPTIONS)}  # fmt: skip
            answer = self._ask(job, limit_s)
            if answer != "done":
                raise RuntimeError(f"{self.device}, {folder}: {answer or 'the process ended'}")
            with np.load(work / "result.npz", allow_pickle=False) as data:
                return {key: data[key] for key in data.files}

    def _ask(self, job: dict[str, Any], limit_s: float) -> str:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            return ""
        timer = threading.Timer(limit_s, child.kill)
        timer.start()
        try:
            child.stdin.write(json.dumps(job) + "\n")
            child.stdin.flush()
            answer = child.stdout.readline().strip()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if answer != "done":
            self.close()
        return answer

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
            self._child = None


def _work(device: str, job: dict[str, Any]) -> str:
    from shiftforge.errors import CheckFailed, ToolFailed
    from shiftforge.generator.conv.manifest import read_conv_manifest
    from shiftforge.generator.manifest import read_manifest
    from shiftforge.quant.graph.file import load_model
    from shiftforge.sim.conv.layout import map_forms
    from shiftforge.sim.conv.runtime import Accelerator

    folder, work = Path(job["folder"]), Path(job["work"])
    model = load_model(folder / "model.safetensors")
    os.environ.pop(BUILD_OPTIONS, None)
    if job["options"] is not None:
        os.environ[BUILD_OPTIONS] = job["options"]
    try:
        accelerator = Accelerator(
            folder, read_conv_manifest(folder, read_manifest(folder)), map_forms(model), device,
            trace=job["trace"], strict_depth=job["strict"],
        )  # fmt: skip
        found = accelerator.run(np.load(work / "codes.npy", allow_pickle=False))
    except (CheckFailed, ToolFailed) as error:
        return str(error).replace("\n", " ")
    np.savez(work / "result.npz", **{**found.maps, model.output: found.output})
    return "done"


def main() -> None:
    """Answers jobs until the input ends."""
    # Runtimes print to the standard output: keep the answers apart from that.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(_work(sys.argv[1], json.loads(line)) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
