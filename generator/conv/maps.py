"""The maps of a schedule in the feature-map memory: what lives when."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.memory import (
    MemoryPlan,
    StoredMap,
    plan_memory,
    prove_no_overlap,
)
from shiftforge.generator.conv.schedule import Layer, Schedule
from shiftforge.generator.conv.steps import Step, whole_steps
from shiftforge.generator.conv.through import fetch_slots

__all__ = ["map_lives", "plan_maps", "prove_steps", "stored_maps", "with_homes"]


def map_lives(
    scheduled: Schedule, array: ArrayShape, steps: Sequence[Step] | None = None,
    through: Collection[str] = (),
) -> dict[str, tuple[StoredMap, ...]]:  # fmt: skip
    """Lifetimes of what is stored, by the tensor: whole maps, or every strip of it by itself.

    Alive is what a step writes, up to the last step that reads it; a map that joins others from the
    first of them on. Steps count from 1; the image is
    written at step 0. steps: in their order; None for one a layer. through: tensors that lie in
    global memory; what is fetched of them has a place on chip.
    """
    layers = scheduled.layers
    steps = whole_steps(layers) if steps is None else steps
    found: dict[str, list[StoredMap]] = {}
    image = scheduled.image
    if not scheduled.streamed:
        shape = image.channels, image.rows, image.columns
        found[image.name] = [_map(image.name, array, shape, 0)]
    for number, step in enumerate(steps, 1):
        layer = layers[step.layer]
        for name in _read(layer, step, scheduled, found):
            found[name][-1] = replace(found[name][-1], dies=number)
        if not layer.direct and layer.result.name not in through:
            name = scheduled.root(layer.result.name)
            shape = scheduled.joined.get(name, layer.result.shape)
            own = found.setdefault(name, [])
            if step.strip_out:
                shape = (shape[0], step.rows, shape[2])
            if step.strip_out or not own:
                own.append(_map(name, array, shape, number))
            else:
                own[-1] = replace(own[-1], dies=number)
    tilings = [tile_layer(layer, array) for layer in layers]
    slots = fetch_slots(layers, tilings, steps, through) if through else {}
    return {**{name: tuple(own) for name, own in found.items()}, **slots}


def _read(
    layer: Layer, step: Step, scheduled: Schedule, found: dict[str, list[StoredMap]]
) -> list[str]:
    """Of what is stored, the maps that a step reads."""
    name = scheduled.root(layer.input.name)
    names = [name] if name in found else []
    if step.strip_in and (own := found[names[0]][-1]).dies > own.born:
        # A strip is read once: this step needs no more rows.
        names = []
    added = scheduled.root(layer.skip.name) if layer.skip is not None else ""
    return [*names, added] if added in found else names


def _map(name: str, array: ArrayShape, shape: tuple[int, int, int], born: int) -> StoredMap:
    return StoredMap(name, array.lines(shape), born, born)


def stored_maps(
    scheduled: Schedule, array: ArrayShape, steps: Sequence[Step] | None = None,
    through: Collection[str] = (),
) -> tuple[StoredMap, ...]:  # fmt: skip
    """What is placed: whole maps, and one place for all strips of a map, as large as the largest.

    All rounds of a segment are alike, so that its strips are placed for the first one; but for what
    is fetched, which comes in turns and during the step before, so that where maps travel every
    round counts. What a segment's last layer writes counts from its first step: it lies there in
    later rounds.
    """
    steps = whole_steps(scheduled.layers) if steps is None else steps
    begins: dict[int, int] = {}
    last = begin = -1
    for number, step in enumerate(steps, 1):
        if step.layer > last:
            begin = begin if step.strip_in else number
            last = step.layer
            begins[number] = begin
    found = []
    for name, own in map_lives(scheduled, array, steps, through).items():
        if through and len(own) > 1:
            spans = _joined(own)
            lines = max(one.lines for one in own)
            found.append(StoredMap(name, lines, spans[0][0], spans[-1][1], spans))
            continue
        first = replace(own[0], lines=max(one.lines for one in own))
        if len(own) == 1:
            first = replace(first, born=begins.get(first.born, first.born))
        found.append(first)
    return tuple(found)


def _joined(lives: Sequence[StoredMap]) -> tuple[tuple[int, int], ...]:
    """First and last steps of lives in order; of those that meet, as one."""
    spans: list[tuple[int, int]] = []
    for own in lives:
        if spans and own.born <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], own.dies)
        else:
            spans.append((own.born, own.dies))
    return tuple(spans)


def plan_maps(
    scheduled: Schedule, array: ArrayShape, steps: Sequence[Step] | None = None,
    through: Collection[str] = (),
) -> MemoryPlan:  # fmt: skip
    """Where all stored maps lie, proved step by step, and what lies in them. through: see
    ``map_lives``."""
    memory = plan_memory(stored_maps(scheduled, array, steps, through))
    prove_steps(memory, scheduled, array, steps, through)
    return replace(memory, bases=with_homes(memory.bases, scheduled, array))


def with_homes(bases: Mapping[str, int], scheduled: Schedule, array: ArrayShape) -> dict[str, int]:
    """First lines of maps, and of the tensors that lie in them."""
    found = dict(bases)
    for layer in scheduled.layers:
        for own in (layer.input, layer.skip, layer.result):
            if own is not None and own.name in scheduled.homes:
                root, group = scheduled.homes[own.name]
                if root in bases:
                    found[own.name] = bases[root] + group * array.lines((1, *own.shape[1:]))
    return found


def prove_steps(
    memory: MemoryPlan, scheduled: Schedule, array: ArrayShape,
    steps: Sequence[Step] | None = None, through: Collection[str] = (),
) -> None:  # fmt: skip
    """Check of every step that no two maps or strips that are alive share a line; see
    ``prove_no_overlap``. The strips of a map have its base."""
    bases, lives = {}, []
    for name, own in map_lives(scheduled, array, steps, through).items():
        for number, one in enumerate(own):
            strip = name if len(own) == 1 else f"{name}, strip {number}"
            lives.append(replace(one, name=strip))
            if name in memory.bases:
                bases[strip] = memory.bases[name]
    prove_no_overlap(replace(memory, bases=bases), lives)
