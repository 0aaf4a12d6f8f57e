"""Maps that travel through global memory: what a step reads of them, and when that is fetched.

The results of such a map leave the chip as they come. The rows that a step reads come back during
the step before it, into lines of their own on chip: two places a layer, which its steps take in
turns. A step's lines may be fetched once every step that stored them has ended before the step
during which they come.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.lower_controller import result_times
from shiftforge.generator.conv.memory import StoredMap, plan_memory
from shiftforge.generator.conv.records import ControllerPass, FetchPass, StorePass
from shiftforge.generator.conv.schedule import Layer, Schedule
from shiftforge.generator.conv.steps import Step, rows_read

__all__ = [
    "FETCHED", "NOTHING", "Rows", "Span", "Through", "fetch_slots", "plan_through", "read_rows",
    "slot_name", "span_of", "through_records", "with_fetches",
]  # fmt: skip

FETCHED = "rows fetched"
"""How the names of places on chip for fetched rows begin."""


@dataclass(frozen=True)
class Rows:
    """Rows [first, end) of a tensor that lies in global memory, all channel groups."""

    tensor: str
    first: int
    end: int
    groups: int
    tiles: int

    @property
    def run(self) -> int:
        """Lines of a channel group."""
        return (self.end - self.first) * self.tiles

    @property
    def lines(self) -> int:
        """Of all of them."""
        return self.groups * self.run


@dataclass(frozen=True)
class Span:
    """Channel groups [first, end) of a map, itself or one that others lie in."""

    root: str
    first: int
    end: int

    def meets(self, other: Span) -> bool:
        """Whether both have a channel group."""
        return self.root == other.root and self.first < other.end and other.first < self.end


@dataclass(frozen=True, eq=False)
class Through:
    """Where maps lie in global memory. bases: by tensor, in lines; lines: of all of it. planes:
    lines of a channel group. spans: where a tensor lies in its map."""

    bases: Mapping[str, int]
    planes: Mapping[str, int]
    lines: int
    spans: Mapping[str, Span] = field(default_factory=dict)


def span_of(name: str, shape: tuple[int, int, int], scheduled: Schedule, array: ArrayShape) -> Span:
    """Where a tensor (C, H, W) lies."""
    first = scheduled.homes[name][1] if name in scheduled.homes else 0
    groups = array.lines(shape) // array.lines((1, *shape[1:]))
    return Span(scheduled.root(name), first, first + groups)


NOTHING = Through({}, {}, 0)
"""Where every map has room on chip."""


def read_rows(
    layer: Layer, whole: Tiling, step: Step, through: Collection[str]
) -> tuple[Rows, ...]:
    """What a step reads of maps in global memory: of its input, then of what it adds."""
    found = []
    if layer.input.name in through:
        first, end = rows_read(layer, step)
        found.append(Rows(layer.input.name, first, end, whole.map_groups, whole.in_tiles))
    if layer.skip is not None and layer.skip.name in through:
        found.append(Rows(layer.skip.name, step.first, step.end, whole.out_groups, whole.out_tiles))
    return tuple(found)


def slot_name(layer: int, place: int) -> str:
    """Of one of the two places on chip for what a layer's steps fetch."""
    return f"{FETCHED} for layer {layer}, place {place}"


def fetch_slots(
    layers: Sequence[Layer], tilings: Sequence[Tiling], steps: Sequence[Step],
    through: Collection[str],
) -> dict[str, tuple[StoredMap, ...]]:  # fmt: skip
    """Lifetimes of the places on chip for fetched rows, by name: one a step that takes it. Steps
    count from 1. Raises InputError where the first step of all would fetch."""
    found: dict[str, list[StoredMap]] = {}
    seen: dict[int, int] = {}
    for number, step in enumerate(steps, 1):
        rows = read_rows(layers[step.layer], tilings[step.layer], step, through)
        lines = sum(own.lines for own in rows)
        if not lines:
            continue
        if number == 1:
            what = "the first layer's input cannot lie in global memory"
            raise InputError(Problem(what, "give it less memory on chip", layers[0].source))
        place = seen.get(step.layer, 0) % 2
        seen[step.layer] = seen.get(step.layer, 0) + 1
        name = slot_name(step.layer, place)
        found.setdefault(name, []).append(StoredMap(name, lines, number - 1, number))
    return {name: tuple(own) for name, own in found.items()}


def plan_through(
    scheduled: Schedule, array: ArrayShape, steps: Sequence[Step], through: Collection[str]
) -> Through:
    """Places of the maps in global memory. They share it like those on chip share theirs; tensors
    that lie in one map are all in ``through``, or none."""
    layers = scheduled.layers
    born: dict[str, int] = {}
    dies: dict[str, int] = {}
    shapes: dict[str, tuple[int, int, int]] = {}
    for number, step in enumerate(steps):
        layer = layers[step.layer]
        for own in (layer.result, layer.input, layer.skip):
            if own is not None and own.name in through:
                root = scheduled.root(own.name)
                shapes[own.name] = own.shape
                born.setdefault(root, number)
                dies[root] = number
    whole = {n: scheduled.joined[n] if n in scheduled.joined else shapes[n] for n in born}
    memory = plan_memory([StoredMap(n, array.lines(whole[n]), born[n], dies[n]) for n in born])
    planes = {n: array.lines((1, *shape[1:])) for n, shape in shapes.items()}
    spans = {name: span_of(name, shape, scheduled, array) for name, shape in shapes.items()}
    bases = {n: memory.bases[own.root] + own.first * planes[n] for n, own in spans.items()}
    return Through(bases, planes, memory.total_lines, spans)


def through_records(
    layers: Sequence[Layer], steps: Sequence[Step], fetched: Sequence[Sequence[Rows]],
    stores: Sequence[int], through: Through,
) -> tuple[tuple[FetchPass, ...], tuple[StorePass, ...]]:  # fmt: skip
    """What fetch and store do in a frame. fetched: by step, what it reads; stores: lines that each
    step stores. Raises InputError where rows are wanted before they are all stored."""
    writers: dict[str, list[tuple[int, int]]] = {}
    jobs: list[FetchPass] = []
    saved: list[StorePass] = []
    tokens = 0
    order: dict[int, int] = {}
    for number, (step, lines) in enumerate(zip(steps, stores, strict=True)):
        name = layers[step.layer].result.name
        if name in through.bases:
            order[number] = len(saved) + 1
            saved.append(StorePass(iterations=lines + 1))
            writers.setdefault(name, []).append((number, step.end))
    for number, rows in enumerate(fetched):
        for own in rows:
            if not own.lines:
                continue
            last = max(
                next(number for number, end in made if end >= own.end)
                for name, made in writers.items()
                if through.spans[name].meets(through.spans[own.tensor])
            )
            if last >= number - 1:
                what = f"rows {own.first} to {own.end} are fetched before they are stored"
                remedy = "make this map in more strips"
                raise InputError(Problem(what, remedy, own.tensor))
            wanted = max(0, order[last] - tokens)
            tokens += wanted
            jobs.append(
                FetchPass(
                    iterations=wanted + own.lines, tokens=wanted,
                    base=through.bases[own.tensor] + own.first * own.tiles, run=own.run,
                    next=through.planes[own.tensor] - own.run + 1,
                )
            )  # fmt: skip
    if tokens != len(saved):
        raise ValueError(f"{len(saved)} steps are stored, and {tokens} waited for")
    return tuple(jobs), tuple(saved)


def with_fetches(own: ControllerPass, lines: int, base: int) -> ControllerPass:
    """A step's record with lines that come from global memory meanwhile, to ``base`` on chip.

    They are spread over the step's iterations; one that falls on a result that stays on chip waits
    for the next iteration without one.
    """
    if not lines:
        return own
    every = max(1, own.iterations // lines)
    taken = np.zeros(0, np.int64) if own.to_memory else result_times(own)
    busy = set(taken.tolist())
    at = due = 0
    for _ in range(lines):
        at = max(at, due)
        while at in busy:
            at += 1
        due, at = at + every, at + 1
    return replace(
        own, iterations=max(own.iterations, at), fetches=lines, fetch_every=every, fetch_base=base
    )
