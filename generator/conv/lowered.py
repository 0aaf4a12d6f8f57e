"""All steps of a network lowered for an array: what a plan and a search begin with alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from shiftforge.generator.conv.array import ArrayShape, Tiling, tile_layer
from shiftforge.generator.conv.enlarging import enlargement_number
from shiftforge.generator.conv.image import ImageLayout, image_layout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.lower_controller import (
    lower_controller,
    lower_image,
    result_lag,
    result_lines,
    walk_counters,
)
from shiftforge.generator.conv.lower_conv import array_iterations, lower_conv, lower_fill
from shiftforge.generator.conv.lower_post import lower_post
from shiftforge.generator.conv.network import Network, WordCounts
from shiftforge.generator.conv.packing import Packing, packings_of
from shiftforge.generator.conv.records import ControllerPass, ConvPass, FetchPass, StorePass
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.slices import Slice, choose_slice
from shiftforge.generator.conv.steps import Place, Step, rows_read, whole_steps
from shiftforge.generator.conv.through import (
    Rows,
    Through,
    read_rows,
    slot_name,
    through_records,
    with_fetches,
)
from shiftforge.generator.conv.times import Passes
from shiftforge.generator.conv.turns import Turns, choose_turns, post_delay
from shiftforge.generator.conv.walk import Walk, walk_layer, walk_step
from shiftforge.generator.conv.windows import geometry_numbers

__all__ = ["Lowered", "LoweredStep", "Traced", "lower_network"]


@dataclass(frozen=True)
class Traced:
    """Rows [first, first + rows) of a stored map in a frame's trace, which has them in ``lines``
    lines from ``base``."""

    tensor: str
    first: int
    rows: int
    base: int
    lines: int


@dataclass(frozen=True, eq=False)
class LoweredStep:
    """A step with its records. tiling, walk: of the step. lag: see ``result_lag``. reads: (base,
    lines) of the maps that it reads on chip."""

    step: Step
    tiling: Tiling
    walk: Walk
    lag: int
    passes: Passes
    reads: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network in the terms of an array.

    tilings, words: an entry a layer. steps: in their order. slice: of a line, what additions and
    pools take at once. turns: of post. image_pass: stores the image, where it is not streamed into
    the first layer. traced: what the trace of a frame has, in its order. fetches, stores: what goes
    through global memory.
    """

    tilings: tuple[Tiling, ...]
    words: tuple[WordCounts, ...]
    steps: tuple[LoweredStep, ...]
    slice: Slice
    turns: Turns
    image: ImageLayout
    image_pass: ControllerPass | None
    traced: tuple[Traced, ...]
    fetches: tuple[FetchPass, ...] = ()
    stores: tuple[StorePass, ...] = ()

    @property
    def passes(self) -> tuple[Passes, ...]:
        """The records of the steps."""
        return tuple(own.passes for own in self.steps)

    @property
    def lags(self) -> tuple[int, ...]:
        """Of the steps' results."""
        return tuple(own.lag for own in self.steps)

    @property
    def row_lines(self) -> int:
        """Lines of the longest row of a depthwise layer."""
        return max((conv.row_length for _, conv, _ in self.passes), default=1) or 1

    @property
    def weight_words(self) -> int:
        """Of the largest group that is resident at once."""
        return max(sum(pair) for own in self.words for pair in own)

    @cached_property
    def fill(self) -> ConvPass:
        """The record that reads the first weights."""
        return lower_fill(sum(self.words[0][0]))

    def packings(self, lines: int) -> Mapping[str, Packing]:
        """How the records lie in memory, by kernel. lines: of the feature-map memory."""
        return packings_of(
            self.image_pass, self.passes, self.fill, lines, self.fetches, self.stores
        )  # fmt: skip

    def zero_words(self, layers: Sequence[Layer]) -> bool:
        """Whether a layer leaves out words of zeros at the end of a group of output channels."""
        own = zip(layers, self.tilings, self.words, strict=True)
        return any(
            m < tiling.weight_words for layer, tiling, words in own if layer.mode != "depthwise"
            for m, _ in words
        )  # fmt: skip

    @property
    def frame_words(self) -> int:
        """Weight words of all steps."""
        return sum(conv.all_words for _, conv, _ in self.passes)


def lower_network(
    network: Network,
    array: ArrayShape,
    latencies: Latencies,
    bases: Mapping[str, int],
    steps: Sequence[Step] | None = None,
    tight: bool = False,
    memo: dict[Any, Any] | None = None,
    through: Through | None = None,
) -> Lowered:
    """The records of all steps. bases: first line of every map that is stored, whole or a strip at
    a time. steps: in their order; None for one a layer. tight: results are read as soon as they can
    be. memo: keeps records for further arrays of the same network, many of whose are the same.
    through: maps in global memory; ``bases`` has the places of what is fetched of them."""
    memo = {} if memo is None else memo
    layers, scheduled = network.layers, network.scheduled
    steps = whole_steps(layers) if steps is None else steps
    tilings = tuple(tile_layer(layer, array) for layer in layers)
    words = network.words(array)
    image = image_layout(
        scheduled.image, network.image_shape[0], array, scheduled.streamed, tilings[0].out_groups
    )
    image_pass = None
    if not scheduled.streamed:
        base = bases[scheduled.image.name]
        image_pass = lower_image(image.map_groups, image.map_rows, image.map_tiles, base)
    counted = "array iterations", array.units, array.pixels
    if counted not in memo:
        memo[counted] = [
            array_iterations(layer, tiling, walk_layer(layer, tiling), array.units, own)
            for layer, tiling, own in zip(layers, tilings, words, strict=True)
        ]
    busy = memo[counted]
    counters = walk_counters(layers)
    part = choose_slice(layers, tilings, busy, array)
    turns = choose_turns(layers, tilings, busy, array, part, network.shifts.folded)
    numbers = geometry_numbers(network.geometries, array.pixels)
    found, trace = [], _Trace()
    fetched: list[tuple[tuple[Rows, ...], int]] = []
    slots: dict[int, int] = {}
    for n, step in enumerate(steps):
        layer, whole = layers[step.layer], tilings[step.layer]
        tiling, walk = replace(whole, out_rows=step.rows), walk_step(layer, whole, step)
        away = {} if through is None else through.bases
        rows = read_rows(layer, whole, step, away)
        slot = _slot(step.layer, slots, bases) if any(own.lines for own in rows) else 0
        source, skip, target = _places(layer, whole, step, bases)
        source, skip = _fetched(layer, rows, slot, (source, skip))
        leaves = layer.result.name in away
        if leaves:
            target = Place(away[layer.result.name], 0, whole.out_rows, whole.out_tiles)
        way = latencies.round_trip + post_delay(layer, array, part, turns)
        lag = result_lag(layer, tiling, walk, way, array.units, tight=tight)
        pool = 0
        if layer.pool is not None:
            pool = 1 + network.pools.index((layer.pool.multiplier, layer.pool.shift))
        places = source, skip, target, trace.add(layer, whole, step)
        sent = step.layer, tiling, walk, step.first, places, lag, leaves, array.pixels
        if sent not in memo:
            own_pass = lower_controller(
                layer, tiling, walk, step.first, *places, lag, array.pixels, counters
            )
            enlarge = enlargement_number(layer, network.enlargements)
            memo[sent] = replace(own_pass, to_memory=int(leaves), enlarge=enlarge)
        next_words = sum(words[steps[(n + 1) % len(steps)].layer][0])
        own = words[step.layer]
        used = step.layer, array.units, array.pixels, tiling, walk, own, next_words, step.line
        if used not in memo:
            memo[used] = lower_conv(
                layer, tiling, walk, array, own, next_words, numbers, step.line, network.cut
            )
        post_record = lower_post(
            layer, tiling, walk, array, pool, part, turns, network.tables, network.limited
        )
        records = memo[sent], memo[used], post_record
        maps = ((source, whole.map_groups), (skip, whole.out_groups))
        reads = tuple((p.base, groups * p.plane) for p, groups in maps if p is not None)
        fetched.append((rows, slot))
        found.append(LoweredStep(step, tiling, walk, lag, records, reads))
    jobs: tuple[FetchPass, ...] = ()
    saved: tuple[StorePass, ...] = ()
    if through is not None:
        stores = [own.passes[0].stores for own in found]
        jobs, saved = through_records(layers, steps, [r for r, _ in fetched], stores, through)
        for n, (rows, slot) in enumerate(fetched[1:]):
            controller, conv, post = found[n].passes
            controller = with_fetches(controller, sum(own.lines for own in rows), slot)
            found[n] = replace(found[n], passes=(controller, conv, post))
    return Lowered(
        tilings, words, tuple(found), part, turns, image, image_pass, tuple(trace.maps), jobs, saved
    )


def _slot(layer: int, slots: dict[int, int], bases: Mapping[str, int]) -> int:
    """The first line of the place that a layer's next fetching step takes."""
    place = slots.get(layer, 0) % 2
    slots[layer] = slots.get(layer, 0) + 1
    return bases[slot_name(layer, place)]


def _fetched(
    layer: Layer, rows: Sequence[Rows], slot: int, places: tuple[Place | None, Place | None]
) -> tuple[Place | None, Place | None]:
    """source and skip, where what was fetched of them lies: one behind the other."""
    source, skip = places
    for own in rows:
        place = Place(slot, own.first, own.end - own.first, own.tiles)
        if own.tensor == layer.input.name and source is None:
            source = place
        else:
            skip = place
        slot += own.lines
    return source, skip


def _places(
    layer: Layer, whole: Tiling, step: Step, bases: Mapping[str, int]
) -> tuple[Place | None, Place | None, Place | None]:
    """Where what a step reads, adds and writes lies; None for what is not on chip."""
    made, rows = (0, whole.out_rows), (step.first, step.end)
    sent = rows_read(layer, step) if step.strip_in else (0, whole.in_rows)
    if layer.enlarge is not None:
        sent = 0, layer.input.height
    names = [
        (layer.input.name, sent, whole.read_tiles),
        (layer.skip.name if layer.skip is not None else "", made, whole.out_tiles),
        (layer.result.name if not layer.direct else "", rows if step.strip_out else made,
         whole.out_tiles),
    ]  # fmt: skip
    source, skip, target = (
        Place(bases[name], first, end - first, tiles) if name in bases else None
        for name, (first, end), tiles in names
    )
    return source, skip, target


class _Trace:
    """A map that is stored whole has one entry, however many steps write it."""

    def __init__(self) -> None:
        self.maps: list[Traced] = []
        self.lines = 0
        self.whole: dict[str, int] = {}

    def add(self, layer: Layer, whole: Tiling, step: Step) -> int:
        """The first line of the place that the step writes to; -1 where the result is no tensor of
        the network."""
        name = layer.result.name
        if layer.inner:
            return -1
        if layer.direct:
            return self.lines
        if name in self.whole:
            return self.whole[name]
        base, lines = self.lines, result_lines(layer, whole)
        first, rows = 0, layer.result.height
        if step.strip_out:
            first, rows = step.first, step.rows
            lines = lines // whole.out_rows * rows
        else:
            self.whole[name] = base
        self.maps.append(Traced(name, first, rows, base, lines))
        self.lines += lines
        return base
