"""What the folded network asks of a scheme: quantisers that hold the masters of one convolution.

The folded network (:mod:`shiftforge.quant.schemes.network`) has no batch norm left and its own
activation grids, so that its integers are exact. `Schemed` lets any
:class:`~shiftforge.quant.schemes.base.Scheme` train there.
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

__all__ = ["Converted", "FoldedQuantiser", "FoldedScheme", "StartCodes"]

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
