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
from math import ceil

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.depths import IMAGE_LINES, SHORT, WEIGHT_WORDS
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass
from shiftforge.generator.conv.schedule import Layer
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
    loading = image.rows * image.beats * image.beat / bytes_per_cycle
    for frame in range(2):
        for i, (layer, tiling, own) in enumerate(zip(layers, tilings, passes, strict=True)):
            before, source = at.end, 0.0
            if i == 0 and image_pass is not None:
                rows = _image(image, loading, latencies)
                at.controller += max(image_pass.iterations, rows)
                at.controller += latencies.controller + latencies.reentry
            elif i == 0:
                source = _image(image, loading, latencies)
            busy, bound = _busy(own, word)
            if _step(at, own, busy, source, latencies):
                bound = "image"
            if frame:
                total = round(at.end - before)
                found.append(
                    LayerCycles(
                        _ideal(layer, tiling), own[1].iterations, own[0].iterations,
                        ceil(own[1].words * own[1].groups * word), total, layer.macs,
                        layer.macs / (total * array.lanes), bound,
                    )
                )  # fmt: skip
    return tuple(found)


def _ideal(layer: Layer, tiling: Tiling) -> int:
    """Array cycles, every one a full tile, nothing waits."""
    words = 1 if layer.mode == "depthwise" else tiling.weight_words
    return tiling.out_groups * tiling.tiles * words


def _image(image: ImageLayout, loading: float, latencies: Latencies) -> float:
    """Cycles that the image's lines take once the first is wanted.

    Those that the loader had fetched before are there: in its channel, and in its pipeline, which
    is as long as a load from global memory takes; so long do the first take that it fetches then.
    loading: cycles that the bytes of a row of the map take.
    """
    step = max(float(image.step), loading)
    left = image.map_rows * image.passes * step - IMAGE_LINES / image.lines * step
    return left if left > latencies.loader + latencies.global_load else 0.0


def _busy(own: Passes, word: float) -> tuple[float, str]:
    """Cycles from a layer's first operand to its last complete tile, and what decides."""
    controller, conv, _ = own
    wants = {"array": float(_last_complete(conv)), "memory": float(controller.sends)}
    words = (conv.groups - 1) * conv.words + conv.last_words - WEIGHT_WORDS
    wants["weights"] = words * word
    if conv.mode == 2:
        # The last window is used after its last line.
        wants["memory"] += conv.last_lanes
    bound = max(wants, key=lambda name: wants[name])
    return wants[bound], bound


def _first_complete(conv: ConvPass) -> int:
    """Iterations up to the first complete tile."""
    if conv.mode == 1:
        return conv.fires.first + 1
    return conv.first_group_iterations - conv.group_iterations + conv.words


def _last_complete(conv: ConvPass) -> int:
    """Iterations up to the last complete tile."""
    if conv.mode == 2:
        return conv.iterations - conv.tail - (conv.last_step - conv.last_lanes)
    if conv.mode == 0:
        return conv.iterations - conv.tail
    p = conv.fires
    span = (p.tiles - 1) * p.every_tile
    row = (p.inner - 1) * (p.every_inner + span) + span
    group = (p.rows - 1) * (p.every_row + row) + row
    return p.first + (conv.tiles - 1) * (p.every_outer + group) + group + 1


def _step(at: _Kernels, own: Passes, busy: float, source: float, latencies: Latencies) -> bool:
    """One layer further; whether its image came too late. source: cycles that the image takes."""
    controller, conv, post = own
    sent = at.controller + latencies.controller + latencies.channel
    first = max(at.conv, sent)
    to_post = latencies.conv + latencies.channel
    ready = at.post + post.before
    # Post may still read parameters when the first tile is there. It takes a tile a cycle then, and
    # the channel holds some: the unit stops only when these are used up.
    late = ready - (first + _first_complete(conv) - 1 + to_post)
    room = SHORT * conv.iterations / post.tiles_all
    computed = first + busy + max(0.0, late - room)
    complete = max(computed, sent + source)
    stored = max(complete + to_post, ready + post.tiles_all)
    if controller.stores:
        end = stored + latencies.post + latencies.channel
        at.controller = max(end, at.controller + controller.iterations)
        at.controller += latencies.controller + latencies.reentry
        at.end = end + latencies.controller
    else:
        begins = max(ready, first + _first_complete(conv) - 1 + to_post)
        stored = max(stored + post.last_pixels - 1, begins + post.iterations - post.before)
        at.controller += max(controller.iterations, busy - 64)
        at.controller += latencies.controller + latencies.reentry
        at.end = stored + latencies.post
    at.conv = max(complete, first + conv.iterations) + latencies.conv + latencies.reentry
    at.post = stored + latencies.post + latencies.reentry
    return complete > computed
