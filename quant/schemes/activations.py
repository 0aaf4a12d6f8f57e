"""Quantised activations: LSQ, PACT, DoReFa and binary.

Each is the input of a quantised layer. Whether values are signed is seen in the first batch (after
ReLU they are not) and kept in the state dictionary, as are learned steps and clips. Gradients in
brackets are exactly 0 in the forward pass: the value is the level, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Grid
from shiftforge.quant.schemes.base import ActivationQuantiser, ActivationScheme
from shiftforge.quant.schemes.levels import Scale, check_choice, power_of_two, scaled_gradient

__all__ = [
    "BinaryActivations",
    "DorefaActivations",
    "LsqActivations",
    "PactActivations",
    "lsq",
    "sensed_range",
]


def sensed_range(module: object) -> tuple[int, bool]:
    """(bits, signed) of a layer's input: an activation quantiser's, or 8 bits of either sign."""
    if isinstance(module, _Sensing):
        return module.bits, module.is_signed
    return 8, not isinstance(module, ActivationQuantiser)


def _check_bits(bits: int) -> None:
    if not 2 <= bits <= 8:
        raise InputError(Problem(f"activations of {bits} bits", "use 2 to 8 bits"))


def lsq(x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """round(clip(x / s, low, high)) * s, half to even (Esser et al., ICLR 2020, Eq. 1-2).

    Gradients (Eq. 3 and 5): to x 1 inside the clip and 0 outside; to s round(x/s) - x/s inside, low
    or high outside. step broadcasts against x.
    """
    clipped = (x / step).clamp(low, high)
    level = torch.round(clipped.detach())
    return (level + (clipped - clipped.detach())) * step


def _forget(module: nn.Module, keys: object) -> None:
    del keys
    if isinstance(module, _Sensing):
        module._known = None


class _Sensing(ActivationQuantiser):
    """Sees in its first batch whether values are signed, and their size."""

    signed: torch.Tensor
    started: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("signed", torch.tensor(False))
        self.register_buffer("started", torch.tensor(False))
        # signed as a Python value once started: reading it from a GPU would wait every step.
        self._known: bool | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    @property
    def is_signed(self) -> bool:
        """Whether negative values were seen."""
        return bool(self.signed) if self._known is None else self._known

    def start(self, x: torch.Tensor) -> None:
        """What else the first batch decides; signed is known."""

    def range(self) -> tuple[int, int]:
        """Lowest and highest code: all of them unsigned, all but the lowest signed."""
        if self.is_signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    def sense(self, x: torch.Tensor) -> None:
        """To be called first in forward."""
        if self._known is not None or not x.numel():
            return
        if bool(self.started):
            self._known = bool(self.signed)
            return
        with torch.no_grad():
            self._known = bool((x < 0).any())
            self.signed.fill_(self._known)
            self.start(x.detach())
            self.started.fill_(True)


class _Lsq(_Sensing):
    """log2 of the step is what is learned where the step is a power of two."""

    def __init__(self, bits: int, scale: Scale) -> None:
        super().__init__(bits)
        self.scale_kind = scale
        self.step = nn.Parameter(torch.tensor(0.0))

    def start(self, x: torch.Tensor) -> None:
        """2 mean|x| / sqrt(Qp), section 2.1."""
        step = max(2 * float(x.abs().mean()) / math.sqrt(self.range()[1]), 1e-8)
        self.step.fill_(math.log2(step) if self.scale_kind == "pow2" else step)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sense(x)
        low, high = self.range()
        # Section 2.2, N the features of one sample.
        features = max(1, x[0].numel())
        step = scaled_gradient(self.step, 1 / math.sqrt(features * high))
        real = power_of_two(step) if self.scale_kind == "pow2" else step.clamp(min=1e-12)
        return lsq(x, real, low, high)

    def grid(self) -> Grid | str:
        if self.scale_kind != "pow2":
            return "the activation step is learned as a real number"
        if not bool(self.started):
            return "no batch has set the activation step yet"
        return Grid(self.bits, self.is_signed, int(torch.round(self.step.detach())))


@dataclass(frozen=True)
class LsqActivations(ActivationScheme):
    """Learned step size; bits 2..8. scale: the step a power of two (then a grid), or real."""

    bits: int = 8
    scale: Scale = "pow2"

    def __post_init__(self) -> None:
        _check_bits(self.bits)
        check_choice("scale", self.scale, ("pow2", "real"))

    def quantiser(self, name: str) -> ActivationQuantiser:
        """One layer's."""
        return _Lsq(self.bits, self.scale)


class _Pact(_Sensing):
    """alpha: the learned clip."""

    def __init__(self, bits: int, alpha: float, decay: float) -> None:
        super().__init__(bits)
        self.alpha = nn.Parameter(torch.tensor(alpha))
        self.decay = decay

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sense(x)
        a = self.alpha
        if self.is_signed:
            clipped, levels = 0.5 * ((x + a).abs() - (x - a).abs()), (1 << (self.bits - 1)) - 1
        else:
            clipped, levels = 0.5 * (x.abs() - (x - a).abs() + a), (1 << self.bits) - 1
        with torch.no_grad():
            bound = a.clamp(min=1e-12)
            # The sum form rounds: clamp, so that the outermost level is the clip itself.
            low = -bound if self.is_signed else torch.zeros_like(bound)
            inside = torch.minimum(torch.maximum(x, low), bound)
            rounded = torch.round(inside * (levels / bound)) * (bound / levels)
        return rounded + (clipped - clipped.detach())

    def penalty(self) -> torch.Tensor | None:
        return self.decay * self.alpha.square() if self.decay else None


@dataclass(frozen=True)
class PactActivations(ActivationScheme):
    """PACT (Choi et al. 2018): y = 0.5 (|x| - |x - alpha| + alpha), then 2**k - 1 equal steps.

    dy/dalpha is 1 where x >= alpha and 0 elsewhere. decay: lambda of the penalty
    lambda alpha**2. For signed values the clip is symmetric, 0.5 (|x + alpha| - |x - alpha|), with
    2**(k-1) - 1 steps either way: the paper's networks have none.
    """

    bits: int = 4
    alpha: float = 10.0
    decay: float = 2e-4

    def __post_init__(self) -> None:
        _check_bits(self.bits)
        if not self.alpha > 0:
            raise InputError(Problem(f"clip {self.alpha}", "give a clip above 0"))

    def quantiser(self, name: str) -> ActivationQuantiser:
        """One layer's."""
        return _Pact(self.bits, self.alpha, self.decay)


class _Dorefa(_Sensing):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sense(x)
        low, high = self.range()
        clipped = x.clamp(-1.0 if low else 0.0, 1.0)
        rounded = torch.round(clipped.detach() * high) / high
        return rounded + (clipped - clipped.detach())


@dataclass(frozen=True)
class DorefaActivations(ActivationScheme):
    """DoReFa (Zhou et al. 2016, Eq. 11): q_k(clip(x, 0, 1)), q_k(x) = round((2**k-1) x)/(2**k-1).

    Signed values, which the paper's networks have none of, are clipped to [-1, 1] and take
    2**(k-1) - 1 steps either way.
    """

    bits: int = 4

    def __post_init__(self) -> None:
        _check_bits(self.bits)

    def quantiser(self, name: str) -> ActivationQuantiser:
        """One layer's."""
        return _Dorefa(self.bits)


class _Sign(ActivationQuantiser):
    bits = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        clipped = x.clamp(-1.0, 1.0)
        value = torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
        return value + (clipped - clipped.detach())

    def grid(self) -> Grid | str:
        return "binary activations have no zero, which padding needs"


@dataclass(frozen=True)
class BinaryActivations(ActivationScheme):
    """sign(x) with the gradient 1[|x| <= 1] (BNN, XNOR-Net).

    XNOR-Net's spatial factor K, a box filter of mean |x| over the channels, is left out: it
    multiplies the layer's output, and batch norm behind it takes up its mean (the paper finds
    little loss without it).
    """

    def quantiser(self, name: str) -> ActivationQuantiser:
        """One layer's."""
        return _Sign()
