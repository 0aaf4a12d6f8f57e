"""Maps that come with more rows and columns: every line of the map that is read, several times.

The controller walks over the rows and tiles of the enlarged map and goes on in the one that it
reads when a row or a tile has come as often as the factor says. Tile f * u + p of an enlarged row
has pixels of tile u alone: its pixel j is pixel ``(p * pixels + j) // f`` there. With zeros between
values, it is 0 where f does not divide ``p * pixels + j``.
"""

from __future__ import annotations

from collections.abc import Iterable

from shiftforge.errors import Problem
from shiftforge.generator.conv.layers import Layer
from shiftforge.quant.graph.types import Upsample

__all__ = ["MOST_FACTOR", "enlargement_number", "enlargements_of", "enlarging_problems"]

MOST_FACTOR = 8
"""Of columns: the text has a choice of pixels for each tile that one becomes."""


def enlarging_problems(node: Upsample) -> list[Problem]:
    """What is wrong with an enlargement."""
    if node.factor[1] <= MOST_FACTOR:
        return []
    what = f"{node.factor[1]} times as many columns are not supported"
    remedy = f"enlarge by {MOST_FACTOR} at most, several times"
    return [Problem(what, remedy, f"{node.name} ({node.source})")]


def enlargements_of(layers: Iterable[Layer]) -> tuple[tuple[int, bool], ...]:
    """(factor of columns, whether zeros lie between values), each once."""
    return tuple(dict.fromkeys(_kind(own.enlarge) for own in layers if own.enlarge is not None))


def enlargement_number(layer: Layer, known: tuple[tuple[int, bool], ...]) -> int:
    """Of a layer's enlargement among all of a network, from 1; 0 for none."""
    return 0 if layer.enlarge is None else 1 + known.index(_kind(layer.enlarge))


def _kind(node: Upsample) -> tuple[int, bool]:
    return node.factor[1], node.mode == "zeros"
