"""The parts of a plan: a step with its records and what it is modelled to take, a layer from its
steps, and what a batch moves through global memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shiftforge.generator.conv.array import ArrayShape, Tiling, power_of_two
from shiftforge.generator.conv.cycles import LayerCycles, added
from shiftforge.generator.conv.lower_conv import array_iterations
from shiftforge.generator.conv.lowered import Lowered, LoweredStep
from shiftforge.generator.conv.network import WordCounts
from shiftforge.generator.conv.records import (
    ControllerPass,
    ConvPass,
    FetchPass,
    PostPass,
    StorePass,
)
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.weights import output_beat_bytes

__all__ = ["LayerPlan", "StepPlan", "map_traffic", "output_traffic", "plan_layers", "plan_steps"]


@dataclass(frozen=True)
class StepPlan:
    """One invocation of the kernels: output rows [first_row, first_row + tiling.out_rows) of a
    layer, whose index and name it has."""

    index: int
    name: str
    mode: str
    first_row: int
    tiling: Tiling
    controller: ControllerPass
    conv: ConvPass
    post: PostPass
    cycles: LayerCycles


@dataclass(frozen=True)
class LayerPlan:
    """One pass: where it came from, how it is tiled, what its steps are modelled to take.

    leaves_as: the network's output that the result is, "" of others. words: (first, second) weight
    words of each group of output channels (``word_counts``).
    steps: how many it has. notes: what it does besides its convolution. one_term_cycles,
    second_term_cycles: array cycles a batch without second words, and what they add.
    """

    index: int
    name: str
    source: str
    mode: str
    result: str
    leaves_as: str
    notes: tuple[str, ...]
    tiling: Tiling
    cycles: LayerCycles
    words: tuple[tuple[int, int], ...]
    steps: int
    one_term_cycles: int
    second_term_cycles: int


def plan_steps(
    layers: Sequence[Layer], lowered: Lowered, cycles: Sequence[LayerCycles]
) -> tuple[StepPlan, ...]:
    """The steps of a plan in their order. cycles: of each."""
    return tuple(
        StepPlan(
            index=own.step.layer,
            name=layers[own.step.layer].conv.name,
            mode=layers[own.step.layer].mode,
            first_row=own.step.first,
            tiling=own.tiling,
            controller=own.passes[0],
            conv=own.passes[1],
            post=own.passes[2],
            cycles=counted,
        )
        for own, counted in zip(lowered.steps, cycles, strict=True)
    )


def plan_layers(
    layers: Sequence[Layer], lowered: Lowered, planned: Sequence[StepPlan], array: ArrayShape
) -> tuple[LayerPlan, ...]:
    """The layers of a plan, each from its steps."""
    return tuple(
        _plan_layer(
            layer,
            lowered.tilings[i],
            lowered.words[i],
            [own for own in lowered.steps if own.step.layer == i],
            [own.cycles for own in planned if own.index == i],
            array,
        )
        for i, layer in enumerate(layers)
    )


def _plan_layer(
    layer: Layer, tiling: Tiling, words: WordCounts, steps: Sequence[LoweredStep],
    cycles: Sequence[LayerCycles], array: ArrayShape,
) -> LayerPlan:  # fmt: skip
    """A layer from its steps."""
    whole, without = (
        sum(array_iterations(layer, own.tiling, own.walk, array.units, words, second=second)
            for own in steps)
        for second in (True, False)
    )  # fmt: skip
    _, _, post = steps[0].passes
    flags = {
        "residual": post.residual, "table": post.table or post.code_table, "pool": post.pool,
        "direct": post.direct,
    }  # fmt: skip
    return LayerPlan(
        index=layer.index,
        name=layer.conv.name,
        source=layer.source,
        mode=layer.mode,
        result=layer.result.name,
        leaves_as=layer.leaves_as,
        notes=tuple(name for name, flag in flags.items() if flag),
        tiling=tiling,
        cycles=added(cycles, array),
        words=words,
        steps=len(steps),
        one_term_cycles=without,
        second_term_cycles=whole - without,
    )


def output_traffic(steps: Sequence[StepPlan], array: ArrayShape) -> int:
    """Bytes of a batch's output, in whole beats."""
    written = 0
    for own in steps:
        post = own.post
        columns = (post.tiles - 1) * array.pixels + post.last_pixels
        beats = own.controller.stores if post.exported else 0
        beats += post.groups * post.rows * columns * array.frames if post.direct else 0
        written += beats * output_beat_bytes(array, bool(post.direct))
    return written


def map_traffic(fetches: Sequence[FetchPass], saves: Sequence[StorePass], array: ArrayShape) -> int:
    """Bytes of a batch's maps that travel, there and back."""
    moved = sum(own.iterations - own.tokens for own in fetches)
    moved += sum(own.iterations - 1 for own in saves)
    return moved * power_of_two(array.line_bytes)
