"""The maps of a schedule in the feature-map memory: what lives when."""

from __future__ import annotations

from collections.abc import Sequence

from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.memory import MemoryPlan, StoredMap, plan_memory
from shiftforge.generator.conv.schedule import Schedule
from shiftforge.generator.conv.steps import Step, whole_steps

__all__ = ["plan_maps", "stored_maps"]


def stored_maps(
    scheduled: Schedule, array: ArrayShape, steps: Sequence[Step] | None = None
) -> tuple[StoredMap, ...]:
    """Lifetimes of all stored maps: a map is alive from the first step that writes it to the last
    one that reads it. Steps count from 1; the image is written at step 0.

    steps: in their order; None for one a layer. A map of which they only ever hold a strip takes
    the lines of its largest one.
    """
    layers = scheduled.layers
    born: dict[str, int] = {}
    last: dict[str, int] = {}
    lines: dict[str, int] = {}
    image = scheduled.image
    if not scheduled.streamed:
        name = layers[0].input.name
        born[name], lines[name] = 0, array.lines((image.channels, image.rows, image.columns))
    for number, step in enumerate(whole_steps(layers) if steps is None else steps, 1):
        layer = layers[step.layer]
        last[layer.input.name] = number
        if layer.skip is not None:
            last[layer.skip.name] = number
        if not layer.direct:
            name, shape = layer.result.name, layer.result.shape
            if step.strip_out:
                shape = (shape[0], step.rows, shape[2])
            born.setdefault(name, number)
            last[name] = max(last.get(name, number), number)
            lines[name] = max(lines.get(name, 0), array.lines(shape))
    return tuple(StoredMap(name, lines[name], born[name], last[name]) for name in born)


def plan_maps(
    scheduled: Schedule, array: ArrayShape, steps: Sequence[Step] | None = None
) -> MemoryPlan:
    """Where all stored maps lie."""
    return plan_memory(stored_maps(scheduled, array, steps))
