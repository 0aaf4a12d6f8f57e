"""Compares the tensors of two checkpoints: the first difference, and how far apart layers are.

A checkpoint is a mapping from tensor names to arrays (C, H, W) or (N, C, H, W). Integer arrays are
codes; floating-point arrays are real values. A comparison of nothing, of empty arrays or of arrays
of different shapes raises: only arrays that were compared can agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.quant.graph.types import Grid, QuantizedModel
from shiftforge.sim.trace import Divergence, Stage
from shiftforge.sim.trace import first_divergence as first_in_trace

__all__ = [
    "LayerComparison",
    "compare_checkpoints",
    "first_divergence",
    "tensor_order",
    "tensor_trace",
]

Checkpoint = Mapping[str, NDArray[Any]]
AXES = ("frame", "channel", "row", "column")


@dataclass(frozen=True)
class LayerComparison:
    """How far two checkpoints are apart in one tensor.

    mismatches: elements whose codes differ; where one side holds real values, elements that round
    to another code than the integer side holds; where both do, elements that are not equal.
    max_abs_diff: in real values. sqnr_db: ``10*log10(sum(a**2) / sum((a-b)**2))``, inf where the
    two are equal, -inf where only a is all zero. lowest, highest: of each side, in real values.
    """

    tensor: str
    node: str
    source: str
    total: int
    mismatches: int
    max_abs_diff: float
    sqnr_db: float
    lowest_a: float
    highest_a: float
    lowest_b: float
    highest_b: float

    @property
    def exact(self) -> bool:
        """Whether no element differs."""
        return self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form; an infinite SQNR is null (``max_abs_diff`` tells which)."""
        sqnr = self.sqnr_db if math.isfinite(self.sqnr_db) else None
        return {**asdict(self), "sqnr_db": sqnr, "exact": self.exact}


def tensor_order(model: QuantizedModel) -> tuple[str, ...]:
    """Names of the network's tensors in execution order, the input first."""
    return (model.input, *(node.output for node in model.nodes))


def first_divergence(
    a: Checkpoint,
    b: Checkpoint,
    order: Sequence[str],
    *,
    model: QuantizedModel | None = None,
) -> Divergence | None:
    """Return the first differing element of the first differing tensor, or None where all agree.

    a, b: integer codes by tensor name; a is what b is expected to be. order: the tensors to
    compare, in execution order; those that only one side holds are left out. model: names the node
    and its source in the answer. Raises InputError where nothing can be compared (no common tensor,
    a name that neither side holds, an empty array, floating-point values), CheckFailed where shapes
    differ.
    """
    names = _common(a, b, order)
    _check_arrays(a, b, names, integers_only=True)
    return first_in_trace(tensor_trace(a, names, model), tensor_trace(b, names, model))


def tensor_trace(
    tensors: Checkpoint,
    order: Iterable[str],
    model: QuantizedModel | None = None,
    first: int = 0,
) -> tuple[Stage, ...]:
    """The trace of tensors (C, H, W) or (N, C, H, W) by name, in the given order.

    first: what the first frame is called, where the tensors are of a later batch.
    """

    def stage(name: str) -> Stage:
        array = tensors[name]
        node, source = _made_by(model, name)
        made = f" ({source})" if source else ""
        return Stage(
            name,
            AXES,
            # A single frame has frame 0.
            lambda: array if array.ndim == 4 else array[None],
            label=f"{name} <- {node}{made}" if node else name,
            node=node,
            source=source,
            start=first,
        )

    return tuple(stage(name) for name in order)


def compare_checkpoints(
    a: Checkpoint,
    b: Checkpoint,
    order: Sequence[str],
    *,
    model: QuantizedModel,
) -> list[LayerComparison]:
    """Compare two checkpoints tensor by tensor, in real values; a is the reference of the SQNR.

    Integer arrays are scaled by ``2**exponent`` of their tensor in ``model``; floating-point
    arrays are taken as they are. order: as for ``first_divergence``.
    Raises as ``first_divergence`` does, and CheckFailed for values that are not finite.
    """
    names = _common(a, b, order)
    unknown = [name for name in names if name not in model.tensors]
    if unknown:
        raise InputError(Problem(f"the model holds no tensors {unknown}", "name its tensors"))
    _check_arrays(a, b, names, integers_only=False)
    return [_compare_tensor(a[name], b[name], name, model) for name in names]


def _compare_tensor(
    a: NDArray[Any], b: NDArray[Any], name: str, model: QuantizedModel
) -> LayerComparison:
    grid = model.tensors[name].grid
    real_a, real_b = _real(a, grid), _real(b, grid)
    error = np.abs(real_a - real_b)
    signal, noise = float(np.square(real_a).sum()), float(np.square(error).sum())
    if _is_codes(a) != _is_codes(b):
        unequal = np.not_equal(_codes(a, grid), _codes(b, grid))
    else:
        unequal = np.not_equal(a, b)
    node, source = _made_by(model, name)
    return LayerComparison(
        tensor=name,
        node=node,
        source=source,
        total=a.size,
        mismatches=int(np.count_nonzero(unequal)),
        max_abs_diff=float(error.max()),
        sqnr_db=_decibels(signal, noise),
        lowest_a=float(real_a.min()),
        highest_a=float(real_a.max()),
        lowest_b=float(real_b.min()),
        highest_b=float(real_b.max()),
    )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal else -math.inf


def _common(a: Checkpoint, b: Checkpoint, order: Sequence[str]) -> list[str]:
    problems = [
        Problem(f"tensor {name!r} is in neither checkpoint", "name tensors that were kept")
        for name in order
        if name not in a and name not in b
    ]
    names = [name for name in order if name in a and name in b]
    if not names:
        problems.append(
            Problem(
                f"no tensor to compare: {sorted(a)} and {sorted(b)} share none of {list(order)}",
                "keep the tensors of both runs",
            )
        )
    if problems:
        raise InputError(problems)
    return names


def _check_arrays(a: Checkpoint, b: Checkpoint, names: Iterable[str], integers_only: bool) -> None:
    problems: list[Problem] = []
    differences: list[str] = []
    for name in names:
        for array in (a[name], b[name]):
            numeric = np.issubdtype(array.dtype, np.integer) or (
                not integers_only and np.issubdtype(array.dtype, np.floating)
            )
            if not numeric:
                wanted = "integer codes" if integers_only else "codes or real values"
                problems.append(Problem(f"{array.dtype} values", f"give {wanted}", name))
            elif array.ndim not in (3, 4) or not array.size:
                problems.append(
                    Problem(f"an array of shape {array.shape}", "give (N, C, H, W)", name)
                )
            elif not _is_codes(array) and not np.isfinite(array).all():
                differences.append(f"{name}: values that are not finite")
        if a[name].shape != b[name].shape:
            differences.append(f"{name}: shapes {a[name].shape} and {b[name].shape}")
    if problems:
        raise InputError(problems)
    if differences:
        raise CheckFailed("cannot compare: " + "; ".join(differences))


def _is_codes(array: NDArray[Any]) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))


def _real(array: NDArray[Any], grid: Grid) -> NDArray[np.float64]:
    real = array.astype(np.float64)
    return np.ldexp(real, grid.exponent) if _is_codes(array) else real


def _codes(array: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """Codes of an array; real values go to the nearest code of the grid, ties to even."""
    if _is_codes(array):
        return array
    nearest = np.rint(np.ldexp(array.astype(np.float64), -grid.exponent))
    return np.clip(nearest, grid.qmin, grid.qmax).astype(np.int64)


def _made_by(model: QuantizedModel | None, name: str) -> tuple[str, str]:
    for node in model.nodes if model is not None else ():
        if node.output == name:
            return node.name, node.source
    return "", ""
