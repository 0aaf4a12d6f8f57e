"""Cycle model of the accelerator: what each layer takes, and what an ideal array would take.

Modelled, not measured. It counts, per frame in steady state:

* array cycles as the convolution unit issues them (padding to tiles and channel groups included;
  for depthwise one cycle a line that enters the line buffer, outputs or not);
* the feature-map memory's one read port: operand lines, and skip lines of a residual addition;
* weight words from global memory, fetched behind the group of channels before;
* the image: the loader fetches the rows of a window, ``LOADER_BLOCK`` bytes a cycle or what global
  memory gives, and then sends its lines, one a cycle;
* ``DRAIN_CYCLES`` between layers, because a layer starts when the last result of the one before
  is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from shiftforge.generator.conv.array import ArrayShape, Tiling, tile_layer, window_end
from shiftforge.generator.conv.schedule import ImageMap, Layer

__all__ = ["DRAIN_CYCLES", "LOADER_BLOCK", "LayerCycles", "array_cycles", "model_cycles"]

LOADER_BLOCK = 64
"""Bytes of an image row that the loader fetches in a cycle."""

DRAIN_CYCLES = 200
"""Assumed latency from a layer's last operand to its last stored result, in cycles."""


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one layer a frame, and the share of the array's lanes that do its work."""

    ideal: int
    array: int
    memory: int
    weights: int
    modelled: int
    macs: int
    utilisation: float
    bound: str


def array_cycles(layer: Layer, tiling: Tiling) -> tuple[int, int]:
    """(ideal, issued) array cycles. Ideal: every cycle a full tile, no line waits."""
    tiles, groups = tiling.tiles, tiling.out_groups
    if layer.mode == "pointwise":
        cycles = groups * tiles * tiling.weight_words
        return cycles, cycles
    if layer.mode == "standard":
        loads = 9 * tiling.in_groups
        return groups * tiles * tiling.weight_words, groups * tiles * (tiling.weight_words + loads)
    return groups * tiles, window_end(layer, tiling)


def weight_word_bytes(array: ArrayShape) -> int:
    """Bytes of one weight word in global memory: two codes a byte where weights have one term."""
    codes = array.units * 9
    return codes // 2 if array.unit == "shift" and array.terms == 1 else codes


def model_cycles(
    layers: tuple[Layer, ...], array: ArrayShape, image_cycles: int, bytes_per_cycle: float
) -> tuple[LayerCycles, ...]:
    """Cycles of every layer; the image (``loader_cycles``) is counted with the first.

    bytes_per_cycle: global memory bandwidth at the kernel clock.
    """
    tilings = [tile_layer(layer, array) for layer in layers]
    # A group's parameters (bias, two shifts) travel with its weights: 12 bytes a channel.
    fetch = [
        ceil((t.weight_words * weight_word_bytes(array) + 12 * array.units) / bytes_per_cycle)
        for t in tilings
    ]
    found = []
    for i, (layer, tiling) in enumerate(zip(layers, tilings, strict=True)):
        ideal, issued = array_cycles(layer, tiling)
        a_group = issued / tiling.out_groups
        after = fetch[(i + 1) % len(layers)]
        weights = (tiling.out_groups - 1) * fetch[i] + after
        paced = (tiling.out_groups - 1) * max(a_group, fetch[i]) + max(a_group, after)
        memory = _memory_cycles(layer, tiling)
        total = max(ceil(paced), memory) + DRAIN_CYCLES
        bound = "weights" if ceil(paced) > issued else "array"
        if memory > paced:
            bound = "memory"
        if i == 0:
            total += image_cycles
        utilisation = layer.macs / (total * array.lanes)
        found.append(
            LayerCycles(ideal, issued, memory, weights, total, layer.macs, utilisation, bound)
        )
    return tuple(found)


def loader_blocks(image: ImageMap, columns: int, array: ArrayShape) -> int:
    """Blocks of an image row in the loader, padding and the last tile's reach included."""
    reach = columns + image.left + image.kernel + array.pixels * image.stride
    return ceil(reach / LOADER_BLOCK)


def loader_cycles(
    image: ImageMap, shape: tuple[int, int, int], array: ArrayShape, bytes_per_cycle: float
) -> int:
    """Cycles of the loader a frame: for every row of the map its window's rows, then its lines.

    shape: (C, H, W) of the image.
    """
    channels, _, columns = shape
    rows = image.kernel * channels
    fetch = max(rows * loader_blocks(image, columns, array), ceil(rows * columns / bytes_per_cycle))
    return image.rows * fetch + array.lines((image.channels, image.rows, image.columns))


def _memory_cycles(layer: Layer, tiling: Tiling) -> int:
    """Reads of the feature-map memory: it has one read port, a line wide."""
    outputs = tiling.out_groups * tiling.tiles
    if layer.mode == "depthwise":
        lines = tiling.in_groups * tiling.in_rows * tiling.in_tiles
        operands = min(window_end(layer, tiling), lines)
    else:
        operands = outputs * tiling.in_groups * (9 if layer.mode == "standard" else 1)
    return operands + (outputs if layer.add is not None else 0)
