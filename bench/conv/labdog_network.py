"""The float teacher beside a quantised network: what both share, and taps on their layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import Grid, Preprocess
from shiftforge.quant.schemes.folded import FoldedQuantiser, StartCodes
from shiftforge.quant.schemes.network import QuantNetwork

__all__ = ["Case", "FloatWeights", "batches", "settled", "tapped"]


class FloatWeights(FoldedQuantiser):
    """No quantisation: the teacher."""

    weight: torch.Tensor

    def __init__(self, weight: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(np.array(weight, dtype=np.float32)))

    def forward(self) -> torch.Tensor:
        """The weights."""
        return self.weight

    def codes(self) -> StartCodes:
        """There are none."""
        raise TypeError("float weights have no codes")

    def masters(self) -> NDArray[np.float32]:
        """The weights."""
        found: NDArray[np.float32] = self.weight.numpy()
        return found


@dataclass
class Case:
    """What all formats share."""

    graph: FloatGraph
    grids: Mapping[str, Grid]
    teacher: QuantNetwork
    calibration: NDArray[np.float32]
    test: NDArray[np.uint8]
    training: list[Image.Image]
    convs: list[FloatConv] = field(default_factory=list)

    @property
    def preprocess(self) -> Preprocess:
        """The network's."""
        return self.graph.preprocess


@contextmanager
def tapped(network: QuantNetwork, names: list[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Receives the named convolutions' sums (before clamp and rounding) whenever it runs."""
    held: dict[str, torch.Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def keep(module: nn.Module, given: Any, found: torch.Tensor) -> None:
            del module, given
            held[name] = found

        return keep

    handles = [network.conv(name).register_forward_hook(keeper(name)) for name in names]
    try:
        yield held
    finally:
        for handle in handles:
            handle.remove()


def batches(frames: NDArray[np.uint8], preprocess: Preprocess) -> Iterator[torch.Tensor]:
    """Normalised, in tens."""
    for first in range(0, len(frames), 10):
        part = torch.from_numpy(normalise(frames[first : first + 10], preprocess))
        yield part.contiguous(memory_format=torch.channels_last)


@contextmanager
def settled(case: Case, network: QuantNetwork) -> Iterator[None]:
    """Within it biases are whole accumulator units and pooling takes the integer constant."""
    kept, network.exact = {}, True
    for node in case.convs:
        held = network.conv(node.name)
        kept[node.name] = held.bias.detach().clone()
        z = held.quantiser.codes()[1].astype(np.int64)
        step = np.ldexp(np.ones(len(z)), z + case.grids[node.input].exponent)
        unit = torch.from_numpy(step)
        held.bias.data = (torch.round(kept[node.name].double() / unit) * unit).float()
    try:
        yield
    finally:
        network.exact = False
        for node in case.convs:
            network.conv(node.name).bias.data = kept[node.name]
