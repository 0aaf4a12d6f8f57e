"""Steps: one invocation of the kernels each, for a layer on a range of its output rows.

Without strips there is one a layer. The rows of a depthwise layer's input that a step does not
need any more stay in the line buffer, so that each of them is sent once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shiftforge.generator.conv.schedule import Layer

__all__ = ["Place", "Step", "rows_read", "rows_sent", "whole_steps"]


@dataclass(frozen=True)
class Step:
    """Output rows [first, end) of a layer, by its index. final: the layer's last step.

    strip_in, strip_out: what it reads and writes is a strip of the map, which is never whole.
    line: of a depthwise layer, first line of its rows in the line buffer.
    """

    layer: int
    first: int
    end: int
    final: bool
    strip_in: bool = False
    strip_out: bool = False
    line: int = 0

    @property
    def rows(self) -> int:
        """Output rows."""
        return self.end - self.first


@dataclass(frozen=True)
class Place:
    """Where ``rows`` rows of a map from ``first`` on lie: from line ``base``, in the order channel
    group, row, tile, a row of ``tiles`` lines."""

    base: int
    first: int
    rows: int
    tiles: int

    @property
    def plane(self) -> int:
        """Lines of a channel group."""
        return self.rows * self.tiles

    def line(self, row: int) -> int:
        """The first line of a row of the map."""
        return self.base + (row - self.first) * self.tiles


def rows_sent(layer: Layer, outputs: int) -> int:
    """Rows of a depthwise layer's input that its first ``outputs`` output rows need.

    Rows of zeros below the map are among them, those above it are not.
    """
    return (outputs - 1) * layer.row_stride - layer.top + 3 if outputs else 0


def rows_read(layer: Layer, step: Step) -> tuple[int, int]:
    """Rows [first, end) of the input that a step reads where it comes in strips: of a depthwise
    layer those that the steps before have not sent, of a standard one all of its windows'."""
    height, first, end = layer.in_shape[1], step.first, step.end
    if layer.mode == "depthwise":
        first, end = rows_sent(layer, first), height if step.final else rows_sent(layer, end)
    elif layer.mode == "standard":
        below = layer.windows.height - layer.top
        first, end = first * layer.row_stride - layer.top, (end - 1) * layer.row_stride + below
    return max(0, min(first, height)), max(0, min(end, height))


def whole_steps(layers: Sequence[Layer]) -> tuple[Step, ...]:
    """A step a layer."""
    return tuple(Step(i, 0, layer.out_shape[1], True) for i, layer in enumerate(layers))
