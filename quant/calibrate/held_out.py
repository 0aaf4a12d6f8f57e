"""What second terms really gain in a layer, measured on inputs that its rounding has not seen.

Error-compensating rounding fits its errors to the second moments that it is given, most of all in
late layers, which have few positions and many inputs: on the same images it looks better than it is
on others. So the weights are rounded for one half of the images and their errors e are measured by
the moments of the other half, e H e^T.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.calibrate.network import walk
from shiftforge.quant.calibrate.rounding import moments, quadratic
from shiftforge.quant.calibrate.sequential import Options, Rounding, round_weights, seen_inputs
from shiftforge.quant.calibrate.wide import WIDEST, WideInputs, error_power
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import ShiftFormat

__all__ = ["held_out_decrease"]


def held_out_decrease(
    graph: FloatGraph, images: NDArray[np.float32], bits: int, rounding: Rounding = "compensated"
) -> dict[str, NDArray[np.float64]]:
    """By convolution, e H e^T of one-term weights less that of two-term weights, (O,).

    Below 0 where two terms were no better. images: normalised (N, C, H, W); a single one is both
    halves. bits: of a term. rounding: as the weights will be rounded. Every layer is rounded alone,
    on the float network's inputs. Deterministic on one thread.
    """
    options = Options(rounding=rounding, asymmetric=False)
    one, two = ShiftFormat(bits, 1, "S1"), ShiftFormat(bits, 2, "SEL")
    decrease: dict[str, NDArray[np.float64]] = {}
    for node, live in walk(graph, images):
        if isinstance(node, FloatConv):
            x = live[node.input]
            seen, other = (x[::2], x[1::2]) if len(x) > 1 else (x, x)
            found = seen_inputs(node, seen, seen)
            errors = [_error(node, round_weights(node, found, fmt, options)) for fmt in (one, two)]
            left, least = _powers(node, other, errors)
            decrease[node.name] = (left - least).reshape(-1).numpy()
    return decrease


def _powers(
    node: FloatConv, x: torch.Tensor, errors: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """e H e^T a sample of two sets of errors, each (groups, rows)."""
    if node.weight[0].size > WIDEST:
        wide = WideInputs(node, x, x)
        samples = wide.means(slice(0, 1))[2]
        first, second = (error_power(wide, error) / samples for error in errors)
        return first, second
    kept = moments(node, x, x)
    first, second = (quadratic(error, kept.hessian) / kept.samples for error in errors)
    return first, second


def _error(node: FloatConv, rounded: tuple[NDArray[np.int8], NDArray[np.int8]]) -> torch.Tensor:
    """The weights less their rounded values, (groups, rows, K)."""
    w_int, z = rounded
    real = np.ldexp(w_int.astype(np.float64), z.astype(np.int64)[:, None, None, None])
    error = torch.from_numpy(node.weight.astype(np.float64) - real)
    return error.reshape(node.groups, len(w_int) // node.groups, -1)
