"""The maps of a schedule in the feature-map memory: what lives when, and what a layer reads."""

from __future__ import annotations

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.memory import MemoryPlan, StoredMap, plan_memory
from shiftforge.generator.conv.schedule import Layer, Schedule

__all__ = ["map_reads", "plan_maps", "stored_maps"]


def map_reads(
    layer: Layer, tiling: Tiling, memory: MemoryPlan, array: ArrayShape
) -> tuple[tuple[int, int], ...]:
    """(base, lines) of those maps that a layer reads on chip."""
    maps = [(layer.input.name, tiling.in_groups * tiling.in_rows * tiling.in_tiles)]
    if layer.skip is not None:
        maps.append((layer.skip.name, array.lines(layer.skip.shape)))
    return tuple((memory.bases[n], lines) for n, lines in maps if n in memory.bases)


def stored_maps(scheduled: Schedule, array: ArrayShape) -> tuple[StoredMap, ...]:
    """Lifetimes of all stored maps; step i + 1 is layer i, and the image is written at step 0."""
    last: dict[str, int] = {}
    for layer in scheduled.layers:
        last[layer.input.name] = layer.index + 1
        if layer.skip is not None:
            last[layer.skip.name] = layer.index + 1
    image = scheduled.image
    first = scheduled.layers[0].input.name
    maps = []
    if not scheduled.streamed:
        lines = array.lines((image.channels, image.rows, image.columns))
        maps.append(StoredMap(first, lines, 0, last[first]))
    for layer in scheduled.layers:
        if not layer.direct:
            born = layer.index + 1
            maps.append(
                StoredMap(
                    layer.result.name,
                    array.lines(layer.result.shape),
                    born,
                    last.get(layer.result.name, born),
                )
            )
    return tuple(maps)


def plan_maps(scheduled: Schedule, array: ArrayShape) -> MemoryPlan:
    """Where all stored maps lie."""
    return plan_memory(stored_maps(scheduled, array))
