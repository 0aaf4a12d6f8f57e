"""Lowering: one layer, its tiling and its place in memory to one instruction."""

from __future__ import annotations

from collections.abc import Mapping

from shiftforge.generator.conv.array import Tiling, window_end
from shiftforge.generator.conv.instruction import Instruction
from shiftforge.generator.conv.schedule import Layer

__all__ = ["lower_layer", "signed_digits"]

_MODES = {"pointwise": 0, "depthwise": 1, "standard": 2}


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


def lower_layer(
    layer: Layer, tiling: Tiling, bases: Mapping[str, int], trace_base: int
) -> Instruction:
    """The instruction of a layer.

    bases: first line of every stored map. trace_base: the layer's first line in a frame's trace.
    """
    conv = layer.conv
    direct = layer.direct
    words: dict[str, int] = {
        "mode": _MODES[layer.mode],
        "direct": int(direct),
        "exported": int(layer.exported),
        "in_base": bases[layer.input.name],
        "in_groups": tiling.in_groups,
        "in_channels": layer.in_shape[0],
        "in_rows": tiling.in_rows,
        "in_tiles": tiling.in_tiles,
        "in_signed": int(layer.input.grid.signed),
        "out_base": 0 if direct else bases[layer.result.name],
        "out_groups": tiling.out_groups,
        "out_rows": tiling.out_rows,
        "out_tiles": tiling.out_tiles,
        "out_columns": layer.out_shape[2],
        "result_lines": _result_lines(layer, tiling),
        "operand_lines": min(window_end(layer, tiling), _map_lines(tiling)),
        "stride": layer.stride,
        "pad_top": layer.top,
        "pad_left": layer.left,
        "kernel_size": 1 if layer.mode == "pointwise" else 3,
        "groups": 1,
        "dilation": 1,
        "weight_words": tiling.weight_words,
        "low": conv.lo,
        "high": conv.hi,
        "trace_base": trace_base,
    }
    return Instruction(**words, **_residual(layer, bases), **_pool(layer))


def _result_lines(layer: Layer, tiling: Tiling) -> int:
    if layer.direct:
        return 0
    return tiling.out_groups * (1 if layer.pool is not None else tiling.tiles)


def _map_lines(tiling: Tiling) -> int:
    return tiling.in_groups * tiling.in_rows * tiling.in_tiles


def _residual(layer: Layer, bases: Mapping[str, int]) -> dict[str, int]:
    if layer.add is None or layer.skip is None:
        return {}
    own, skip = layer.conv_output.grid, layer.skip.grid
    total = layer.add_output.grid
    finer = min(own.exponent, skip.exponent)
    shift = total.exponent - finer
    return {
        "residual": 1,
        "skip_base": bases[layer.skip.name],
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
    plus, minus = signed_digits(layer.pool.multiplier)
    return {
        "pool": 1,
        "pool_signed": int(layer.add_output.grid.signed),
        "pool_plus": plus,
        "pool_minus": minus,
        "pool_right": layer.pool.shift,
        "pool_low": layer.pool.lo,
        "pool_high": layer.pool.hi,
    }
