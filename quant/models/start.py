"""Where training in the integer graph's own values begins: post-training quantisation's codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.calibrate.equalise import equalise
from shiftforge.quant.calibrate.grids import calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.sequential import round_network
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.types import Grid, WeightFormat
from shiftforge.quant.schemes.folded import FoldedScheme
from shiftforge.quant.schemes.network import QuantNetwork, folded_network

__all__ = ["Begun", "PostTraining"]


@dataclass(frozen=True, eq=False)
class Begun:
    """graph: equalised. network: its masters lie in the cells of the codes."""

    graph: FloatGraph
    grids: Mapping[str, Grid]
    network: QuantNetwork


@dataclass(frozen=True, eq=False)
class PostTraining:
    """formats: of the codes, by convolution name. calibration: frames uint8 (N, H, W, C) that the
    activation grids and the first rounding see. activation_bits: 2..8."""

    formats: Mapping[str, WeightFormat]
    calibration: NDArray[np.uint8]
    activation_bits: int = 8

    def begin(self, graph: FloatGraph, scheme: FoldedScheme) -> Begun:
        """Quantise after training; the folded network starts from what that gives."""
        images = normalise(self.calibration, graph.preprocess)
        scaled = equalise(graph, images, mode="exact")
        grids = calibrate_grids(scaled, images, bits=self.activation_bits)
        start = round_network(scaled, images, self.formats, grids)
        network = folded_network(
            scheme, scaled, grids, self.formats, start=start.weights, biases=start.biases
        )
        return Begun(scaled, grids, network)
