"""Projects for a board whose memory is so slow that weight words lie in several narrow beats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from random_networks import Builder

from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.types import Grid, Preprocess, QuantizedModel, Tensor
from shiftforge.quant.graph.verify import verify

NANO = load_board("de10_nano")
ROOMY = replace(NANO, alm=10**6, ram_blocks=10**5, dsp=10**4)
"""With room for any array."""
_LARGE = load_board("s10gx2800")
_RATE = NANO.memory.bandwidth_gb_s * _LARGE.clock_mhz_assumed / NANO.clock_mhz_assumed
SLOW = replace(_LARGE, memory=replace(_LARGE.memory, bandwidth_gb_s=_RATE))
"""A large board's latencies, and as few bytes a cycle."""


def narrow_project(
    model: QuantizedModel, folder: Path, units: int, pixels: int, frames: int = 1,
    board: Board = NANO,
) -> Path:  # fmt: skip
    """A written project whose words lie in several beats."""
    generate(model, board, units=units, pixels=pixels, frames=frames).write(folder)
    return folder


def classifier() -> QuantizedModel:
    """A pool, and a layer behind it that uses each word once: weights decide how long it takes."""
    ones = (1.0,) * 8
    image = Tensor("input", 8, 14, 14, Grid(8, False, -8))
    built = Builder(np.random.default_rng(1), image, "two-term", False)
    built.conv(32, 1)
    built.conv(640, 1)
    built.pool()
    built.conv(200, 1, wide=True)
    model = QuantizedModel(
        "classifier", Preprocess(8, 14, 14, ones, ones), "input", built.last.name, built.tensors,
        tuple(built.nodes),
    )  # fmt: skip
    verify(model)
    return model
