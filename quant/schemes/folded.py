"""What the folded network asks of a scheme: quantisers that hold the masters of one convolution.

The folded network (:mod:`shiftforge.quant.schemes.network`) has no batch norm left and its own
activation grids, so that its integers are exact. `Schemed` lets any
:class:`~shiftforge.quant.schemes.base.Scheme` train there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.graph.types import WeightFormat
from shiftforge.quant.schemes.base import Codes, Scheme, Site, WeightQuantiser
from shiftforge.quant.schemes.levels import ScaledIntegers
from shiftforge.quant.schemes.shift import ShiftQuantiser

__all__ = [
    "Converted",
    "FoldedQuantiser",
    "FoldedScheme",
    "ParametrisedWeight",
    "Schemed",
    "by_scheme",
    "StartCodes",
    "inside",
]

_REMEDY = "choose a scheme or options that fit, or keep this network in PyTorch"
# Share of a rounding cell kept from its edge when masters start inside the cell of given codes.
_MARGIN = 0.05

StartCodes: TypeAlias = tuple[NDArray[np.int8], NDArray[np.int8]]


class FoldedQuantiser(nn.Module, ABC):
    """Master weights of one convolution and their quantisation; its parameters are trained."""

    @abstractmethod
    def forward(self) -> torch.Tensor:
        """Quantised real weights (O, I // groups, kh, kw), with gradients to the masters."""

    @abstractmethod
    def codes(self) -> StartCodes:
        """Integer weights (O, I // groups, kh, kw) and exponents (O,), int8: w = w_int * 2**z."""

    @abstractmethod
    def masters(self) -> NDArray[np.float32]:
        """The float weights (O, I // groups, kh, kw) behind the codes, in real values."""

    def penalty(self) -> torch.Tensor | None:
        """What the scheme adds to the loss for this convolution, before its factor."""
        return None


@dataclass(frozen=True, eq=False)
class Converted:
    """A trained network by convolution name: codes for the integer graph, masters for the record.

    biases: float64 (O,), real values.
    """

    weights: Mapping[str, StartCodes]
    biases: Mapping[str, NDArray[np.float64]]
    masters: Mapping[str, NDArray[np.float32]]


class FoldedScheme(Protocol):
    """A way to train the quantised weights of a folded network."""

    @property
    def name(self) -> str:
        """What the command line and the model's record call it."""

    def quantiser(
        self, node: FloatConv, fmt: WeightFormat, start: StartCodes | None
    ) -> FoldedQuantiser:
        """The quantiser of one convolution; start: the codes that training begins from."""

    def loss(self, task: torch.Tensor, quantisers: Mapping[str, FoldedQuantiser]) -> torch.Tensor:
        """The loss to minimise, given the task's own."""

    def after_step(self, quantisers: Mapping[str, FoldedQuantiser]) -> None:
        """Called after every optimiser step, without gradients."""


def inside(
    v: NDArray[np.floating], w_int: NDArray[np.int8], positive: NDArray[np.float32]
) -> NDArray[np.floating]:
    """The values nearest to v that round to w_int. positive: levels >= 0, ascending."""
    levels = np.concatenate([-positive[:0:-1], positive]).astype(np.float64)
    middles = (levels[1:] + levels[:-1]) / 2
    place = np.searchsorted(levels, w_int.astype(np.float64))
    low = np.concatenate([levels[:1], middles])[place]
    high = np.concatenate([middles, levels[-1:]])[place]
    margin = _MARGIN * (high - low)
    inside: NDArray[np.floating] = np.clip(v, low + margin, high - margin)
    return inside


class ParametrisedWeight(FoldedQuantiser):
    """A scheme's quantiser in the folded network; a site of its own for the training functions.

    masters: real float weights (O, I // groups, kh, kw). quantiser: made from such weights.
    """

    def __init__(self, masters: torch.Tensor, quantiser: WeightQuantiser) -> None:
        super().__init__()
        self.weight = nn.Parameter(masters.clone())
        parametrize.register_parametrization(self, "weight", quantiser)

    @property
    def site(self) -> Site:
        """The convolution as a site; its name is the quantiser's layer."""
        held = self.get_submodule("parametrizations.weight.0")
        if not isinstance(held, WeightQuantiser):
            raise TypeError("no quantiser")
        return Site(held.layer, self, held)

    def forward(self) -> torch.Tensor:
        """The quantised weights."""
        return self.site.quantised

    def found(self) -> Codes:
        """The codes with their format. Raises InputError with the scheme's reason for none."""
        site = self.site
        codes = site.quantiser.codes(site.weight)
        if isinstance(codes, str):
            name = site.quantiser.scheme.name
            raise InputError(
                Problem(f"{name} does not fit the integer graph: {codes}", _REMEDY, site.name)
            )
        return codes

    def codes(self) -> StartCodes:
        """As `found`, without the format."""
        codes = self.found()
        return codes.weight, codes.exponent

    def masters(self) -> NDArray[np.float32]:
        """The float masters."""
        site = self.site
        real: NDArray[np.float32] = site.quantiser.masters(site.weight).detach().cpu().numpy()
        return np.ascontiguousarray(real)

    @torch.no_grad()
    def unit(self) -> torch.Tensor | None:
        """Real value of the integer 1, (O,); None for a scheme whose levels are no such multiples.

        The accumulator counts in this times the step of its input.
        """
        site = self.site
        if not isinstance(site.quantiser, ScaledIntegers):
            return None
        scale = site.quantiser.scale(site.weight).reshape(-1)
        return scale.expand(site.weight.shape[0])

    def penalty(self) -> torch.Tensor | None:
        """What the scheme adds to the loss for this convolution, its factor included."""
        site = self.site
        return site.quantiser.scheme.penalty({site.name: site})


@dataclass(frozen=True)
class Schemed:
    """Any scheme as a `FoldedScheme`.

    scheme: of the layers not named in overrides (by convolution name). The formats that the folded
    network is given do not matter to it: a scheme has its own.
    """

    scheme: Scheme
    overrides: Mapping[str, Scheme] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scheme's."""
        return self.scheme.name

    def quantiser(
        self, node: FloatConv, fmt: WeightFormat, start: StartCodes | None
    ) -> FoldedQuantiser:
        """Masters from the node's weights, or from start's values where given.

        With start the first scales are start's too, where the scheme is one of shift weights.
        """
        scheme = self.overrides.get(node.name, self.scheme)
        weight = torch.from_numpy(np.ascontiguousarray(node.weight, dtype=np.float32))
        if start is not None:
            z = start[1].astype(np.int64).reshape(-1, 1, 1, 1)
            near = inside(np.ldexp(node.weight, -z), start[0], _positive(fmt))
            weight = torch.from_numpy(np.ldexp(near, z).astype(np.float32))
        quantiser = scheme.weight_quantiser(weight, node.name)
        if start is not None and isinstance(quantiser, ShiftQuantiser):
            quantiser.take_exponents(start[1])
        return ParametrisedWeight(weight, quantiser)

    def loss(self, task: torch.Tensor, quantisers: Mapping[str, FoldedQuantiser]) -> torch.Tensor:
        """The task's loss and every scheme's penalty."""
        parts = [q.penalty() for q in quantisers.values()]
        given = [part for part in parts if part is not None]
        return task + torch.stack(given).sum() if given else task

    @torch.no_grad()
    def after_step(self, quantisers: Mapping[str, FoldedQuantiser]) -> None:
        """Every scheme's own."""
        for scheme, sites in by_scheme(quantisers).items():
            scheme.after_step(sites)

    @torch.no_grad()
    def at_epoch(self, quantisers: Mapping[str, FoldedQuantiser], epoch: int, epochs: int) -> None:
        """Every scheme's own, before an epoch (from 0)."""
        for scheme, sites in by_scheme(quantisers).items():
            scheme.at_epoch(sites, epoch, epochs)


def by_scheme(quantisers: Mapping[str, FoldedQuantiser]) -> dict[Scheme, dict[str, Site]]:
    """The quantised layers of each scheme, by name."""
    groups: dict[Scheme, dict[str, Site]] = {}
    for name, q in quantisers.items():
        if isinstance(q, ParametrisedWeight):
            groups.setdefault(q.site.quantiser.scheme, {})[name] = q.site
    return groups


def _positive(fmt: WeightFormat) -> NDArray[np.float32]:
    levels = format_levels(fmt)
    return levels[levels >= 0].astype(np.float32)
