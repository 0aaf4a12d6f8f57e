"""The memory map of encoder layers: weights, parameters, tables, and the stages in memory."""

from __future__ import annotations

from collections.abc import Sequence

from shiftforge.generator.edgebert.command import PARAM_BEATS, TABLE_BEATS, Memory, Tensor, tiles
from shiftforge.generator.edgebert.encoder import MATRICES, LayerNumbers, LayerShape
from shiftforge.generator.edgebert.product import slots, tile_problems
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = ["choose_parts", "stage_tensors", "take_params", "take_tables", "take_weights"]

STORED = ("q", "k", "vt", "probabilities", "context", "attention_output", "norm1", "gelu",
              "ffn2", "norm2")  # fmt: skip


def choose_parts(config: UnitConfig, shape: LayerShape, a: Tensor, b: Tensor) -> int:
    """Parts of the result of ffn1: so many that one group computes while the last is stored.

    All row tiles of a group leave a part of the result within a few cycles of each other; parts
    short enough for two groups of slots keep the array from waiting for the store.
    """

    def cut_in(parts: int) -> Tensor:
        return Tensor(config.lanes, shape.length, shape.ffn, parts=parts)

    held = slots(config, a, b, cut_in(1), "gelu")
    if b.row_tiles <= held.b:
        return 1
    wanted = 2 * min(a.row_tiles, max(held.a, 1))
    best = 1, held.c
    for parts in range(1, tiles(shape.ffn, config.lanes) + 1):
        c = cut_in(parts)
        if shape.ffn % parts or tile_problems(config, a, b, c, ""):
            continue
        count = slots(config, a, b, c, "gelu").c
        if count > best[1]:
            best = parts, count
        if count >= min(wanted, config.c_slots):
            break
    return best[0]


def take_weights(config: UnitConfig, shape: LayerShape, memory: Memory) -> dict[str, Tensor]:
    """The six matrices, (outputs, inputs)."""
    h, f = shape.hidden, shape.ffn
    sizes = dict.fromkeys(MATRICES, (h, h)) | {"ffn1": (f, h), "ffn2": (h, f)}
    return {
        name: Tensor(config.lanes, rows, depth, pack=config.weight_pack).placed(memory)
        for name, (rows, depth) in sizes.items()
    }


def take_params(config: UnitConfig, shape: LayerShape, memory: Memory) -> dict[str, int]:
    """One layer's parameter blocks of the column tiles, by product."""
    sizes = dict.fromkeys(MATRICES, shape.hidden) | {"ffn1": shape.ffn}
    sizes |= {"scores": shape.length, "context": shape.width}
    return {
        name: memory.take(PARAM_BEATS * tiles(size, config.lanes)) for name, size in sizes.items()
    }


def take_tables(
    config: UnitConfig, shape: LayerShape, memory: Memory, layers: Sequence[LayerNumbers]
) -> dict[str, int]:
    """Tables of the layer norms and of the span masks."""
    columns, rows = (tiles(size, config.lanes) for size in (shape.hidden, shape.length))
    found = {name: memory.take(TABLE_BEATS * columns) for name in ("norm1", "norm2")}
    if any(numbers.spans for numbers in layers):
        for head in range(shape.heads):
            found[f"span {head}"] = memory.take(TABLE_BEATS * rows)
    if not all(numbers.spans for numbers in layers):
        found["span"] = memory.take(TABLE_BEATS * rows)
    return found


def stage_tensors(config: UnitConfig, shape: LayerShape, parts: int) -> dict[str, Tensor]:
    """The tensors that a layer leaves in memory, not yet placed."""
    n, length, hidden, heads = config.lanes, shape.length, shape.hidden, shape.heads
    whole = Tensor(n, length, hidden)
    by_head = Tensor(n, length, hidden, parts=heads)
    special = {
        "q": by_head,
        "k": by_head,
        "vt": Tensor(n, hidden, length),
        "probabilities": Tensor(n, length, heads * length, parts=heads),
        "context": by_head,
        "gelu": Tensor(n, length, shape.ffn, parts=parts),
    }
    return {name: special.get(name, whole) for name in STORED}
