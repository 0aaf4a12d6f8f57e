"""Runs the EdgeBERT unit on a device in a child process, which keeps its builds.

The child is this file, started as a program (see ``device_client``); jobs and results are pickled
into files.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from device_client import DeviceClient
from devices import use_device
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import CheckFailed, InputError, ToolFailed
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.opencl.encoder import EncoderUnit
from shiftforge.sim.edgebert.opencl.product import MatrixUnit, ProductOptions
from shiftforge.sim.edgebert.opencl.sfu import SpecialUnit
from shiftforge.sim.golden.edgebert.encoder import LayerWeights, Unit


@dataclass(frozen=True)
class _Job:
    """kind: "product", "layer" or a method of ``SpecialUnit``."""

    kind: str
    design: UnitDesign
    text: str | None
    strict: bool
    stall_s: float
    arguments: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


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
        job = _Job("product", UnitDesign(config), text, strict, 20.0, (a, b, shift, bias), options)
        found: dict[str, NDArray[Any]] = self._run(job)
        return found

    def layer(
        self,
        design: UnitDesign,
        x: ArrayLike,
        layer: LayerWeights,
        unit: Unit,
        *,
        text: str | None = None,
        strict: bool = False,
        stall_s: float = 20.0,
        limit_s: float = 100.0,
    ) -> dict[str, NDArray[Any]]:
        """``EncoderUnit.run``'s stages, and the kernels' ``seconds``."""
        job = _Job("layer", design, text, strict, stall_s, (x, layer, unit))
        found: dict[str, NDArray[Any]] = self._run(job, limit_s)
        return found

    def special(
        self, design: UnitDesign, method: str, *arguments: Any,
        text: str | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """What a method of ``SpecialUnit`` returns."""
        return self._run(_Job(method, design, text, False, 20.0, arguments, options))

    def _run(self, job: _Job, limit_s: float = 100.0) -> Any:
        use_device(self.device)
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, __file__, self.device],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        with tempfile.TemporaryDirectory() as name:
            # this module is __main__ in the child: plain tuples travel, not the class
            fields = (
                job.kind, job.design, job.text, job.strict, job.stall_s, job.arguments,
                job.options,
            )  # fmt: skip
            (Path(name) / "job").write_bytes(pickle.dumps(fields))
            answer = self._ask({"work": name}, limit_s)
            if answer != "done":
                raise RuntimeError(f"{self.device}: {answer or 'the process ended'}")
            return pickle.loads((Path(name) / "result").read_bytes())


@cache
def _matrix(device: str, config: UnitConfig, text: str | None, strict: bool) -> MatrixUnit:
    return MatrixUnit(config, device, text=text, strict_depth=strict)


@cache
def _encoder(
    device: str, design: UnitDesign, text: str | None, strict: bool, stall_s: float
) -> EncoderUnit:
    return EncoderUnit(
        design, device, text=text, strict_depth=strict, stall_s=stall_s
    )  # fmt: skip


@cache
def _special(device: str, design: UnitDesign, text: str | None) -> SpecialUnit:
    return SpecialUnit(design, device, text=text)


def _result(device: str, job: _Job) -> Any:
    if job.kind == "product":
        unit = _matrix(device, job.design.config, job.text, job.strict)
        found = unit.run(*job.arguments, ProductOptions(**job.options))
        arrays: dict[str, Any] = {"values": found.values}
        if found.packed is not None:
            packed = found.packed
            arrays |= {"masks": packed.masks, "stored": packed.values, "beats": packed.beats}
        return arrays
    if job.kind == "layer":
        encoder = _encoder(device, job.design, job.text, job.strict, job.stall_s)
        stages = encoder.run(*job.arguments)
        return {**stages, "seconds": encoder.seconds}
    special = _special(device, job.design, job.text)
    return getattr(special, job.kind)(*job.arguments, **job.options)


def _work(device: str, work: Path) -> str:
    job = _Job(*pickle.loads((work / "job").read_bytes()))
    try:
        found = _result(device, job)
    except (CheckFailed, InputError, ToolFailed) as error:
        return str(error).replace("\n", " ")
    (work / "result").write_bytes(pickle.dumps(found))
    return "done"


def main() -> None:
    """Answers jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(_work(sys.argv[1], Path(json.loads(line)["work"])) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
