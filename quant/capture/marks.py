"""A map that its network holds on a known grid: an operator that computes nothing and says so."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.fx import Node

from shiftforge.quant.capture.draft import Value
from shiftforge.quant.capture.lower import Lowering
from shiftforge.quant.graph.types import Grid

__all__ = ["ON_GRID", "marked", "on_grid"]

ON_GRID = "shiftforge.on_grid"


@torch.library.custom_op(
    "shiftforge::on_grid",
    mutates_args=(),
    schema="(Tensor x, int exponent, int bits, bool signed) -> Tensor",
)
def on_grid(x: torch.Tensor, exponent: int, bits: int, signed: bool) -> torch.Tensor:
    """x itself, told to lie on the grid of these fields."""
    return x.clone()


@on_grid.register_fake
def _(x: torch.Tensor, exponent: int, bits: int, signed: bool) -> torch.Tensor:
    return torch.empty_like(x)


def marked(state: Lowering, node: Node) -> Value:
    """The map as it is; its grid is noted under the drafted tensor that holds it."""
    call = state.arguments(node)
    x = state.value(call["x"], padded=True, lines=True, channels=True)
    grid = Grid(call["bits"], call["signed"], call["exponent"])
    state.grids.setdefault(x.tensor, set()).add(grid)
    return replace(x, sole=x.sole and state.sole(node))
