"""Holds the records of a plan against the definition of its layers, iteration by iteration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from conv_machines import ConvMachine, Event, Stuck, controller_events, post_tiles
from conv_walks import Definition, Fire, address

from shiftforge.generator.conv.lower_controller import operand_counters
from shiftforge.generator.conv.plan import Plan, StepPlan
from shiftforge.generator.conv.schedule import Layer

definition_of = cache(Definition)
"""Of a layer and an array; the same one for the same two."""


def walk_problems(plan: Plan, layers: Sequence[Layer], frames: int = 2) -> list[str]:
    """One line for everything in which a plan's records differ from the layers; none if equal."""
    found: list[str] = []
    definitions = [definition_of(layer, plan.array) for layer in layers]
    weights = iter(
        [(i, *w) for _ in range(frames) for i, d in enumerate(definitions) for w in d.weights()]
    )
    half = 1 << (plan.weight_words - 1).bit_length()
    machine = ConvMachine(plan.array.units, half, plan.array.pixels)
    machine.run(plan.fill, [], weights, last=False)
    for frame in range(frames):
        for i, (own, definition) in enumerate(zip(plan.steps, definitions, strict=True)):
            last = frame == frames - 1 and i == len(layers) - 1
            try:
                texts = _layer(plan, own, definition, machine, weights, last)
            except (Stuck, StopIteration) as error:
                return [*found, f"{own.name}: {error}"]
            found += [f"{own.name}: {text}" for text in texts]
    if next(weights, None) is not None:
        found.append("weights are left")
    return found


def _layer(
    plan: Plan, own: StepPlan, definition: Definition, machine: ConvMachine,
    weights: Iterator[Any], last: bool,
) -> list[str]:  # fmt: skip
    counters = operand_counters(step.controller for step in plan.steps)
    events = list(controller_events(own.controller, plan.array.pixels, counters))
    lines = definition.operands
    found = _sends(plan, own, definition, events)
    wanted: list[Fire] = [
        Fire(f.operands, (own.index, *f.weight), f.completes)  # type: ignore[arg-type]
        for f in definition.fires
    ]
    cycles = machine.run(own.conv, lines, weights, last)
    fires = [c.fire for c in cycles]
    if fires != wanted:
        at = next((k for k, (a, b) in enumerate(zip(fires, wanted, strict=False)) if a != b), None)
        found.append(f"array cycle {at} of {len(wanted)} differs ({len(fires)} fire)")
    if (distance := touched_distance(machine.touched)) is not None and distance < 8:
        found.append(f"a weight word is touched again after {distance} iterations")
    complete = [c for c in cycles if c.fire.completes]
    return [*found, *_times(plan, own, definition, events, complete), *_post(plan, own, definition)]


def _sends(plan: Plan, own: StepPlan, definition: Definition, events: list[Event]) -> list[str]:
    """Lines that are sent, in their order, and those of an addition."""
    layer, found = definition.layer, []
    sent = [e for e in events if e.kind in ("send", "zero")]
    lines = definition.operands
    if own.controller.from_image:
        if len(sent) != len(lines) or len(lines) != (
            plan.image.lines * plan.image.map_rows * plan.image.passes
        ):
            found.append(f"{len(sent)} lines of the image are sent, {len(lines)} are wanted")
    else:
        base, sizes = plan.memory.bases[layer.input.name], definition.in_lines
        addresses = [None if line is None else base + address(line, sizes) for line in lines]
        if [None if e.kind == "zero" else e.address for e in sent] != addresses:
            found.append("lines are sent in another order than they are wanted")
    skips = [e.address for e in events if e.kind == "skip"]
    expected = []
    if layer.skip is not None:
        base, sizes = plan.memory.bases[layer.skip.name], definition.out_lines
        expected = [base + address(place, sizes) for place in definition.tiles()]
    if skips != expected:
        found.append("the addition's lines are others, or come in another order")
    return found


def _times(
    plan: Plan, own: StepPlan, definition: Definition, events: list[Event], complete: list[Any]
) -> list[str]:
    """Results: every address once, each read so long after its last operand."""
    layer, found = definition.layer, []
    stores = [e for e in events if e.kind == "store"]
    results = definition.results()
    sizes = (definition.out_lines[0], 1, 1) if layer.pool is not None else definition.out_lines
    base = plan.memory.bases[layer.result.name] if results else 0
    if [e.address for e in stores] != [base + address(place, sizes) for place in results]:
        found.append("results are stored elsewhere, or not each once")
    sent = [e.iteration for e in events if e.kind in ("send", "zero")]
    skips = [e.iteration for e in events if e.kind == "skip"]
    ends = []
    a_tile = len(definition.block(0)) * (9 * layer.windows.count if layer.mode == "standard" else 1)
    for k, cycle in enumerate(complete):
        # The lines of the next window may have come by then: they are none of this result.
        lines = cycle.lines if layer.mode == "depthwise" else (k + 1) * a_tile
        if lines > len(sent) or (layer.skip is not None and k >= len(skips)):
            return [*found, f"operands of result {k} are never sent"]
        latest = max(sent[lines - 1], skips[k] if layer.skip is not None else 0)
        if layer.mode == "depthwise":
            # Both count the same lines, idle ones too; lines of an addition come in between.
            end = cycle.steps - 1 + (k + 1 if layer.skip is not None else 0)
        else:
            end = sent[lines - 1] + (layer.skip is not None)
        if latest > end:
            found.append(f"an operand of result {k} is sent after its time")
        ends.append(end)
    if layer.pool is not None:
        each = definition.out_lines[1] * definition.out_lines[2]
        ends = ends[each - 1 :: each]
    # A tile leaves post with its last slice, a pool's line with the code of its last sums.
    way = plan.latencies.round_trip + own.post.every - 1
    way += own.post.pool_turns if layer.pool is not None else 0
    least = way
    if layer.mode == "standard":
        # The window is read first and computed then, a channel of the last group a cycle.
        least += (layer.block_channels - 1) % plan.array.units + 1
    if results:
        found += _reads([e.iteration for e in stores], ends, own.controller.sends, least, way)
    depth = next(c.depth for c in plan.channels if c.name == "result")
    reads = [e.iteration for e in stores]
    for k, end in enumerate(ends if results else []):
        waiting = sum(at >= end for at in reads[: k + 1])
        if waiting > depth:
            found.append(f"{waiting} results wait, result {k} among them; {depth} have room")
            break
    last = max([e.iteration for e in events], default=0)
    idle = own.controller.iterations - 1 - last
    # Without results the last windows may end in zeros, which are not sent.
    if idle < 0 or (idle and (results or layer.mode != "depthwise")):
        found.append(f"the controller is idle for {idle} iterations at its end")
    return found


def _reads(reads: list[int], ends: list[int], sends: int, least: int, trip: int) -> list[str]:
    """Results come a lag after their last line, ``least`` or up to a round trip more; those that
    would come when all lines are sent come then one an iteration, no more than a round trip takes.
    """
    early = sum(at < sends for at in reads)
    lags = {at - end for at, end in zip(reads[:early], ends, strict=False)}
    late = list(range(sends, sends + len(reads) - early))
    odd = len(lags) > 1 or any(not least <= lag <= least + trip for lag in lags)
    if odd or reads[early:] != late:
        return ["results are read at other iterations than theirs"]
    if len(late) > trip and lags not in (set(), {least}):
        return [f"{len(late)} results come when all lines are sent"]
    return []


def _post(plan: Plan, own: StepPlan, definition: Definition) -> list[str]:
    layer, found = definition.layer, []
    if own.post.groups != definition.out_lines[0]:
        found.append(f"{own.post.groups} parameter records are read")
    if own.post.residual != (layer.skip is not None):
        found.append("the addition is forgotten, or there is none")
    tables = layer.code_table, layer.table
    if [n > 0 for n in (own.post.code_table, own.post.table)] != [t is not None for t in tables]:
        found.append("a table is forgotten, or there is none")
    tiles = post_tiles(own.post, plan.array.pixels, plan.array.frames, plan.slice.frames)
    places = list(definition.tiles())
    if [t.record for t in tiles] != [group for group, _, _ in places]:
        found.append("tiles take the parameters of another group")
    columns, pixels = layer.out_shape[2], plan.array.pixels
    if [t.pixels for t in tiles] != [min(pixels, columns - t * pixels) for _, _, t in places]:
        found.append("tiles have other pixels")
    _, rows, count = definition.out_lines
    final = [y == rows - 1 and t == count - 1 for _, y, t in places]
    writes = [not layer.direct and (layer.pool is None or is_final) for is_final in final]
    if [t.writes for t in tiles] != writes:
        found.append("other tiles are written")
    sliced = layer.skip is not None or layer.table is not None or layer.pool is not None
    if own.post.sliced != sliced:
        found.append("additions, tables and pools go slice by slice, and they alone")
    if own.post.columns != _columns(plan, own, layer.out_shape[2]):
        found.append("an iteration takes other pixels")
    units, turns = plan.array.units, plan.turns
    if own.post.pool_turns * turns.pool_units != plan.array.frames * units:
        found.append(f"{own.post.pool_turns} turns make no line of codes of a pool's sums")
    if own.post.output_turns * turns.output_units != units:
        found.append(f"{own.post.output_turns} turns make no pixel of the output")
    last = tiles[-1].iteration + own.post.every
    last += own.post.pool_turns if layer.pool is not None else 0
    if last != own.post.iterations:
        found.append(f"post is done after {last} of {own.post.iterations} iterations")
    if any(t.iteration - t.record < 8 for t in tiles):
        found.append("a parameter record is used too soon")
    return found


def _columns(plan: Plan, own: StepPlan, width: int) -> int:
    """Pixels of a frame that an iteration of post takes; of an output of one column all that a tile
    has room for, for there is but one."""
    if own.post.direct:
        return plan.array.pixels if width == 1 else 1
    return plan.slice.columns if own.post.sliced else plan.array.pixels


def touched_distance(touched: list[tuple[int, int, int]]) -> int | None:
    """Fewest iterations between two accesses of a word of which one writes."""
    words: dict[int, list[tuple[int, int]]] = {}
    for at, slot, written in touched:
        words.setdefault(slot, []).append((at, written))
    gaps = [
        b[0] - a[0] for own in words.values() for a, b in pairwise(sorted(own))
        if (a[1] or b[1]) and b[0] > a[0]
    ]  # fmt: skip
    return min(gaps, default=None)
