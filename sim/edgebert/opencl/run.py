"""Runs the EdgeBERT unit's kernels in a child process with a time limit.

A child, because an OpenCL runtime can abort or hang the process it lives in, and because hanging
kernels stop only with it (see ``emulate``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.opencl.encoder import EncoderUnit
from shiftforge.sim.edgebert.opencl.product import PLAIN, MatrixUnit, Product, ProductOptions
from shiftforge.sim.edgebert.operands import ProductOperands
from shiftforge.sim.golden.edgebert.encoder import LayerWeights, Unit
from shiftforge.sim.opencl.child import in_child
from shiftforge.sim.opencl.probe import require_device

__all__ = ["LayerRun", "LayersRun", "Limits", "do_job", "run_layer", "run_layers", "run_product"]

_REMEDY = "raise the time limit, or take a smaller one"


@dataclass(frozen=True, eq=False)
class LayerRun:
    """stages: as golden's ``encoder_layer``. seconds: of the kernels of the last run."""

    stages: dict[str, NDArray[Any]]
    seconds: float
    build_seconds: float


@dataclass(frozen=True, eq=False)
class LayersRun:
    """stages: of each layer, as golden's ``encoder_layer``. seconds: of all kernels."""

    stages: tuple[dict[str, NDArray[Any]], ...]
    seconds: float


@dataclass(frozen=True)
class Limits:
    """time_limit_s: of the child process. stall_s: see ``UnitProgram``."""

    time_limit_s: float = 600.0
    stall_s: float = 20.0


LIMITS = Limits()


def run_layer(
    design: UnitDesign, device: str, x: ArrayLike, layer: LayerWeights, unit: Unit,
    *, text: str | None = None, warm: bool = False, limits: Limits = LIMITS,
) -> LayerRun:  # fmt: skip
    """One encoder layer on a device, see ``EncoderUnit``.

    warm: run it twice and time the second one, as runtimes compile at the first launch.
    Raises InputError where layer and unit do not suit or the device is not usable, CheckFailed for
    a hang, ToolFailed for a crash or a run past the limit.
    """
    require_device(device)
    arguments = (design, device, np.asarray(x), layer, unit, text, warm, limits.stall_s)
    found: LayerRun = _in_child(("layer", arguments), device, limits.time_limit_s)
    return found


def run_layers(
    design: UnitDesign, device: str, x: ArrayLike, layers: Sequence[LayerWeights], unit: Unit,
    *, limits: Limits = LIMITS,
) -> LayersRun:  # fmt: skip
    """Encoder layers on a device, each from what the one before it gave; built once.

    Errors: see ``run_layer``.
    """
    require_device(device)
    arguments = (design, device, np.asarray(x), tuple(layers), unit, limits.stall_s)
    found: LayersRun = _in_child(("layers", arguments), device, limits.time_limit_s)
    return found


def run_product(
    config: UnitConfig, device: str, operands: ProductOperands, options: ProductOptions = PLAIN,
    *, text: str | None = None, time_limit_s: float = 600.0,
) -> Product:  # fmt: skip
    """One matrix product on a device; errors: see ``MatrixUnit.run``."""
    require_device(device)
    arrays = (operands.a, operands.b, operands.shift, operands.bias)
    arguments = (config, device, arrays, text, options)
    found: Product = _in_child(("product", arguments), device, time_limit_s)
    return found


def _in_child(job: tuple[str, tuple[Any, ...]], device: str, limit: float) -> Any:
    return in_child("shiftforge.sim.edgebert.opencl.run:do_job", job, device, limit, _REMEDY)


def do_job(job: tuple[str, tuple[Any, ...]]) -> Any:
    """The child's part."""
    kind, arguments = job
    jobs: dict[str, Callable[..., Any]] = {
        "layer": _layer, "layers": _layers, "product": _product
    }  # fmt: skip
    return jobs[kind](*arguments)


def _layer(
    design: UnitDesign, device: str, x: NDArray[Any], layer: LayerWeights,
    unit: Unit, text: str | None, warm: bool, stall_s: float,
) -> LayerRun:  # fmt: skip
    encoder = EncoderUnit(design, device, text=text, stall_s=stall_s)
    if warm:
        encoder.run(x, layer, unit)
    stages = encoder.run(x, layer, unit)
    return LayerRun(stages, encoder.seconds, encoder.program.build_seconds)


def _layers(
    design: UnitDesign, device: str, x: NDArray[Any],
    layers: tuple[LayerWeights, ...], unit: Unit, stall_s: float,
) -> LayersRun:  # fmt: skip
    encoder = EncoderUnit(design, device, stall_s=stall_s)
    found, seconds = [], 0.0
    for layer in layers:
        found.append(encoder.run(x, layer, unit))
        seconds += encoder.seconds
        x = found[-1]["norm2"]
    return LayersRun(tuple(found), seconds)


def _product(
    config: UnitConfig, device: str, operands: tuple[NDArray[Any], ...], text: str | None,
    options: ProductOptions,
) -> Product:  # fmt: skip
    a, b, shift, bias = operands
    return MatrixUnit(config, device, text=text).run(a, b, shift, bias, options)
