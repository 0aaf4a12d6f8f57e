"""Rounding of weights onto the levels of a format so that the layer's output error is small.

Error-compensating rounding (OBQ / GPTQ): the columns of W are rounded one after another and what
each loses is made good on the columns not yet rounded, through the Cholesky factor of the inverse
of H = sum(x x^T) over calibration inputs (Frantar et al., "GPTQ", ICLR 2023). Then sweeps of
coordinate descent on the same quadratic form, each step of which can only lower the error.

A convolution is treated as G groups of R rows by K columns: G = 1 for an ordinary layer, G =
channels, R = 1, K = kh*kw for a depthwise one; all rows and groups are rounded at once. Layers of
more inputs than a matrix of K x K is held for are rounded in blocks (``wide.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional

from shiftforge.quant.calibrate.network import chunks, pad
from shiftforge.quant.capture.types import FloatConv

__all__ = [
    "SAMPLES",
    "Moments",
    "columns",
    "compensate",
    "damped",
    "magnitude_scale",
    "moments",
    "nearest",
    "quadratic",
    "retarget",
    "rounding_table",
    "spatial_stride",
]

DAMPING = 0.01
# Mean second moment below which inputs count as constant: what is left is the sums' own rounding.
_FLOOR = 1e-20
# Exponent of inputs whose squares, summed, are far from the ends of float32.
_LARGEST = 32
BLOCK = 32
# Samples of a layer's inputs that its moments are taken from, at an even spatial stride.
SAMPLES = 1 << 13


@dataclass(frozen=True, eq=False)
class Moments:
    """Centred second moments of a layer's inputs.

    hessian: (G, K, K), sum over samples of (q - mean q)(q - mean q)^T, q the quantised inputs.
    cross: (G, K, K), sum of (f - mean f)(q - mean q)^T, f the float network's inputs. Both of
    inputs times one power of two where their squares would leave the range of float32: rounding
    depends on the moments' proportions alone.
    samples: how many columns were summed.
    """

    hessian: torch.Tensor
    cross: torch.Tensor
    samples: int


def columns(node: FloatConv, x: torch.Tensor, stride: int) -> torch.Tensor:
    """Patches of (N, C, H, W) as (G, K, samples)."""
    kernel = node.weight.shape[2:]
    padded = pad(x, node.padding)
    if tuple(kernel) == (1, 1):
        patches = padded[:, :, ::stride, ::stride].flatten(2)
    else:
        patches = functional.unfold(padded, tuple(kernel), node.dilation, 0, stride)
    n, rows, length = patches.shape
    grouped = patches.view(n, node.groups, rows // node.groups, length)
    return grouped.permute(1, 2, 0, 3).reshape(node.groups, rows // node.groups, n * length)


def moments(node: FloatConv, floats: torch.Tensor, quantised: torch.Tensor) -> Moments:
    """Moments of a convolution's inputs in the float and in the quantised network (N, C, H, W).

    They are centred because the bias is corrected after rounding: an error in the mean is free.
    """
    k = node.weight[0].size
    hessian = torch.zeros(node.groups, k, k, dtype=torch.float64)
    cross = torch.zeros_like(hessian)
    sum_q = torch.zeros(node.groups, k, dtype=torch.float64)
    sum_f = torch.zeros_like(sum_q)
    samples = 0
    stride = spatial_stride(node, quantised, max(SAMPLES, 16 * k))
    scale = magnitude_scale(quantised, floats)
    for part in chunks(quantised.shape[0]):
        q = columns(node, quantised[part] * scale if scale != 1 else quantised[part], stride)
        f = columns(node, floats[part] * scale if scale != 1 else floats[part], stride)
        hessian += torch.bmm(q, q.transpose(1, 2)).double()
        cross += torch.bmm(f, q.transpose(1, 2)).double()
        sum_q += q.sum(2).double()
        sum_f += f.sum(2).double()
        samples += q.shape[2]
    hessian -= sum_q.unsqueeze(2) * sum_q.unsqueeze(1) / samples
    cross -= sum_f.unsqueeze(2) * sum_q.unsqueeze(1) / samples
    return Moments(hessian, cross, samples)


def spatial_stride(node: FloatConv, x: torch.Tensor, samples: int) -> int:
    """The stride at which a convolution's patches of (N, C, H, W) are about so many."""
    area = x.shape[0] * x.shape[2] * x.shape[3] / node.stride**2
    return node.stride * max(1, round(math.sqrt(area / samples)))


def magnitude_scale(*inputs: torch.Tensor) -> float:
    """1, or the power of two that brings very large or small values near 1."""
    peak = max(float(values.abs().max()) for values in inputs)
    exponent = math.frexp(peak)[1]
    return 1.0 if peak == 0 or abs(exponent) <= _LARGEST else math.ldexp(1.0, -exponent)


def damped(hessian: torch.Tensor, damping: float = DAMPING) -> torch.Tensor:
    """H with a share of its mean diagonal added to the diagonal.

    The identity is added instead where the mean is below 1e-20 (no input, or next to none), and the
    diagonal alone is kept where rounding has left H indefinite.
    """
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    mean = diagonal.mean(1)
    extra = torch.where(mean > _FLOOR, damping * mean, torch.ones_like(mean))
    eye = torch.eye(hessian.shape[1], dtype=hessian.dtype)
    full = hessian + extra[:, None, None] * eye
    bad = torch.linalg.cholesky_ex(full).info > 0
    if bool(bad.any()):
        alone = torch.diag_embed(diagonal.clamp(min=0) + extra[:, None])
        full = torch.where(bad[:, None, None], alone, full)
    return full


def retarget(weight: torch.Tensor, found: Moments, damping: float) -> torch.Tensor:
    """Real weights (G, R, K) that best give the float outputs from the quantised inputs.

    W + W (C - H)(H + damping)^-1: ridge regression of the float network's output on the quantised
    inputs, shrunk towards the float weights.
    """
    wanted = (weight @ (found.cross - found.hessian)).transpose(1, 2)
    step: torch.Tensor = torch.linalg.solve(damped(found.hessian, damping), wanted)
    return weight + step.transpose(1, 2)


def rounding_table(magnitudes: torch.Tensor) -> torch.Tensor:
    """Nearest level by ``ceil(2 |v|)``, for a symmetric set of ascending integer magnitudes.

    The middles between integer levels are multiples of one half, so every v in ((i-1)/2, i/2] has
    the same nearest level; a middle itself goes to the smaller magnitude.
    """
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    halves = torch.arange(int(2 * magnitudes[-1]) + 1, dtype=magnitudes.dtype) / 2
    return magnitudes[torch.bucketize(halves, middles)]


def nearest(
    value: torch.Tensor, table: torch.Tensor, kind: torch.Tensor | None = None
) -> torch.Tensor:
    """The nearest level of every value, which may be of any size; ties to the smaller magnitude.

    table: of ``rounding_table``; with kind (int64, of value's shape), the tables (kinds, n) of
    which each value uses its own.
    """
    size = table.shape[-1]
    index = (value.abs() * 2).ceil_().clamp_(max=size - 1).long()
    if kind is not None:
        index += kind * size
    return torch.sign(value) * table.view(-1)[index]


def _kinds(
    magnitudes: torch.Tensor,
    coarse: torch.Tensor | None,
    allowed: torch.Tensor | None,
    zero: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Rounding tables, (n,) or (kinds, n), and which one each weight uses, (G, R, K)."""
    tables, kind = [rounding_table(magnitudes)], None
    if allowed is not None and coarse is not None:
        middles = (coarse[1:] + coarse[:-1]) / 2
        halves = torch.arange(tables[0].shape[0], dtype=tables[0].dtype) / 2
        tables.insert(0, coarse[torch.bucketize(halves, middles)])
        kind = allowed.long()
    if zero is not None and bool(zero.any()):
        kind = zero.long() if kind is None else torch.where(zero, len(tables), kind)
        tables.append(torch.zeros_like(tables[0]))
    return (tables[0] if kind is None else torch.stack(tables)), kind


def _pass(
    target: torch.Tensor, factor: torch.Tensor, table: torch.Tensor, kind: torch.Tensor | None
) -> torch.Tensor:
    """One compensating pass over the columns of target (G, R, K); factor is upper, (G, K, K)."""
    rest = target.clone()
    result = torch.empty_like(target)
    columns = target.shape[2]
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        block = rest[:, :, start:stop].clone()
        local = factor[:, start:stop, start:stop]
        errors = torch.empty_like(block)
        for j in range(stop - start):
            value = block[:, :, j]
            rounded = nearest(value, table, None if kind is None else kind[:, :, start + j])
            error = (value - rounded) / local[:, j, j].unsqueeze(1)
            block[:, :, j:] -= error.unsqueeze(2) * local[:, j, j:].unsqueeze(1)
            result[:, :, start + j] = rounded
            errors[:, :, j] = error
        rest[:, :, stop:] -= errors @ factor[:, start:stop, stop:]
    return result


def _descend(
    target: torch.Tensor,
    start: torch.Tensor,
    hessian: torch.Tensor,
    table: torch.Tensor,
    kind: torch.Tensor | None,
) -> torch.Tensor:
    """One sweep of coordinate descent on (target - w) H (target - w)^T over all columns."""
    result = start.clone()
    slope = (target - start) @ hessian
    columns = target.shape[2]
    for first in range(0, columns, BLOCK):
        last = min(first + BLOCK, columns)
        block = slope[:, :, first:last].clone()
        local = hessian[:, first:last, first:last]
        moves = torch.zeros_like(block)
        for j in range(last - first):
            old = result[:, :, first + j]
            own = None if kind is None else kind[:, :, first + j]
            new = nearest(old + block[:, :, j] / local[:, j, j].unsqueeze(1), table, own)
            moves[:, :, j] = new - old
            block -= moves[:, :, j].unsqueeze(2) * local[:, j].unsqueeze(1)
            result[:, :, first + j] = new
        slope -= moves @ hessian[:, first:last]
    return result


def quadratic(error: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    """e H e^T of every row: (G, R, K), (G, K, K) -> (G, R)."""
    return ((error @ hessian) * error).sum(2)


def compensate(
    weight: torch.Tensor,
    hessian: torch.Tensor,
    scales: torch.Tensor,
    magnitudes: torch.Tensor,
    *,
    coarse: torch.Tensor | None = None,
    allowed: torch.Tensor | None = None,
    zero: torch.Tensor | None = None,
    damping: float = DAMPING,
    sweeps: int = 2,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Round weights (G, R, K) to levels times a scale a row, minimising e (H + damping) e^T.

    scales: (S, G, R), the candidate scales of each row; all are tried, each row keeps its best.
    magnitudes: ascending magnitudes of the levels, from 0. allowed: bool (G, R, K), the weights
    that may take all of them; the others take the magnitudes ``coarse``, some of them alone. zero:
    bool (G, R, K), the weights that become 0 whatever that costs, those of a pruned network.
    Returns the integer levels (G, R, K) and the index (G, R) of each row's scale.
    """
    full = damped(hessian, damping)
    order = full.diagonal(dim1=1, dim2=2).mean(0).argsort(descending=True, stable=True)
    full = full[:, order][:, :, order]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(full))
    factor = torch.linalg.cholesky(inverse, upper=True)
    targets = weight[:, :, order].unsqueeze(0) / scales.unsqueeze(3)
    count, groups, rows, k = targets.shape
    flat = targets.permute(1, 0, 2, 3).reshape(groups, count * rows, k)
    table, kind = _kinds(magnitudes, coarse, allowed, zero)
    own = None if kind is None else kind[:, :, order]
    levels = _pass(flat, factor, table, None if own is None else own.repeat(1, count, 1))
    error = quadratic(flat - levels, full).view(groups, count, rows).permute(1, 0, 2) * scales**2
    choice = error.argmin(0)
    pick = choice.unsqueeze(1).unsqueeze(3).expand(groups, 1, rows, k)
    levels = levels.view(groups, count, rows, k).gather(1, pick).squeeze(1)
    target = flat.view(groups, count, rows, k).gather(1, pick).squeeze(1)
    for _ in range(sweeps):
        levels = _descend(target, levels, full, table, own)
    result = torch.empty_like(levels)
    result[:, :, order] = levels
    return result, choice
