"""Segments: layers that run in strips, one after the other, so that no map between them is whole.

In every round each layer of a segment makes the rows that the next one can use: the last layer so
many rows of its result, the others what these need and the rounds before have not made. A depthwise
layer keeps the rows that its next windows share with those before in the line buffer, each layer of
a segment in lines of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.array import Tiling
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.steps import Step, rows_sent
from shiftforge.generator.conv.walk import walk_layer

__all__ = [
    "Segment", "image_problems", "inner_result", "row_lines", "runs_by_rows", "segment_problems",
    "segment_rows", "steps_of",
]  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """Layers first to last, by index. ends: output rows of the last layer after each round, rising
    up to all of them; one round where the layers run whole."""

    first: int
    last: int
    ends: tuple[int, ...]


def runs_by_rows(layer: Layer) -> bool:
    """Whether a layer's results come row by row, so that it can run in strips."""
    whole = layer.pool is not None or layer.direct or layer.exported or layer.enlarge is not None
    return layer.mode != "standard" and not whole


def inner_result(layers: Sequence[Layer], index: int) -> bool:
    """Whether a layer's result may exist in strips alone: the next layer reads it, and no other."""
    layer, name = layers[index], layers[index].result.name
    if index + 1 == len(layers) or not runs_by_rows(layer) or not runs_by_rows(layers[index + 1]):
        return False
    others = [own for own in layers if own.index != index + 1]
    read = any(own.input.name == name for own in others)
    added = any(own.skip is not None and own.skip.name == name for own in layers)
    alone = not layer.shared and not read and not added
    return alone and layers[index + 1].input.name == name


def segment_rows(layers: Sequence[Layer], first: int, last: int, end: int) -> tuple[int, ...]:
    """Rows that each layer, ``first`` to ``last``, has made when the last one has made ``end``."""
    found = [end]
    for index in range(last, first, -1):
        layer, rows = layers[index], found[0]
        if layer.mode == "depthwise":
            rows = min(rows_sent(layer, rows), layer.in_shape[1])
        if found[0] == layer.out_shape[1]:
            rows = layer.in_shape[1]
        found.insert(0, rows)
    return tuple(found)


def row_lines(layers: Sequence[Layer], tilings: Sequence[Tiling], first: int, last: int) -> int:
    """Lines of the line buffer that the depthwise layers of a segment take together."""
    return sum(
        walk_layer(layers[i], tilings[i]).row_length
        for i in range(first, last + 1)
        if layers[i].mode == "depthwise"
    )


def steps_of(
    layers: Sequence[Layer], tilings: Sequence[Tiling], segments: Sequence[Segment]
) -> tuple[Step, ...]:
    """The steps of all layers; those in no segment of ``segments`` run whole."""
    if problems := segment_problems(layers, segments):
        raise InputError(problems)
    begins = {own.first: own for own in segments}
    found: list[Step] = []
    index = 0
    while index < len(layers):
        own = begins.get(index, Segment(index, index, (layers[index].out_shape[1],)))
        found += _rounds(layers, tilings, own)
        index = own.last + 1
    return tuple(found)


def _rounds(layers: Sequence[Layer], tilings: Sequence[Tiling], own: Segment) -> Iterator[Step]:
    first, last = own.first, own.last
    lines = [row_lines(layers, tilings, first, index - 1) for index in range(first, last + 1)]
    strips = len(own.ends) > 1
    done = (0,) * (last - first + 1)
    for end in own.ends:
        made = segment_rows(layers, first, last, end)
        for index, before, after, line in zip(
            range(first, last + 1), done, made, lines, strict=True
        ):
            if after > before:
                yield Step(
                    index, before, after, after == layers[index].out_shape[1],
                    strip_in=strips and index > first, strip_out=strips and index < last,
                    line=line if strips else 0,
                )  # fmt: skip
        done = made


def segment_problems(layers: Sequence[Layer], segments: Sequence[Segment]) -> list[Problem]:
    """What is wrong with segments."""
    found = []
    for own in segments:
        place = f"layers {own.first} to {own.last}"
        inside = range(own.first, own.last)
        if not 0 <= own.first <= own.last < len(layers):
            found.append(Problem("are no layers of the network", "name its layers", place))
            continue
        if not all(inner_result(layers, i) for i in inside):
            what = "cannot run in strips: a map between them is read elsewhere, or comes whole"
            found.append(Problem(what, "end the segment there", place))
        rows = layers[own.last].out_shape[1]
        rising = all(a < b for a, b in pairwise((0, *own.ends)))
        if not own.ends or not rising or own.ends[-1] != rows:
            what = f"ends of strips {own.ends} do not rise to {rows}"
            found.append(Problem(what, "give the rows after each strip", place))
    if any(a.last >= b.first for a, b in pairwise(sorted(segments, key=lambda s: s.first))):
        found.append(Problem("segments share a layer", "give each layer once", "strips"))
    return found


def image_problems(rows: Sequence[int]) -> list[Problem]:
    """What is wrong with the strips in which the image is sent: rows of each in their order."""
    between = set(rows[1:-1])
    if len(between) < 2:
        return []
    what = f"strips of the image of {sorted(between)} rows between the first and the last"
    return [Problem(what, "give them all the same height", "strips")]
