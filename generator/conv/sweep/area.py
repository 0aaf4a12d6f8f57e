"""The area of a row's points: the area model of plans, on arrays over the channels' depths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.area import area_items, features_of, map_bytes
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.depths import Depths, plan_channels
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import board_latencies
from shiftforge.generator.conv.memory import MemoryPlan
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass
from shiftforge.generator.conv.slices import Slice
from shiftforge.generator.conv.sweep.rows import Row
from shiftforge.generator.conv.weights import ShiftRanges

__all__ = ["RowArea", "row_area"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Step:
    mode: str
    conv: ConvPass
    post: PostPass


@dataclass(frozen=True)
class _RowPlan:
    """What the area model asks of a plan, of a row."""

    board: Board
    array: ArrayShape
    image: ImageLayout
    image_pass: ControllerPass | None
    geometries: tuple[tuple[str, int, int], ...]
    pools: tuple[tuple[int, int], ...]
    steps: tuple[_Step, ...]
    memory: MemoryPlan
    channels: tuple[Channel, ...]
    multiplier_requant: bool
    row_lines: int
    weight_words: int
    shifts: ShiftRanges
    max_groups: int
    acc_bits: int
    slice: Slice


@dataclass(frozen=True, eq=False)
class RowArea:
    """Of a row, arrays (columns,). ram_blocks, map_bytes: at least, the maps are not placed."""

    alm: Ints
    dsp: Ints
    ram_blocks: Ints
    map_bytes: Ints


def row_area(board: Board, network: Network, row: Row, depths: Sequence[Depths]) -> RowArea:
    """The area of a row with every depth of the channels."""
    latencies, lowered = board_latencies(board), row.lowered
    channels = {
        own: plan_channels(lowered.passes, lowered.lags, latencies, Depths(operand=own))
        for own in {d.operand for d in depths}
    }
    layers = network.layers
    features = features_of(
        _RowPlan(
            board=board,
            array=row.array,
            image=lowered.image,
            image_pass=lowered.image_pass,
            geometries=network.geometries,
            pools=network.pools,
            steps=tuple(
                _Step(layers[own.step.layer].mode, own.passes[1], own.passes[2])
                for own in lowered.steps
            ),
            memory=MemoryPlan({}, row.bound_lines, row.bound_lines, 0, 0, ""),
            channels=channels[depths[0].operand],
            multiplier_requant=network.multiplier,
            row_lines=lowered.row_lines,
            weight_words=lowered.weight_words,
            shifts=network.shifts,
            max_groups=max(tiling.out_groups for tiling in lowered.tilings),
            acc_bits=network.acc_bits,
            slice=lowered.slice,
        )
    )
    known = {
        name: np.array([getattr(d, name) for d in depths], np.int64)
        for name in ("operand", "weight", "image")
    }
    if any(fifo.name == "skip" for fifo in features.fifos):
        skips = {own: next(c.depth for c in of if c.name == "skip") for own, of in channels.items()}
        known["skip"] = np.array([skips[d.operand] for d in depths], np.int64)
    fifos = tuple(
        replace(fifo, depth=known[fifo.name]) if fifo.name in known else fifo
        for fifo in features.fifos
    )
    features = replace(features, fifos=fifos)
    items, none = area_items(features), np.zeros(len(depths), np.int64)
    return RowArea(
        sum((np.ceil(item.alm).astype(np.int64) for item in items), none),
        sum((np.asarray(item.dsp, np.int64) for item in items), none),
        sum((np.asarray(item.ram_blocks, np.int64) for item in items), none),
        none + map_bytes(features),
    )
