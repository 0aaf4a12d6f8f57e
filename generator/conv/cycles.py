"""Cycle model of the accelerator: what each layer takes, and what an ideal array would take.

Modelled, not measured; the clocked run counts the same from the text. Every kernel is a loop over
layers and in it one loop of a known trip count, an iteration a cycle. The model follows the kernels
from layer to layer: when each may start (its invocation before has drained, and entry again takes
its time, with an iteration for every word of its record), when its first word is there, and what
its iterations wait for:

* the convolution unit's iterations, idle ones included;
* the controller's, where lines are sent more slowly than they are used;
* weight words, and for the first layer the image, at the board's bandwidth;
* the latencies of the kernels and channels between the last operand and the last result.

A layer lasts from the last stored result of the one before to its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TypeAlias

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.depths import SHORT, Depths
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.records import ControllerPass
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.streams import ImageLines, Weights
from shiftforge.generator.conv.times import (
    Entries,
    Number,
    Passes,
    StepTimes,
    least,
    most,
    round_up,
    step_times,
)
from shiftforge.generator.conv.weights import WeightBeats

__all__ = ["Delays", "Kernels", "LayerCycles", "added", "advance", "model_cycles"]

ImageUse: TypeAlias = Callable[[Number, Number, Number, Number, Number], Number]
"""The cycle in which the image's last line is used. Takes start, way, first, pace and held of
``ImageLines.last``."""


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of a layer or a step a batch of the array's frames, and the share of its lanes that
    work.

    macs: of a frame. ideal: array cycles if every one were full. array: iterations of the
    convolution unit. memory: of the controller. weights: cycles that its weights take from global
    memory. bound: which of them decides.
    """

    ideal: int
    array: int
    memory: int
    weights: int
    modelled: int
    macs: int
    utilisation: float
    bound: str


@dataclass
class Kernels:
    """First cycles in which the kernels can start a layer; end of the layer before."""

    controller: Number = 0.0
    conv: Number = 0.0
    post: Number = 0.0
    end: Number = 0.0


@dataclass(frozen=True, eq=False)
class Delays:
    """Cycles of a layer. busy: of the array or the controller, whichever takes longer. imaged:
    until the image's last line is used. late: by which weights come late."""

    busy: Number
    imaged: Number
    late: Number


def model_cycles(
    layers: Sequence[Layer],
    tilings: Sequence[Tiling],
    passes: Sequence[Passes],
    image: ImageLayout,
    image_pass: ControllerPass | None,
    array: ArrayShape,
    beats: WeightBeats,
    latencies: Latencies,
    bytes_per_cycle: float,
    depths: Depths,
    entries: Entries,
) -> tuple[LayerCycles, ...]:
    """Cycles of every step of a batch that follows another one.

    layers, tilings, passes: of the steps in their order. beats: of weight words. bytes_per_cycle:
    global memory bandwidth at the kernel clock. depths: of the channels. entries: of the kernels.
    """
    at, found = Kernels(), []
    word = beats.cycles(bytes_per_cycle)
    lines = ImageLines(image, latencies, bytes_per_cycle, depths.image)
    weights = Weights(word, latencies, depths.weight)
    times = [step_times(own, array.units) for own in passes]
    for frame in range(2):
        begin = at.end
        for i, (layer, tiling, own) in enumerate(zip(layers, tilings, times, strict=True)):
            before = at.end
            if i == 0 and image_pass is not None:
                start = float(at.controller)
                stored = lines.last(start, 0, 0, start, 1) if frame else 0.0
                at.controller = most(stored + 1, at.controller + image_pass.iterations)
                at.controller = at.controller + (latencies.controller + entries.controller)
            source = None
            if frame and image_pass is None and passes[i][0].from_image:
                source = _used(lines, depths.operand, tiling.out_rows)
            delays = advance(at, own, source, weights, latencies, depths.operand, entries)
            if frame:
                if i == len(layers) - 1:
                    # A frame takes no less than its image.
                    at.end = most(at.end, begin + lines.cycles)
                total = round(float(at.end - before))
                macs = layer.macs * tiling.out_rows // layer.out_shape[1]
                found.append(
                    LayerCycles(
                        _ideal(layer, tiling), passes[i][1].iterations, passes[i][0].iterations,
                        ceil(passes[i][1].all_words * word), total, macs,
                        array.frames * macs / (total * array.lanes), _bound(own, delays),
                    )
                )  # fmt: skip
    return tuple(found)


def added(steps: Sequence[LayerCycles], array: ArrayShape) -> LayerCycles:
    """A layer from its steps, 1 or more; what decides is told of the longest."""
    if len(steps) == 1:
        return steps[0]
    names = ("ideal", "array", "memory", "weights", "modelled", "macs")
    total = {name: sum(getattr(own, name) for own in steps) for name in names}
    longest = max(steps, key=lambda own: own.modelled)
    share = array.frames * total["macs"] / (total["modelled"] * array.lanes)
    return LayerCycles(**total, utilisation=share, bound=longest.bound)


def _used(lines: ImageLines, ahead: int, rows: int) -> ImageUse:
    """Of so many rows of a plan's image, which the controller takes ahead of its use."""

    def last(start: Number, way: Number, first: Number, pace: Number, held: Number) -> Number:
        numbers = float(way), float(first), float(pace), float(held)
        return lines.last(float(start), ahead, *numbers, rows=rows)

    return last


def _ideal(layer: Layer, tiling: Tiling) -> int:
    """Array cycles, every one a full tile, nothing waits."""
    return tiling.out_groups * tiling.tiles * tiling.weight_words


def _late_weights(own: StepTimes, weights: Weights, first: Number) -> tuple[Number, Number]:
    """Cycles by which weights delay a layer's last complete tile, and its end.

    Each group's iterations take the words of the next one; the last group's those of the next
    layer, partly behind its last tile.
    """
    late: Number = 0.0
    start, fill = first, own.fill
    for group, after in pairwise(own.groups):
        stop = weights.late(start, after.words, group.first, group.every)
        late = late + stop
        start = start + fill + group.iterations + stop
        fill = 0
    length = fill + own.groups[-1].iterations
    inside = own.last_complete - (own.conv - length)
    words = most(0, round_up((inside - own.last_first) / own.last_every))
    words = least(own.last_words, words)
    stop = weights.late(start, words, own.last_first, own.last_every)
    rest = weights.late(
        start + stop, own.last_words - words, own.last_first + words * own.last_every,
        own.last_every,
    )  # fmt: skip
    return late + stop, late + stop + rest


def advance(
    at: Kernels,
    own: StepTimes,
    image: ImageUse | None,
    weights: Weights,
    latencies: Latencies,
    operands: Number,
    entries: Entries,
) -> Delays:
    """One layer further; what it waits for. image: where the layer reads it. operands: lines that
    the controller may be ahead."""
    way = latencies.controller + latencies.channel
    first = most(at.conv, at.controller + way) if own.fed else at.conv
    busy = most(own.last_complete, own.sends)
    to_post = latencies.conv + latencies.channel
    ready = at.post + own.before
    begun = first + own.first_complete - 1 + to_post
    # Post may still read parameters when the first tile is there. It takes a tile a cycle then, and
    # the channel holds some: the unit stops only when these are used up.
    waits = most(0.0, ready - begun - SHORT * own.conv / own.tiles)
    imaged: Number = 0.0
    if image is not None:
        # Lines are used as often as the array's iterations want them.
        pace = most(1.0, own.last_complete / own.sends)
        imaged = image(at.controller, way, first, pace, waits) + pace
    late, all_late = _late_weights(own, weights, first)
    # Where post takes more iterations for a tile than the array, it decides.
    through = most(ready, begun) + own.post - own.before
    complete = most(first + busy + late + waits, imaged, through - to_post - SHORT * own.every)
    stored = most(complete + to_post + own.behind, through)
    if own.stores:
        end = stored + latencies.post + latencies.channel
        at.controller = most(end, at.controller + own.controller)
        at.controller = at.controller + (latencies.controller + entries.controller)
        at.end = end + latencies.controller
    else:
        # Its last lines find room when so many fewer are used.
        room = first + busy * (1 - operands / own.sends)
        at.controller = most(at.controller + own.controller + latencies.controller, room)
        at.controller = at.controller + entries.controller
        at.end = stored + latencies.post
    drained = latencies.conv + entries.conv
    at.conv = most(complete, first + own.conv + all_late) + drained
    at.post = stored + latencies.post + entries.post
    return Delays(busy, imaged - first, late)


def _bound(own: StepTimes, found: Delays) -> str:
    """What decides how long a layer of a plan takes."""
    if found.late > 0.02 * found.busy:
        return "weights"
    if found.imaged > 1.02 * found.busy:
        return "image"
    return "array" if found.busy == own.last_complete else "memory"
