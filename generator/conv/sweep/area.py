"""The area of a row's points: the area model of plans, on arrays over the channels' depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.area import (
    Features,
    Fifo,
    Item,
    area_items,
    features_of,
    fifo_item,
    map_bytes,
    memory_item,
)
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.counters import Counters, counters_of
from shiftforge.generator.conv.depths import Depths, plan_channels
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import board_latencies, bytes_per_cycle
from shiftforge.generator.conv.memory import MemoryPlan
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.packing import Packing
from shiftforge.generator.conv.records import ControllerPass, ConvPass, FetchPass, PostPass
from shiftforge.generator.conv.slices import Slice
from shiftforge.generator.conv.sweep.rows import Row
from shiftforge.generator.conv.through import NOTHING, Through
from shiftforge.generator.conv.turns import Turns
from shiftforge.generator.conv.weights import (
    ParameterLayout,
    ShiftRanges,
    WeightBeats,
    parameter_layout,
    weight_beats,
)

__all__ = ["RowArea", "row_area", "strip_area"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Step:
    mode: str
    controller: ControllerPass
    conv: ConvPass
    post: PostPass


@dataclass(frozen=True)
class _RowPlan:
    """What the area model asks of a plan, of a row."""

    board: Board
    array: ArrayShape
    beats: WeightBeats
    parameters: ParameterLayout
    image: ImageLayout
    image_pass: ControllerPass | None
    geometries: tuple[tuple[str, int, int], ...]
    pools: tuple[tuple[int, int], ...]
    pool_bits: int
    tables: tuple[tuple[int, ...], ...]
    enlargements: tuple[tuple[int, bool], ...]
    steps: tuple[_Step, ...]
    memory: MemoryPlan
    channels: tuple[Channel, ...]
    multiplier_requant: bool
    row_lines: int
    weight_words: int
    shifts: ShiftRanges
    max_groups: int
    acc_bits: int
    largest_bits: int
    slice: Slice
    turns: Turns
    packings: Mapping[str, Packing]
    fill: ConvPass
    zero_words: bool
    through: Through = NOTHING
    fetches: tuple[FetchPass, ...] = ()
    non_blocking: bool = False

    @property
    def image_strips(self) -> tuple[int, ...]:
        return (self.image.map_rows,)

    @cached_property
    def counters(self) -> Counters:
        return counters_of(self)


@dataclass(frozen=True, eq=False)
class RowArea:
    """Of a row, arrays (columns,). ram_blocks, map_bytes: at least, the maps are not placed.

    features, items: what it was made of.
    """

    alm: Ints
    dsp: Ints
    ram_blocks: Ints
    map_bytes: Ints
    features: Features
    items: tuple[Item, ...]


def row_area(board: Board, network: Network, row: Row, depths: Sequence[Depths]) -> RowArea:
    """The area of a row of whole maps with every depth of the channels."""
    lowered, network = row.lowered, network.fit(row.array.units)
    layers = network.layers
    channels = _channels(board, row, depths)
    features = features_of(
        _RowPlan(
            board=board,
            array=row.array,
            beats=weight_beats(row.array, bytes_per_cycle(board)),
            parameters=parameter_layout(network.multiplier, network.shifts, network.acc_bits),
            image=lowered.image,
            image_pass=lowered.image_pass,
            geometries=network.geometries,
            pools=network.pools,
            pool_bits=network.pool_bits,
            tables=network.tables,
            enlargements=network.enlargements,
            steps=tuple(_Step(layers[own.step.layer].mode, *own.passes) for own in lowered.steps),
            memory=MemoryPlan({}, row.bound_lines, row.bound_lines, 0, 0, ""),
            channels=channels[depths[0].operand],
            multiplier_requant=network.multiplier,
            row_lines=lowered.row_lines,
            weight_words=lowered.weight_words,
            shifts=network.shifts,
            max_groups=max(tiling.out_groups for tiling in lowered.tilings),
            acc_bits=network.acc_bits,
            largest_bits=network.largest_bits,
            slice=lowered.slice,
            turns=lowered.turns,
            packings=row.packings,
            fill=lowered.fill,
            zero_words=lowered.zero_words(layers),
        )
    )
    features = replace(features, fifos=_fifos(features, channels, depths))
    return _summed(features, area_items(features), depths)


def strip_area(board: Board, row: Row, depths: Sequence[Depths], whole: RowArea) -> RowArea:
    """The area of a row whose layers run in strips. whole: of the same row with whole maps, most
    of whose items are the same."""
    strips = row.strips
    assert strips is not None
    words = {"feature-map memory": strips.lines, "line buffer": strips.row_lines}
    memories = tuple(
        replace(own, words=words.get(own.name, own.words)) for own in whole.features.memories
    )
    fifos = _fifos(whole.features, _channels(board, row, depths), depths)
    features = replace(whole.features, memories=memories, fifos=fifos)
    changed = {
        **{own.name: memory_item(features, own) for own, old in
           zip(memories, whole.features.memories, strict=True) if own.words != old.words},
        **{own.name: own for own in (fifo_item(features, f) for f in fifos if f.name == "result")},
    }  # fmt: skip
    items = tuple(changed.get(item.name, item) for item in whole.items)
    return _summed(features, items, depths)


def _channels(board: Board, row: Row, depths: Sequence[Depths]) -> dict[int, tuple[Channel, ...]]:
    """The channels by the operands' depth, which those of results and additions follow."""
    own, latencies, tight = row.lowered, board_latencies(board), row.strips is not None
    return {
        n: plan_channels(own.passes, own.lags, latencies, Depths(operand=n), tight)
        for n in {d.operand for d in depths}
    }


def _fifos(
    features: Features, channels: Mapping[int, tuple[Channel, ...]], depths: Sequence[Depths]
) -> tuple[Fifo, ...]:
    """The features' channels with a depth a column."""
    known = {
        name: np.array([getattr(d, name) for d in depths], np.int64)
        for name in ("operand", "weight", "image")
    }
    for name in ("skip", "result"):
        by_operand = {n: c.depth for n, of in channels.items() for c in of if c.name == name}
        if by_operand:
            known[name] = np.array([by_operand[d.operand] for d in depths], np.int64)
    return tuple(replace(own, depth=known.get(own.name, own.depth)) for own in features.fifos)


def _summed(features: Features, items: tuple[Item, ...], depths: Sequence[Depths]) -> RowArea:
    none = np.zeros(len(depths), np.int64)
    return RowArea(
        sum((np.ceil(item.alm).astype(np.int64) for item in items), none),
        sum((np.asarray(item.dsp, np.int64) for item in items), none),
        sum((np.asarray(item.ram_blocks, np.int64) for item in items), none),
        none + map_bytes(features),
        features,
        items,
    )
