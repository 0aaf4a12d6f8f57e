"""Cycle model of the accelerator: what each layer takes, and what an ideal array would take.

Modelled, not measured; the clocked run counts the same from the text. Every kernel is a loop over
layers and in it one loop of a known trip count, an iteration a cycle. The model follows the kernels
from layer to layer: when each may start (its invocation before has drained, and entry again takes
its time), when its first word is there, and what its iterations wait for:

* the convolution unit's iterations, idle ones included;
* the controller's, where lines are sent more slowly than they are used;
* weight words, and for the first layer the image, at the board's bandwidth;
* the latencies of the kernels and channels between the last operand and the last result.

A layer lasts from the last stored result of the one before to its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.depths import OPERANDS, SHORT
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.streams import ImageLines, Weights
from shiftforge.generator.conv.weights import weight_word_bytes

__all__ = ["LayerCycles", "model_cycles"]

Passes = tuple[ControllerPass, ConvPass, PostPass]


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one layer a frame, and the share of the array's lanes that do its work.

    ideal: array cycles if every one were full. array: iterations of the convolution unit. memory:
    of the controller. weights: cycles that its weights take from global memory. bound: which of
    them decides.
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
class _Kernels:
    """First cycles in which the kernels can start a layer; end of the layer before."""

    controller: float = 0
    conv: float = 0
    post: float = 0
    end: float = 0


def model_cycles(
    layers: Sequence[Layer],
    tilings: Sequence[Tiling],
    passes: Sequence[Passes],
    image: ImageLayout,
    image_pass: ControllerPass | None,
    array: ArrayShape,
    latencies: Latencies,
    bytes_per_cycle: float,
) -> tuple[LayerCycles, ...]:
    """Cycles of every layer of a frame that follows another one.

    bytes_per_cycle: global memory bandwidth at the kernel clock.
    """
    at, found = _Kernels(), []
    word = weight_word_bytes(array) / bytes_per_cycle
    lines = ImageLines(image, latencies, bytes_per_cycle)
    weights = Weights(word, latencies)
    for frame in range(2):
        begin = at.end
        for i, (layer, tiling, own) in enumerate(zip(layers, tilings, passes, strict=True)):
            before = at.end
            if i == 0 and image_pass is not None:
                stored = lines.last(at.controller, 0, 0, at.controller, 1) if frame else 0.0
                at.controller = max(stored + 1, at.controller + image_pass.iterations)
                at.controller += latencies.controller + latencies.reentry
            source = lines if i == 0 and image_pass is None and frame else None
            bound = _layer(at, own, source, weights, latencies)
            if frame:
                if i == len(layers) - 1:
                    # A frame takes no less than its image.
                    at.end = max(at.end, begin + lines.cycles)
                total = round(at.end - before)
                found.append(
                    LayerCycles(
                        _ideal(layer, tiling), own[1].iterations, own[0].iterations,
                        ceil(own[1].all_words * word), total, layer.macs,
                        layer.macs / (total * array.lanes), bound,
                    )
                )  # fmt: skip
    return tuple(found)


def _ideal(layer: Layer, tiling: Tiling) -> int:
    """Array cycles, every one a full tile, nothing waits."""
    words = 1 if layer.mode == "depthwise" else tiling.weight_words
    return tiling.out_groups * tiling.tiles * words


def _late_weights(conv: ConvPass, weights: Weights, first: float) -> tuple[float, float]:
    """Cycles by which weights delay a layer's last complete tile, and its end.

    Each group's iterations take the words of the next one; the last group's those of the next
    layer, partly behind its last tile.
    """
    late, start, fill, length = 0.0, first, conv.fill, 0
    groups = [run for run in conv.runs for _ in range(run.groups)]
    for own, after in pairwise(groups):
        stop = weights.late(start, after.words, own.take_first, own.take_every)
        late += stop
        start += fill + own.iterations + stop
        fill = 0
    length = fill + groups[-1].iterations
    inside = _last_complete(conv) - (conv.iterations - length)
    words = min(conv.last_words, max(0, ceil((inside - conv.last_first) / conv.last_every)))
    stop = weights.late(start, words, conv.last_first, conv.last_every)
    rest = weights.late(
        start + stop, conv.last_words - words, conv.last_first + words * conv.last_every,
        conv.last_every,
    )  # fmt: skip
    return late + stop, late + stop + rest


def _first_complete(conv: ConvPass) -> int:
    """Iterations up to the first complete tile."""
    if conv.mode == 1:
        return conv.fires.first + 1 + (conv.run0.twice > 0)
    return conv.fill + conv.run0.words


def _last_complete(conv: ConvPass) -> int:
    """Iterations up to the last complete tile."""
    last = conv.runs[-1]
    if conv.mode == 1:
        again = int(last.twice > 0)
        if again and not conv.late:
            again = last.twice * (conv.loads // (last.words - last.twice))
        return conv.fires.time(conv.loads - 1) + 1 + again
    tiles = (conv.tiles - 1) * last.tile
    return conv.iterations - last.iterations + tiles + last.words


def _layer(
    at: _Kernels, own: Passes, image: ImageLines | None, weights: Weights, latencies: Latencies
) -> str:
    """One layer further; what decides how long it takes. image: where the layer reads it."""
    controller, conv, post = own
    way = latencies.controller + latencies.channel
    first = max(at.conv, at.controller + way)
    wants = {"array": float(_last_complete(conv)), "memory": float(controller.sends)}
    to_post = latencies.conv + latencies.channel
    ready = at.post + post.before
    begun = first + _first_complete(conv) - 1 + to_post
    # Post may still read parameters when the first tile is there. It takes a tile a cycle then, and
    # the channel holds some: the unit stops only when these are used up.
    waits = max(0.0, ready - begun - SHORT * conv.iterations / post.tiles_all)
    busy, imaged = max(wants.values()), 0.0
    bound = next(name for name, cycles in wants.items() if cycles == busy)
    if image is not None:
        # Lines are used as often as the array's iterations want them.
        pace = max(1.0, wants["array"] / controller.sends)
        imaged = image.last(at.controller, OPERANDS, way, first, pace, waits) + pace
        bound = "image" if imaged - first > 1.02 * busy else bound
    late, all_late = _late_weights(conv, weights, first)
    if late > 0.02 * busy:
        bound = "weights"
    complete = max(first + busy + late + waits, imaged)
    stored = max(complete + to_post, ready + post.tiles_all)
    if controller.stores:
        end = stored + latencies.post + latencies.channel
        at.controller = max(end, at.controller + controller.iterations)
        at.controller += latencies.controller + latencies.reentry
        at.end = end + latencies.controller
    else:
        # A pixel an iteration: where there are few channels, post takes longer than the array.
        through = max(ready, begun) + post.iterations - post.before
        complete = max(complete, through - to_post - SHORT * post.last_pixels)
        stored = max(stored + post.last_pixels - 1, through)
        # Its last lines find room when so many fewer are used.
        room = first + busy * (1 - OPERANDS / controller.sends)
        at.controller = max(at.controller + controller.iterations + latencies.controller, room)
        at.controller += latencies.reentry
        at.end = stored + latencies.post
    at.conv = max(complete, first + conv.iterations + all_late) + latencies.conv + latencies.reentry
    at.post = stored + latencies.post + latencies.reentry
    return bound
