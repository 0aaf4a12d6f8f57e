"""What a training scheme is: it decides how float master weights become quantised ones.

The network, its activation grids and the training loop are the same for every scheme; a scheme
supplies one weight quantiser a convolution and may add to the loss and act after each step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.graph.types import WeightFormat

__all__ = ["Codes", "Converted", "Scheme", "WeightQuantiser"]

Codes: TypeAlias = tuple[NDArray[np.int8], NDArray[np.int8]]


class WeightQuantiser(nn.Module, ABC):
    """Master weights of one convolution and their quantisation; its parameters are trained."""

    @abstractmethod
    def forward(self) -> torch.Tensor:
        """Quantised real weights (O, I // groups, kh, kw), with gradients to the masters."""

    @abstractmethod
    def codes(self) -> Codes:
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

    weights: Mapping[str, Codes]
    biases: Mapping[str, NDArray[np.float64]]
    masters: Mapping[str, NDArray[np.float32]]


class Scheme(Protocol):
    """A way to train quantised weights."""

    @property
    def name(self) -> str:
        """What the command line and the model's record call it."""

    def quantiser(self, node: FloatConv, fmt: WeightFormat, start: Codes | None) -> WeightQuantiser:
        """The quantiser of one convolution; start: the codes that training begins from."""

    def loss(self, task: torch.Tensor, quantisers: Mapping[str, WeightQuantiser]) -> torch.Tensor:
        """The loss to minimise, given the task's own."""

    def after_step(self, quantisers: Mapping[str, WeightQuantiser]) -> None:
        """Called after every optimiser step, without gradients."""
