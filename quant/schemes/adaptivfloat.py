"""Fake quantisation to AdaptivFloat<n,e> in torch, with straight-through gradients.

The forward value is the numpy codec's (formats/adaptivfloat) to the last bit: divisions are by
powers of two, so that the only rounding is the format's own. float16 and bfloat16 are computed in
float32 and cast back. NaN and infinity become NaN: a diverged network shows, nothing saturates it
away.

Gradients. Rounding passes them unchanged, also where a value becomes zero. Beyond the largest
magnitude, activations get 0, the derivative of a clamp. Weights get the unchanged gradient even
there: their range follows the largest weight, so that only weights within a factor 2/(2 - 2**-m)
of the top saturate, and a zero would freeze exactly those.
"""

from __future__ import annotations

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.formats.adaptivfloat import (
    MAX_BIAS,
    MIN_BIAS,
    AdaptivFloatFormat,
    BiasRegister,
)

__all__ = ["AdaptivFloatActivation", "AdaptivFloatWeight", "quantised"]

# Integer view of a float type, and the bits of its exponent: |x| with the mantissa cleared is
# 2**floor(log2 |x|), exact and several times faster than frexp.
_EXPONENT_FIELD = {
    torch.float32: (torch.int32, 0x7F800000),
    torch.float64: (torch.int64, 0x7FF0000000000000),
}


def _working(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype in _EXPONENT_FIELD else x.float()


def _binade(x: torch.Tensor) -> torch.Tensor:
    """2**floor(log2 |x|); 0 for zero and denormals, infinity for infinity and NaN."""
    integer, field = _EXPONENT_FIELD[x.dtype]
    return (x.view(integer) & field).view(x.dtype)


def _peak_binade(x: torch.Tensor) -> torch.Tensor:
    """The binade of the largest magnitude, 0-d; 0 for an empty tensor."""
    return _binade(x.abs().amax()) if x.numel() else x.new_zeros(())


def _on_levels(x: torch.Tensor, fmt: AdaptivFloatFormat, top: torch.Tensor) -> torch.Tensor:
    """Nearest values of x (float32 or float64). top: 2**(bias + 2**e - 1), 0-d, of x's type."""
    unit = 2.0**-fmt.mantissa_bits
    largest = top * (2 - unit)
    low = top * 2.0**-fmt.exponent_span  # 2**bias
    smallest = low * (1 + unit)
    step = _binade(x).clamp(low, top) * unit
    rounded = (torch.round(x / step) * step).clamp(-largest, largest)
    size = x.abs()
    bottom = torch.where(size > smallest / 2, smallest.copysign(x), 0.0)
    rounded = torch.where(size < smallest, bottom, rounded)
    return torch.where(torch.isfinite(x), rounded, torch.nan)


def quantised(
    x: torch.Tensor, fmt: AdaptivFloatFormat, top: torch.Tensor, *, clip: bool
) -> torch.Tensor:
    """Fake-quantised x, of its shape and type.

    top: 2**(bias + 2**e - 1) as a 0-d tensor of float32 or float64. clip: whether the gradient is
    0 where |x| exceeds the largest magnitude; otherwise it is 1 everywhere.
    """
    work = _working(x)
    bound = top.to(work.dtype)
    with torch.no_grad():
        rounded = _on_levels(work, fmt, bound)
    if clip:
        largest = bound * (2 - 2.0**-fmt.mantissa_bits)
        work = work.clamp(-largest, largest)
    # The bracket is exactly 0 and carries the gradient; NaN where x is not finite.
    return (rounded + (work - work.detach())).to(x.dtype)


class AdaptivFloatWeight(nn.Module):
    """Fake-quantised weights whose bias follows the largest magnitude at every call.

    For ``torch.nn.utils.parametrize.register_parametrization(module, "weight", ...)``. The result
    has the bias of the weights themselves, so that choose_bias and encode on it (with the same
    register's fit) give the codes of exactly these values.
    register: the hardware's bias register; its lowest bias is then the smallest used.
    """

    def __init__(
        self, fmt: AdaptivFloatFormat | None = None, register: BiasRegister | None = None
    ) -> None:
        super().__init__()
        self.fmt = fmt or AdaptivFloatFormat()
        self.lowest = MIN_BIAS if register is None else register.lowest

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            least = 2.0 ** (self.lowest + self.fmt.exponent_span)
            top = _peak_binade(_working(weight)).clamp(min=least)
        return quantised(weight, self.fmt, top, clip=False)

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """Weights assigned to the parametrised module become the masters as they are."""
        return weight

    def extra_repr(self) -> str:
        return str(self.fmt)


class AdaptivFloatActivation(nn.Module):
    """Fake-quantised activations with the bias that calibration found.

    bias: exponent bias, MIN_BIAS..MAX_BIAS (InputError otherwise); kept in the state dictionary as
    the 0-d integer buffer ``bias``.
    """

    bias: torch.Tensor

    def __init__(self, bias: int, fmt: AdaptivFloatFormat | None = None) -> None:
        super().__init__()
        if not MIN_BIAS <= bias <= MAX_BIAS:
            raise InputError(
                Problem(f"exponent bias {bias}", f"use a bias of {MIN_BIAS} to {MAX_BIAS}")
            )
        self.fmt = fmt or AdaptivFloatFormat()
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The power of two by its bits: exact on every device, and no transfer to the host.
        exponent = self.bias + (self.fmt.exponent_span + 127)
        return quantised(x, self.fmt, (exponent << 23).view(torch.float32), clip=True)

    def extra_repr(self) -> str:
        return f"{self.fmt}, bias={int(self.bias)}"
