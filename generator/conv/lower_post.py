"""Lowering of a layer for what follows the convolution."""

from __future__ import annotations

from collections.abc import Sequence

from shiftforge.generator.conv.array import ArrayShape, Tiling
from shiftforge.generator.conv.post_range import INT32
from shiftforge.generator.conv.records import PostPass
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.slices import Slice, direct_columns, is_sliced
from shiftforge.generator.conv.tables import table_number
from shiftforge.generator.conv.turns import Turns, tile_iterations
from shiftforge.generator.conv.walk import Walk

__all__ = ["PARAM_DISTANCE", "lower_post", "signed_digits"]

PARAM_DISTANCE = 8
"""Iterations from a parameter word's store to its first use, at least."""


def signed_digits(value: int) -> tuple[int, int]:
    """(plus, minus) with value = plus - minus and the fewest set bits (non-adjacent form).

    value >= 0. The product by a constant is then one addition or subtraction a set bit.
    """
    if value < 0:
        raise ValueError(f"value must be a non-negative integer, not {value!r}")
    plus = minus = bit = 0
    while value:
        if value & 1:
            if value & 2:
                minus |= 1 << bit
                value += 1
            else:
                plus |= 1 << bit
                value -= 1
        value >>= 1
        bit += 1
    return plus, minus


def lower_post(
    layer: Layer, tiling: Tiling, walk: Walk, array: ArrayShape, pool: int, part: Slice,
    turns: Turns, tables: Sequence[tuple[int, ...]] = (), limited: bool = False,
) -> PostPass:  # fmt: skip
    """The record of a layer. pool: number of its pool's constant, from 1; 0 without a pool. part:
    what additions, tables and pools take at once; turns: in which a pool's codes and outputs leave.
    tables: of the network. limited: some output of it is clamped to less than 32 bits."""
    before = max(tiling.out_groups, PARAM_DISTANCE)
    tiles = tiling.out_groups * tiling.tiles
    columns = layer.out_shape[2]
    every = tile_iterations(layer, array, part, turns)
    # A pool's sums become a line after their last tile.
    busy = every * tiles + (turns.pool * tiling.out_groups if layer.pool is not None else 0)
    taken = part.columns if is_sliced(layer) else array.pixels
    if layer.direct:
        taken = array.pixels // direct_columns(layer, array)
    unlimited = layer.direct and (layer.conv.lo, layer.conv.hi) == INT32 and not limited
    return PostPass(
        iterations=before + busy,
        before=before,
        groups=tiling.out_groups,
        tiles_all=tiles,
        tiles=tiling.out_tiles,
        inner=walk.inner,
        rows=tiling.out_rows,
        last_pixels=columns - (tiling.out_tiles - 1) * array.pixels,
        every=every,
        columns=taken,
        pool_turns=turns.pool,
        output_turns=turns.output,
        sliced=int(is_sliced(layer)),
        direct=int(layer.direct),
        exported=int(layer.exported),
        low=0 if unlimited else layer.conv.lo,
        high=0 if unlimited else layer.conv.hi,
        code_table=table_number(layer.code_table, layer.conv_output.grid, tables),
        table=table_number(layer.table, layer.add_output.grid, tables),
        pool=pool,
        **_residual(layer),
        **_pool(layer),
    )


def _residual(layer: Layer) -> dict[str, int]:
    if layer.add is None or layer.skip is None:
        return {}
    own, skip = layer.summand.grid, layer.skip.grid
    total = layer.add_output.grid
    finer = min(own.exponent, skip.exponent)
    shift = total.exponent - finer
    return {
        "residual": 1,
        "skip_signed": int(skip.signed),
        "skip_left": skip.exponent - finer,
        "add_signed": int(own.signed),
        "add_left": own.exponent - finer,
        # Eight places take any sum but 0 past every 8-bit code, where it is clamped all the same.
        "sum_left": min(max(-shift, 0), 8),
        "sum_right": max(shift, 0),
        "add_low": layer.add.lo,
        "add_high": layer.add.hi,
    }


def _pool(layer: Layer) -> dict[str, int]:
    if layer.pool is None:
        return {}
    return {
        "pool_signed": int(layer.pooled.grid.signed),
        "pool_low": layer.pool.lo,
        "pool_high": layer.pool.hi,
    }
