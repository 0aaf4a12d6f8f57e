"""The same frames at two checkpoints: how far apart every layer is, and the first difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.quant.graph.types import QuantizedModel
    from shiftforge.sim.compare import Divergence, LayerComparison

__all__ = [
    "CHECKPOINTS",
    "DEVICES",
    "PairComparison",
    "check_checkpoints",
    "compare_pair",
    "default_pairs",
    "run_checkpoint",
]

DEVICES = ("pocl", "intel-cpu", "intel-fpga-emu")
CHECKPOINTS = ("float", "fake-quantised", "golden", *DEVICES)
"""In the order of the flow. All but "float" hold the same integers."""

Progress = Callable[[str, int, int], None]
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class PairComparison:
    """Two checkpoints side by side.

    expected_exact: whether any difference is a fault (not where one of them is the float network).
    mismatches: elements whose codes differ, over all layers. output_sqnr_db: of b's output, a being
    the reference. top1_agreement: share of frames with the same largest output.
    """

    a: str
    b: str
    samples: int
    expected_exact: bool
    layers: tuple[LayerComparison, ...]
    divergence: Divergence | None
    output_sqnr_db: float
    top1_agreement: float

    @property
    def mismatches(self) -> int:
        """Elements that differ, over all layers."""
        return sum(layer.mismatches for layer in self.layers)

    @property
    def passed(self) -> bool:
        """False where the two had to be equal and are not."""
        return not self.expected_exact or self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {
            "from": self.a,
            "to": self.b,
            "samples": self.samples,
            "expected_exact": self.expected_exact,
            "bit_exact": self.mismatches == 0,
            "mismatches": self.mismatches,
            "output_sqnr_db": self.output_sqnr_db,
            "top1_agreement": self.top1_agreement,
            "divergence": self.divergence.to_dict() if self.divergence else None,
            "layers": [layer.to_dict() for layer in self.layers],
        }


def check_checkpoints(*names: str) -> None:
    """Raise InputError for a name that is no checkpoint, or for two that are the same."""
    known = ", ".join(CHECKPOINTS)
    problems = [
        Problem(f"unknown checkpoint {name!r}", f"use one of: {known}")
        for name in names
        if name not in CHECKPOINTS
    ]
    if len(names) > 1 and len(set(names)) == 1:
        problems.append(
            Problem(f"{names[0]!r} would be compared with itself", f"use two of: {known}")
        )
    if problems:
        raise InputError(problems)


def default_pairs(devices: Iterable[str] = DEVICES) -> tuple[tuple[str, str], ...]:
    """The whole flow: float, fake-quantised and golden in a chain, then golden and each device."""
    return (
        ("float", "fake-quantised"),
        ("fake-quantised", "golden"),
        *(("golden", device) for device in devices),
    )


def run_checkpoint(
    name: str,
    folder: Path,
    model: QuantizedModel,
    images: NDArray[np.uint8],
    *,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> Tensors:
    """Every tensor of the frames uint8 (N, H, W, C) at a checkpoint, by name, each (N, C, H, W).

    "float" gives real values, all others integer codes. A device gives the maps that its controller
    stores, and the output.
    """
    from shiftforge.sim.conv.emulation import codes_of, golden_frames

    codes = codes_of(model, images)
    if name == "float":
        from shiftforge.quant.simulate import run_float_checkpoints

        return run_float_checkpoints(model, images)
    if name == "fake-quantised":
        from shiftforge.quant.simulate import run_fake_quantised

        return run_fake_quantised(model, codes)
    if name == "golden":
        parts = [tensors for _, tensors in golden_frames(model, codes, progress)]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    from shiftforge.sim.conv.emulate import emulate

    result = emulate(folder, name, codes, check=True, time_limit_s=time_limit_s, progress=progress)
    shape = (len(codes), *model.tensors[model.output].shape)
    return {**(result.traces or {}), model.output: result.outputs.reshape(shape)}


def compare_pair(
    model: QuantizedModel, a: str, b: str, tensors_a: Tensors, tensors_b: Tensors
) -> PairComparison:
    """Compare what ``run_checkpoint`` gave for a and b over the tensors that both hold."""
    from shiftforge.sim.compare import compare_checkpoints, first_divergence, tensor_order

    order = [name for name in tensor_order(model) if name in tensors_a and name in tensors_b]
    layers = tuple(compare_checkpoints(tensors_a, tensors_b, order, model=model))
    exact = "float" not in (a, b)
    divergence = None
    if exact and any(layer.mismatches for layer in layers):
        divergence = first_divergence(tensors_a, tensors_b, order, model=model)
    classes_a, classes_b = (_classes(t[model.output]) for t in (tensors_a, tensors_b))
    return PairComparison(
        a=a,
        b=b,
        samples=len(classes_a),
        expected_exact=exact,
        layers=layers,
        divergence=divergence,
        output_sqnr_db=next(x.sqnr_db for x in layers if x.tensor == model.output),
        top1_agreement=float(np.mean(classes_a == classes_b)),
    )


def _classes(outputs: NDArray[Any]) -> NDArray[np.intp]:
    classes: NDArray[np.intp] = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return classes
