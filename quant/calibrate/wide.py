"""Error-compensating rounding of layers with many inputs, in blocks of them.

The second moments of K inputs are a matrix of K x K: 5 GB for the 25,088 inputs of VGG's first
linear layer. Beyond ``WIDEST`` inputs the columns are cut into blocks of about equal size, each
rounded by the moments of its own inputs. What the blocks before have lost of the layer's outputs on
the calibration inputs, R, is carried along and made good by the next: the real weights that block B
aims at are

    W_B + (W_B (C - H) + R Q_B^T)(H + damping)^-1,

H and C the moments of block B, Q_B its centred inputs: ridge regression of what is still missing.
Each row takes one scale for all blocks, that of least error by the diagonal of H.

Held at once are a block's matrices, R (outputs by samples, at most ``RESIDUALS`` values), and one
block of weights in float64 with its copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

from shiftforge.quant.calibrate.network import chunks
from shiftforge.quant.calibrate.rounding import (
    SAMPLES,
    columns,
    compensate,
    damped,
    magnitude_scale,
    nearest,
    rounding_table,
    spatial_stride,
)
from shiftforge.quant.capture.types import FloatConv

__all__ = ["WIDEST", "WideInputs", "blocks", "error_power", "input_diagonal", "round_wide"]

WIDEST = 4096
# Of layers of more than twice as many inputs: factors of a block's matrix take time with its cube.
_SMALL = 1024
RESIDUALS = 1 << 26


def blocks(inputs: int, widest: int | None = None) -> list[slice]:
    """The columns of a layer in the fewest runs of at most ``widest``, as even as can be.

    Without a number: ``WIDEST``, or 1,024 where more than two of these would be needed.
    """
    if widest is None:
        widest = WIDEST if inputs <= 2 * WIDEST else _SMALL
    count = -(-inputs // widest)
    size, rest = divmod(inputs, count)
    ends = [k * size + min(k, rest) for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


@dataclass(frozen=True, eq=False)
class WideInputs:
    """A convolution's inputs in the float and in the quantised network, (N, C, H, W)."""

    node: FloatConv
    floats: torch.Tensor
    quantised: torch.Tensor

    def _stride(self) -> int:
        rows = self.node.weight.shape[0]
        return spatial_stride(self.node, self.quantised, max(1, min(SAMPLES, RESIDUALS // rows)))

    def parts(self, own: slice) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(quantised, float) inputs of the columns, float64 (G, k, samples), chunk by chunk."""
        stride, scale = self._stride(), magnitude_scale(self.quantised, self.floats)
        for part in chunks(len(self.quantised)):
            q, f = (
                columns(self.node, x[part] * scale, stride)[:, own].double()
                for x in (self.quantised, self.floats)
            )
            yield q, f

    def means(self, own: slice) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Mean of each column in both networks, (G, k, 1), and how many samples there are."""
        total, count = [torch.zeros(()), torch.zeros(())], 0
        for pair in self.parts(own):
            total = [old + new.sum(2, keepdim=True) for old, new in zip(total, pair, strict=True)]
            count += pair[0].shape[2]
        return total[0] / count, total[1] / count, count


def _choice(
    inputs: WideInputs, weight: torch.Tensor, scales: torch.Tensor, table: torch.Tensor,
    widest: int | None,
) -> torch.Tensor:  # fmt: skip
    """Which of the scales (S, G, R) each row takes: the least error by the inputs' powers alone."""
    error = torch.zeros(scales.shape, dtype=torch.float64)
    for own in blocks(weight.shape[2], widest):
        mean, _, _ = inputs.means(own)
        power = sum((q - mean).square().sum(2) for q, _ in inputs.parts(own))
        part = weight[:, :, own].double()
        for k, scale in enumerate(scales):
            lost = part - nearest(part / scale.unsqueeze(2), table) * scale.unsqueeze(2)
            error[k] += (lost.square() * torch.as_tensor(power).unsqueeze(1)).sum(2)
    return error.argmin(0)


def round_wide(
    inputs: WideInputs,
    weight: torch.Tensor,
    scales: torch.Tensor,
    magnitudes: torch.Tensor,
    *,
    coarse: torch.Tensor,
    allowed: torch.Tensor | None,
    asymmetric: bool,
    damping: tuple[float, float],
    sweeps: int,
    widest: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels (G, R, K), float32, and the index (G, R) of each row's scale; as ``compensate``.

    weight: float32 (G, R, K), of which zeros stay zeros. damping: of the moments, and of the
    regression that real weights come from. asymmetric: aim at the float network's outputs rather
    than at the float weights.
    """
    table = rounding_table(magnitudes)
    choice = _choice(inputs, weight, scales, table, widest)
    scale = scales.gather(0, choice.unsqueeze(0))
    levels = torch.empty_like(weight)
    missing: list[torch.Tensor] = []
    for own in blocks(weight.shape[2], widest):
        part = weight[:, :, own].double()
        mean_q, mean_f, _ = inputs.means(own)
        size = part.shape[2]
        hessian = torch.zeros(len(part), size, size, dtype=torch.float64)
        wanted = torch.zeros_like(part)
        for k, (q, f) in enumerate(inputs.parts(own)):
            q, f = q - mean_q, f - mean_f
            hessian += q @ q.transpose(1, 2)
            if asymmetric:
                wanted += (part @ (f - q)) @ q.transpose(1, 2)
            if missing:
                wanted += missing[k].double() @ q.transpose(1, 2)
        step = torch.linalg.solve(damped(hessian, damping[1]), wanted.transpose(1, 2))
        target = part + step.transpose(1, 2)
        target[part == 0] = 0.0
        found, _ = compensate(
            target, hessian, scale, magnitudes, coarse=coarse,
            allowed=None if allowed is None else allowed[:, :, own], zero=part == 0,
            damping=damping[0], sweeps=sweeps,
        )  # fmt: skip
        levels[:, :, own] = found.float()
        real = found * scale[0].unsqueeze(2)
        left = [
            part @ ((f - mean_f) if asymmetric else (q - mean_q)) - real @ (q - mean_q)
            for q, f in inputs.parts(own)
        ]
        if missing:
            left = [old.double() + new for old, new in zip(missing, left, strict=True)]
        missing = [lost.float() for lost in left]
    return levels, choice


def error_power(inputs: WideInputs, error: torch.Tensor) -> torch.Tensor:
    """e H e^T of every row of errors (G, R, K), H of the quantised inputs: (G, R)."""
    total: list[torch.Tensor] = []
    for own in blocks(error.shape[2]):
        mean, _, _ = inputs.means(own)
        part = error[:, :, own].double()
        made = [part @ (q - mean) for q, _ in inputs.parts(own)]
        total = [old + new for old, new in zip(total, made, strict=True)] if total else made
    return torch.stack([own.square().sum(2) for own in total]).sum(0)


def input_diagonal(inputs: WideInputs, groups: int, width: int) -> torch.Tensor:
    """Centred mean square of every input, (G, K): the diagonal of H over the samples."""
    found = torch.empty(groups, width, dtype=torch.float64)
    for own in blocks(width):
        mean, _, count = inputs.means(own)
        found[:, own] = (
            torch.stack([(q - mean).square().sum(2) for q, _ in inputs.parts(own)]).sum(0) / count
        )
    return found
