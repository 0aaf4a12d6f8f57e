"""Weights that are integers times a scale: what every scheme whose levels fit the hardware shares.

A scheme says which integers (`ScaledIntegers.integers`) and which scale; codes, terms and costs
follow. Scales chosen by least squared error use the formats' own search, so that a layer starts
training exactly where post-training quantisation leaves it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.formats.encode import choose_exponent, format_levels
from shiftforge.quant.graph.types import WeightFormat
from shiftforge.quant.schemes.base import Codes, Scheme, WeightQuantiser

__all__ = [
    "Granularity",
    "Scale",
    "ScaledIntegers",
    "Through",
    "best_scale",
    "by_channel",
    "check_choice",
    "nearest",
    "power_of_two",
    "scaled_gradient",
    "signed_digits",
]

Scale: TypeAlias = Literal["pow2", "real"]
Granularity: TypeAlias = Literal["channel", "layer"]

# Real scales tried around the best power of two: an octave either way by 1/8.
_EIGHTHS = range(8, -9, -1)


def check_choice(what: str, given: object, allowed: tuple[object, ...]) -> None:
    """Raise InputError where a hyper-parameter is not one of those allowed."""
    if given not in allowed:
        listed = ", ".join(str(a) for a in allowed)
        raise InputError(Problem(f"{what} {given!r}", f"use one of: {listed}"))


def by_channel(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Values (O,) or (1,) shaped to multiply weights (O, ...)."""
    return x.reshape(-1, *[1] * (weight.ndim - 1))


def nearest(v: torch.Tensor, magnitudes: torch.Tensor) -> torch.Tensor:
    """The nearest of +-magnitudes (ascending, from 0 or not); ties to the smaller, saturating."""
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    # right=False: a value in the middle keeps the smaller magnitude.
    return torch.copysign(magnitudes[torch.bucketize(v.abs().contiguous(), middles)], v)


def signed_digits(integers: torch.Tensor) -> torch.Tensor:
    """Fewest signed powers of two that sum to each integer, int64: ones in n XOR 3n.

    (The weight of the non-adjacent form, which no other signed-digit form undercuts.)
    """
    n = integers.abs().long()
    bits = n ^ (3 * n)
    count = torch.zeros_like(n)
    while bool(bits.any()):
        count += bits & 1
        bits = bits >> 1
    return count


class Through(torch.autograd.Function):
    """A value that passes its gradient to a master unchanged, exactly the value in the forward."""

    @staticmethod
    def forward(master: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """The value, of the master's shape."""
        del master
        return value.clone()

    @staticmethod
    def setup_context(ctx: object, inputs: object, output: object) -> None:
        """Nothing to keep."""

    @staticmethod
    def backward(ctx: object, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The straight-through estimator."""
        return grads[0], None


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: torch.Tensor, g: float
    ) -> torch.Tensor:
        ctx.factor = g  # type: ignore[attr-defined]
        return x.clone()

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        return grads[0] * ctx.factor, None  # type: ignore[attr-defined]


def scaled_gradient(x: torch.Tensor, factor: float) -> torch.Tensor:
    """x, whose gradient is multiplied by factor (LSQ, Esser et al. 2020, section 2.2)."""
    found: torch.Tensor = _ScaledGradient.apply(x, factor)  # type: ignore[no-untyped-call]
    return found


def power_of_two(exponent: torch.Tensor) -> torch.Tensor:
    """2**round(exponent), exactly; the gradient is that of 2**exponent at the rounded one."""
    rounded = torch.round(exponent.detach())
    value = torch.ldexp(torch.ones_like(rounded), rounded.to(torch.int32))
    return value + value * math.log(2) * (exponent - exponent.detach())


def best_scale(
    weight: torch.Tensor, levels: NDArray[np.int64], scale: Scale, granularity: Granularity
) -> torch.Tensor:
    """Scale (O,) or (1,), float32, of least squared error for weights (O, ...).

    "pow2": the formats' search (`choose_exponent`). "real": the best of the powers of 2**(1/8)
    within an octave of it.
    """
    rows = weight.detach().double().cpu().numpy().reshape(weight.shape[0], -1)
    if granularity == "layer":
        rows = rows.reshape(1, -1)
    z = choose_exponent(rows, levels).astype(np.int64)
    best = torch.from_numpy(np.ldexp(np.ones(len(z)), z))
    if scale == "real":
        values = torch.from_numpy(rows)
        magnitudes = torch.from_numpy(levels[levels >= 0].astype(np.float64))
        least = torch.full((len(z),), math.inf, dtype=torch.float64)
        base = best.clone()
        for step in _EIGHTHS:
            tried = base * 2.0 ** (step / 8)
            rounded = nearest(values / tried[:, None], magnitudes) * tried[:, None]
            error = (values - rounded).square().sum(1)
            best = torch.where(error < least, tried, best)
            least = torch.minimum(error, least)
    return best.float().to(weight.device)


class ScaledIntegers(WeightQuantiser):
    """q = integers * scale.

    fmt: the weight format that holds the integers, or why none does. bits: stored bits a weight.
    """

    def __init__(self, scheme: Scheme, layer: str, fmt: WeightFormat | str, bits: float) -> None:
        super().__init__(scheme, layer)
        self.fmt = fmt
        self.stored_bits = bits

    @abstractmethod
    def scale(self, weight: torch.Tensor) -> torch.Tensor:
        """Real value of the integer 1, broadcastable to weights, without gradient."""

    @abstractmethod
    def integers(self, weight: torch.Tensor) -> torch.Tensor:
        """The integers of these masters, of their shape and type, without gradient."""

    @abstractmethod
    def integer_levels(self) -> NDArray[np.int64]:
        """The integers a weight may take, ascending."""

    def limit_scale(self, least: torch.Tensor) -> None:
        """Keep scales at or above least (O,), powers of two, where this scheme can.

        The integer graph's biases need it for channels whose weights are next to nothing.
        """
        del least

    def levels(self) -> NDArray[np.float64]:
        """The integer levels."""
        return self.integer_levels().astype(np.float64)

    @torch.no_grad()
    def codes(self, weight: torch.Tensor) -> Codes | str:
        """Integers and exponents; a reason where the scale or the levels do not fit."""
        if isinstance(self.fmt, str):
            return self.fmt
        scale = self.scale(weight).detach().double().reshape(-1)
        mantissa, exponent = torch.frexp(scale)
        if bool((mantissa != 0.5).any()):
            worst = float(scale[mantissa != 0.5][0])
            return f"the scale {worst:g} is no power of two: train with power-of-two scales"
        z = (exponent - 1).expand(weight.shape[0]).cpu().numpy()
        if z.size and (z.min() < -128 or z.max() > 127):
            return f"a scale exponent of {int(z.min())} to {int(z.max())} leaves eight bits"
        ints = self.integers(weight).cpu().numpy()
        strange = np.setdiff1d(ints, format_levels(self.fmt))
        if strange.size:
            return f"the level {int(strange[0])} is none of {self.fmt}"
        return Codes(
            np.ascontiguousarray(ints.astype(np.int8)),
            np.ascontiguousarray(z.astype(np.int8)),
            self.fmt,
        )

    @torch.no_grad()
    def terms(self, weight: torch.Tensor) -> torch.Tensor:
        """Non-zero signed digits of each integer."""
        return signed_digits(self.integers(weight))

    def bits_per_weight(self, weight: torch.Tensor) -> float:
        """The bits of a code."""
        return self.stored_bits
