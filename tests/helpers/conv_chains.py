"""Networks whose convolutions a test chooses, all else drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from random_networks import Builder, Family

from shiftforge.quant.graph.types import Grid, Preprocess, QuantizedModel, Tensor
from shiftforge.quant.graph.verify import verify


def chain(
    *convolutions: dict[str, Any],
    channels: int,
    height: int,
    width: int,
    family: Family = "two-term",
) -> QuantizedModel:
    """A verified network of given convolutions: arguments of ``Builder.conv``."""
    image = Tensor("input", channels, height, width, Grid(8, False, -8))
    built = Builder(np.random.default_rng(1), image, family, False)
    for own in convolutions:
        built.conv(**own)
    ones = (1.0,) * channels
    model = QuantizedModel(
        "chain", Preprocess(channels, height, width, ones, ones), "input", built.last.name,
        built.tensors, tuple(built.nodes),
    )  # fmt: skip
    verify(model)
    return model
