"""The rows of a sweep: arrays of a network, lowered as plans are, their times stacked.

A row is an array with weights of one share of second words. What else a point has (the depths of
the channels that run ahead) are the columns, so that a value is an array (rows, columns).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import ArrayShape, power_of_two
from shiftforge.generator.conv.cutter import Cutter
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.lower_conv import array_iterations
from shiftforge.generator.conv.lowered import Lowered, lower_network
from shiftforge.generator.conv.maps import stored_maps, with_homes
from shiftforge.generator.conv.memory import largest_live_sum
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.packing import Packing
from shiftforge.generator.conv.sweep.image import ImagePoints
from shiftforge.generator.conv.times import (
    Entries,
    GroupTimes,
    StepTimes,
    entries_of,
    stack_times,
    step_times,
)
from shiftforge.generator.conv.weights import weight_beats

__all__ = ["Row", "RowMaker", "RowStack", "Strips", "stack_rows"]

_MOST_STEPS = 8
"""Times as many invocations as with whole maps that are worth a look."""


@dataclass(frozen=True)
class Strips:
    """lines: of the feature-map memory, a power of two. row_lines: of the line buffer. added:
    invocations of the kernels more than with whole maps."""

    lines: int
    row_lines: int
    added: int


@dataclass(frozen=True, eq=False)
class Row:
    """An array for a network: what the model asks of it.

    variant: number of the network, of those of a sweep. bound_lines: of the feature-map memory, at
    least: the largest sum of maps alive at once. f: second-term cycles over one-term cycles.
    strips: of layers that run in strips; None where all maps are whole. times and the rest are
    those of whole maps. packings: of the records; entries: of the kernels.
    """

    variant: int
    array: ArrayShape
    times: tuple[StepTimes, ...]
    lowered: Lowered
    bound_lines: int
    f: float
    packings: Mapping[str, Packing]
    entries: Entries
    strips: Strips | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Units, and groups of each step: rows of one shape can be stacked."""
        return self.array.units, *(len(own.groups) for own in self.times)


@dataclass(frozen=True, eq=False)
class RowStack:
    """Rows of equally many units. times: of each layer, arrays (rows, 1). image_iterations: of the
    pass that stores the image, (rows, 1); None where it is streamed. word_cycles: that a
    weight word takes from global memory. entries: of the kernels, (rows, 1)."""

    times: tuple[StepTimes, ...]
    image: ImagePoints
    image_iterations: NDArray[np.int64] | None
    word_cycles: float
    entries: Entries


class RowMaker:
    """Makes the rows of a network; what several have alike is found once. variant: its number."""

    def __init__(self, network: Network, variant: int, latencies: Latencies) -> None:
        self.network, self.variant, self.latencies = network, variant, latencies
        self._memos: dict[int, dict[Any, Any]] = {}
        self._maps: dict[tuple[int, int], tuple[dict[str, int], int]] = {}
        self._shares: dict[tuple[int, int], float] = {}
        self._cuts: dict[tuple[int, int], tuple[Strips, ...]] = {}
        self._made: dict[int, dict[tuple[int, int, int], tuple[int, ...]]] = {}

    def row(self, array: ArrayShape) -> Row:
        """A row; no time depends on where maps lie, so that they are not placed."""
        key = array.units, array.pixels
        network = self.network.fit(array.units)
        if key not in self._maps:
            maps = stored_maps(network.scheduled, array)
            bases = with_homes(
                dict.fromkeys((own.name for own in maps), 0), network.scheduled, array
            )
            self._maps[key] = bases, largest_live_sum(maps)
        bases, lines = self._maps[key]
        memo = self._memos.setdefault(network.scheduled.units, {})
        lowered = lower_network(network, array, self.latencies, bases, memo=memo)
        if key not in self._shares:
            self._shares[key] = self._share(array, lowered)
        times = tuple(step_times(own, array.units) for own in lowered.passes)
        packings = lowered.packings(lines)
        entries = entries_of(self.latencies.reentry, packings)
        share = self._shares[key]
        return Row(self.variant, array, times, lowered, lines, share, packings, entries)

    def in_strips(self, row: Row) -> list[Row]:
        """The same array with less feature-map memory, half as much each, as long as the added
        invocations are few."""
        key = row.array.units, row.array.pixels
        if key not in self._cuts:
            self._cuts[key] = tuple(self._strips(row))
        return [replace(row, strips=own) for own in self._cuts[key]]

    def _strips(self, row: Row) -> Iterator[Strips]:
        network = self.network.fit(row.array.units)
        made = self._made.setdefault(network.scheduled.units, {})
        cutter = Cutter(network, row.array, made=made)
        # Memories have powers of two of words: of the rooms of one, the largest costs no more.
        rooms = {power_of_two(lines): lines for lines in cutter.row_rooms()}
        whole, lines = len(row.times), power_of_two(row.bound_lines) // 2
        while lines:
            found = [(n, r) for r in rooms.values() if (n := cutter.steps(lines, r)) is not None]
            if not found or min(found)[0] > _MOST_STEPS * whole:
                return
            steps, room = min(found)
            if steps > whole:
                yield Strips(lines, room, steps - whole)
            lines //= 2

    def _share(self, array: ArrayShape, lowered: Lowered) -> float:
        whole, without = 0, 0
        for step in lowered.steps:
            layer = self.network.fit(array.units).layers[step.step.layer]
            words = lowered.words[step.step.layer]
            own = layer, step.tiling, step.walk, array.units, words
            whole += array_iterations(*own)
            without += array_iterations(*own, second=False)
        return (whole - without) / without


def stack_rows(rows: Sequence[Row], bytes_per_cycle: float) -> RowStack:
    """The rows as one; of equally many units, so that their layers have equally many groups."""
    layers = [stack_times(own) for own in zip(*(row.times for row in rows), strict=True)]
    passes = [row.lowered.image_pass for row in rows]
    iterations = [own.iterations for own in passes if own is not None]
    return RowStack(
        times=tuple(_upright(own) for own in layers),
        image=ImagePoints.of([row.lowered.image for row in rows], bytes_per_cycle),
        image_iterations=np.array(iterations, np.int64)[:, None] if iterations else None,
        word_cycles=weight_beats(rows[0].array, bytes_per_cycle).cycles(bytes_per_cycle),
        entries=Entries(
            **{
                own.name: np.array([[getattr(row.entries, own.name)] for row in rows], np.int64)
                for own in fields(Entries)
            }
        ),
    )


def _upright(own: StepTimes) -> StepTimes:
    """Arrays (rows,) as (rows, 1)."""
    groups = tuple(GroupTimes(**_columns(group)) for group in own.groups)
    columns: dict[str, Any] = _columns(own)
    return replace(own, groups=groups, **columns)


def _columns(own: StepTimes | GroupTimes) -> dict[str, NDArray[np.int64]]:
    values = {field.name: getattr(own, field.name) for field in fields(own)}
    return {name: v[:, None] for name, v in values.items() if isinstance(v, np.ndarray)}
