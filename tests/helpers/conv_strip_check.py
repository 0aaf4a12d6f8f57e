"""Holds the steps of a plan with strips against its layers: what every iteration reads and writes.

A memory of names stands for the feature-map memory, one for the trace. A step is right if the lines
that it reads there are those that its array cycles need, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from conv_machines import ConvMachine, Stuck, controller_events, post_tiles
from conv_walk_check import definition_of, touched_distance
from conv_walks import Definition, Fire, Place

from shiftforge.generator.conv.plan import Plan, StepPlan
from shiftforge.generator.conv.schedule import Layer

Name = tuple[str, Place]


def strip_problems(plan: Plan, layers: Sequence[Layer], frames: int = 2) -> list[str]:
    """One line for everything in which a plan's steps differ from the layers; none if equal."""
    definitions = [definition_of(layer, plan.array) for layer in layers]
    weights = iter([
        (own.index, *word)
        for _ in range(frames) for own in plan.steps for word in definitions[own.index].weights()
    ])  # fmt: skip
    machine = ConvMachine(plan.array.units, 1 << (plan.weight_words - 1).bit_length())
    machine.run(plan.fill, [], weights, last=False)
    found: list[str] = []
    for frame in range(frames):
        memory: dict[int, Name] = {}
        trace: dict[int, Name] = {}
        if plan.image_pass is not None:
            _image(plan, layers[0], memory)
        made = [0] * len(layers)
        for number, own in enumerate(plan.steps):
            last = frame == frames - 1 and number == len(plan.steps) - 1
            if own.first_row != made[own.index]:
                found.append(f"{own.name}: row {own.first_row} comes after {made[own.index]}")
            made[own.index] = own.first_row + own.tiling.out_rows
            try:
                texts = _step(plan, own, definitions[own.index], machine, weights, last,
                              memory, trace)  # fmt: skip
            except (Stuck, StopIteration) as error:
                return [*found, f"{own.name}: {error}"]
            found += [f"{own.name}: {text}" for text in texts]
        if made != [layer.out_shape[1] for layer in layers]:
            found.append(f"rows {made} are made")
        found += _traced(plan, definitions, trace)
    if next(weights, None) is not None:
        found.append("weights are left")
    return found


def _image(plan: Plan, first: Layer, memory: dict[int, Name]) -> None:
    image, base = plan.image, plan.memory.bases[first.input.name]
    plane = image.map_rows * image.map_tiles
    for g in range(image.map_groups):
        for at in range(plane):
            place = (g, *divmod(at, image.map_tiles))
            memory[base + g * plane + at] = (first.input.name, place)


def _step(
    plan: Plan, own: StepPlan, whole: Definition, machine: ConvMachine, weights: Iterator[Any],
    last: bool, memory: dict[int, Name], trace: dict[int, Name],
) -> list[str]:  # fmt: skip
    layer, found = whole.layer, []
    rows = range(own.first_row, own.first_row + own.tiling.out_rows)
    tiles = [place for place in whole.tiles() if place[1] in rows]
    lines = _operands(whole, rows)
    results = [place for place in whole.results() if layer.pool is not None or place[1] in rows]
    sent, skips, reads = [], [], []
    times: list[int] = []
    for event in controller_events(own.controller):
        if event.kind == "store":
            if len(reads) == len(results):
                return ["more results are read than there are"]
            name = (layer.result.name, results[len(reads)])
            memory[event.address] = name
            at = own.controller.trace_base + event.address - own.controller.out_base
            if at in trace:
                found.append(f"line {at} of the trace is written twice")
            trace[at] = name
            reads.append(event.iteration)
        elif event.kind == "skip":
            skips.append(memory.get(event.address))
        else:
            sent.append(memory.get(event.address) if event.kind == "send" else None)
            times.append(event.iteration)
    source = layer.input.name
    if own.controller.from_image:
        sent = [None if line is None else (source, line) for line in lines][: len(sent)]
    if sent != [None if line is None else (source, line) for line in lines]:
        found.append("lines are sent that are not those of its windows")
    if layer.skip is not None and skips != [(layer.skip.name, place) for place in tiles]:
        found.append("lines of an addition are others")
    if len(reads) != len(results):
        found.append(f"{len(reads)} results are read of {len(results)}")
    cycles = machine.run(own.conv, lines, weights, last)
    fires = [Fire(f.operands, (own.index, *f.weight), f.completes)  # type: ignore[arg-type]
             for f in _fires(whole, tiles)]  # fmt: skip
    if [c.fire for c in cycles] != fires:
        found.append("array cycles differ")
    if (distance := touched_distance(machine.touched)) is not None and distance < 8:
        found.append(f"a weight word is touched again after {distance} iterations")
    if layer.pool is None and layer.mode != "standard":
        found += _late(plan, own, whole, [c for c in cycles if c.fire.completes], times, reads)
    records = [
        t.record
        for t in post_tiles(own.post, plan.array.pixels, plan.array.frames, plan.slice.frames)
    ]
    if records != [group for group, _, _ in tiles]:
        found.append("tiles take the parameters of another group")
    return found


def _operands(whole: Definition, rows: range) -> list[Any]:
    """Lines that come in a step: those that no step before took."""
    layer = whole.layer
    if layer.mode != "depthwise" or len(rows) == whole.out_lines[1]:
        each = len(whole.operands) // len(list(whole.tiles()))
        if layer.mode == "depthwise":
            return whole.operands
        return [
            line for k, place in enumerate(whole.tiles()) if place[1] in rows
            for line in whole.operands[k * each : (k + 1) * each]
        ]  # fmt: skip

    def below(output: int) -> int:
        """First row of the input that windows up to an output row do not need."""
        return output * layer.stride - layer.top + 2 + 1

    start = below(rows.start - 1) if rows.start else 0
    groups, height, tiles = whole.in_lines
    if rows.stop == whole.out_lines[1]:
        return [line for line in whole.operands if line is not None and line[1] >= start]
    return [
        (g, y, t)
        for y in range(start, min(below(rows.stop - 1), height))
        for g in range(groups)
        for t in range(tiles)
    ]


def _fires(whole: Definition, tiles: list[Place]) -> list[Fire]:
    """Array cycles of some tiles, in the layer's order."""
    every = list(whole.tiles())
    ends = [k + 1 for k, fire in enumerate(whole.fires) if fire.completes]
    wanted = set(tiles)
    return [
        fire for place, (a, b) in zip(every, pairwise([0, *ends]), strict=True)
        if place in wanted for fire in whole.fires[a:b]
    ]  # fmt: skip


def _late(
    plan: Plan, own: StepPlan, whole: Definition, complete: list[Any], times: list[int],
    reads: list[int],
) -> list[str]:  # fmt: skip
    """No result is read sooner than a round trip after its last operand."""
    residual, least = whole.layer.skip is not None, plan.latencies.round_trip + own.post.every - 1
    for k, (cycle, read) in enumerate(zip(complete, reads, strict=False)):
        if whole.layer.mode == "depthwise":
            end = cycle.steps - 1 + (k + 1 if residual else 0)
        else:
            end = times[(k + 1) * whole.in_lines[0] - 1] + residual
        if read < min(end + least, own.controller.sends):
            return [f"result {k} is read {read - end} iterations after its operands"]
    return []


def _traced(plan: Plan, definitions: list[Definition], trace: dict[int, Name]) -> list[str]:
    """Whether the trace has what the manifest says, and no more."""
    expected: dict[int, Name] = {}
    by_name = {d.layer.result.name: d for d in definitions}
    for own in plan.traced:
        whole = by_name[own.tensor]
        groups, _, tiles = whole.out_lines
        tiles = 1 if whole.layer.pool is not None else tiles
        at = own.base
        for g in range(groups):
            for y in range(own.first, own.first + own.rows):
                for t in range(tiles):
                    expected[at] = (own.tensor, (g, y, t))
                    at += 1
        if at != own.base + own.lines:
            return [f"{own.tensor} has {own.lines} lines in the trace"]
    return [] if expected == trace else ["the trace holds other lines"]
