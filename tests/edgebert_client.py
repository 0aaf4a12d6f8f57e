"""Runs matrix products of the EdgeBERT unit on a device in a child process, which keeps its builds.

The child is this file, started as a program (see ``device_client``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from device_client import DeviceClient
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.plan.unit import UnitConfig
from shiftforge.sim.opencl.edgebert import MatrixUnit


class UnitClient(DeviceClient):
    """The child process of a device."""

    def product(
        self,
        config: UnitConfig,
        a: ArrayLike,
        b: ArrayLike,
        shift: ArrayLike,
        bias: ArrayLike,
        *,
        text: str | None = None,
        strict: bool = False,
        **options: Any,
    ) -> dict[str, NDArray[Any]]:
        """``MatrixUnit.run``'s values, and masks, stored values and beats where it gives them."""
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, __file__, self.device],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        with tempfile.TemporaryDirectory() as name:
            np.savez(Path(name) / "job.npz", a=a, b=b, shift=shift, bias=bias)
            job = {
                "work": name, "config": asdict(config), "text": text, "strict": strict,
                "options": options,
            }  # fmt: skip
            answer = self._ask(job, 100.0)
            if answer != "done":
                raise RuntimeError(f"{self.device}: {answer or 'the process ended'}")
            with np.load(Path(name) / "result.npz", allow_pickle=False) as data:
                return {key: data[key] for key in data.files}


@cache
def _unit(device: str, config: str, text: str | None, strict: bool) -> MatrixUnit:
    made = UnitConfig(**json.loads(config))
    return MatrixUnit(made, device, text=text, strict_depth=strict)


def _work(device: str, job: dict[str, Any]) -> str:
    work = Path(job["work"])
    unit = _unit(device, json.dumps(job["config"]), job["text"], job["strict"])
    with np.load(work / "job.npz", allow_pickle=False) as data:
        operands = [data[name] for name in ("a", "b", "shift", "bias")]
    try:
        found = unit.run(*operands, **job["options"])
    except (CheckFailed, InputError) as error:
        return str(error).replace("\n", " ")
    arrays: dict[str, Any] = {"values": found.values}
    if found.packed is not None:
        packed = found.packed
        arrays |= {"masks": packed.masks, "stored": packed.values, "beats": packed.beats}
    np.savez(work / "result.npz", **arrays)
    return "done"


def main() -> None:
    """Answers jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(_work(sys.argv[1], json.loads(line)) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
