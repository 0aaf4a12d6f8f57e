"""The interface of every training scheme: how float master weights become quantised ones.

A scheme is a frozen dataclass of hyper-parameters. It makes one weight quantiser a layer, a
``torch.nn.utils.parametrize`` parametrization whose parameters and buffers hold all that is learned
or scheduled (a state dictionary is the whole of it), and may add to the loss and act after every
step and at the start of every epoch. The model, the loop and the data know none of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from shiftforge.quant.graph.types import Grid, WeightFormat

__all__ = ["ActivationQuantiser", "Codes", "Scheme", "Site", "Sites", "WeightQuantiser"]


@dataclass(frozen=True, eq=False)
class Codes:
    """Weights as the integer graph holds them: w = weight * 2**exponent, exactly.

    weight: int8, of the layer's weight's shape (O, ...). exponent: int8 (O,).
    """

    weight: NDArray[np.int8]
    exponent: NDArray[np.int8]
    format: WeightFormat


class WeightQuantiser(nn.Module, ABC):
    """The quantisation of one layer's weights (O, ...), as a parametrization.

    scheme: what made it. layer: module path of the layer, for messages.
    """

    def __init__(self, scheme: Scheme, layer: str) -> None:
        super().__init__()
        self.scheme = scheme
        self.layer = layer

    @abstractmethod
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Quantised real weights of the masters' shape, with the scheme's gradients."""

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        """Weights assigned to the layer become the masters as they are."""
        return weight

    @abstractmethod
    def levels(self) -> NDArray[np.float64]:
        """The values a weight may take in units of its scale, ascending."""

    @abstractmethod
    def codes(self, weight: torch.Tensor) -> Codes | str:
        """The integers of these masters' quantised weights, or why the integer graph has none."""

    @abstractmethod
    def terms(self, weight: torch.Tensor) -> torch.Tensor:
        """Signed powers of two that each quantised weight is a sum of, int64, weight's shape."""

    @abstractmethod
    def bits_per_weight(self, weight: torch.Tensor) -> float:
        """Mean stored bits of a weight, scales left out."""

    def shifts_per_weight(self, weight: torch.Tensor) -> float:
        """Mean shifts that a product with a weight takes."""
        return float(self.terms(weight).double().mean())

    def adds_per_weight(self, weight: torch.Tensor) -> float:
        """Mean additions that a weight takes, the one into the accumulator included."""
        return float(self.terms(weight).double().mean())

    def masters(self, weight: torch.Tensor) -> torch.Tensor:
        """The float weights that training stands at; other than the masters where those rest."""
        return weight

    def follow(self, trained: WeightQuantiser, weight: torch.Tensor) -> None:
        """Take over what a quantiser of the same layer before batch norm was folded has learned.

        weight: this layer's folded float weights.
        """
        del trained, weight


class ActivationQuantiser(nn.Module, ABC):
    """The quantisation of one layer's input, of any shape; its state is found in the first call."""

    bits: int

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Quantised real values of x's shape, with the scheme's gradients."""

    def grid(self) -> Grid | str:
        """The integer graph's grid of exactly these levels, or why there is none."""
        return "the activation step is no power of two"

    def penalty(self) -> torch.Tensor | None:
        """What this adds to the loss, its factor included; None for nothing."""
        return None


@dataclass(frozen=True, eq=False)
class Site:
    """One quantised layer of a prepared model. name: its module path."""

    name: str
    module: nn.Module
    quantiser: WeightQuantiser

    @property
    def weight(self) -> torch.Tensor:
        """The master weights, a parameter."""
        holder = self.module.get_submodule("parametrizations.weight")
        if not isinstance(holder, ParametrizationList):
            raise TypeError(f"{self.name} has no quantised weight")
        found = holder.original
        if not isinstance(found, torch.Tensor):
            raise TypeError(f"{self.name} has no master weights")
        return found

    @property
    def quantised(self) -> torch.Tensor:
        """The quantised weights, with gradients; computed anew outside ``parametrize.cached()``."""
        found: torch.Tensor = self.module.weight  # type: ignore[assignment]
        return found


Sites: TypeAlias = Mapping[str, Site]


@dataclass(frozen=True)
class Scheme(ABC):
    """A way to quantise weights, and activations where `activations` says how.

    The training functions receive the sites of this scheme alone, by layer name.
    """

    activations: ActivationScheme | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name with the bits, such as "dtssq4"."""

    @abstractmethod
    def weight_quantiser(self, weight: torch.Tensor, name: str) -> WeightQuantiser:
        """The quantiser of one layer, begun from its float weights (O, ...)."""

    def activation_quantiser(self, name: str) -> ActivationQuantiser | None:
        """The quantiser of one layer's input; None leaves it float."""
        return None if self.activations is None else self.activations.quantiser(name)

    def penalty(self, sites: Sites) -> torch.Tensor | None:
        """What is added to the loss, its factor included; None for nothing."""
        del sites
        return None

    def after_step(self, sites: Sites) -> None:
        """Called after every optimiser step, without gradients."""
        del sites

    def at_epoch(self, sites: Sites, epoch: int, epochs: int) -> None:
        """Called before every epoch (counted from 0, of all), without gradients."""
        del sites, epoch, epochs

    def wide(self) -> Scheme | None:
        """What the first and last layers take by the policy "wide"; None for 8-bit integers."""
        return None


class ActivationScheme(ABC):
    """A way to quantise activations, a frozen dataclass."""

    @abstractmethod
    def quantiser(self, name: str) -> ActivationQuantiser:
        """The quantiser of one layer's input."""
