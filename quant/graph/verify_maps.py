"""The specification of what pools, moves and looks up maps: windows, channels, tables, sizes."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from shiftforge.quant.formats import reciprocal
from shiftforge.quant.graph import windows
from shiftforge.quant.graph.types import (
    AveragePool,
    Concat,
    Grid,
    MaxPool,
    Shuffle,
    Slice,
    Table,
    Tensor,
    Upsample,
)

__all__ = ["MAX_CONCAT_SHIFT", "MAX_WINDOW", "TABLE_BITS", "MapNode", "check_constant", "check_map"]

MAX_CONCAT_SHIFT = 31
MAX_WINDOW = 1 << 16
TABLE_BITS = 8

MapNode: TypeAlias = MaxPool | AveragePool | Concat | Slice | Shuffle | Table | Upsample


def check_map(node: MapNode, inputs: list[Tensor], out: Tensor) -> list[str]:
    """What is wrong with a node between sound tensors, as sentences; not its clamp."""
    match node:
        case MaxPool():
            return _windows(node, inputs[0], out) + _same_grid(inputs[0], out)
        case AveragePool():
            return _average(node, inputs[0], out)
        case Concat():
            return _concat(inputs, out)
        case Slice():
            return _slice(node, inputs[0], out) + _same_grid(inputs[0], out)
        case Shuffle():
            return _shuffle(node, inputs[0], out) + _same_grid(inputs[0], out)
        case Table():
            return _table(node, inputs[0], out)
        case Upsample():
            return _upsample(node, inputs[0], out) + _same_grid(inputs[0], out)
        case _:
            assert_never(node)


def check_constant(count: int, multiplier: int, shift: int, x: Grid, out: Grid) -> list[str]:
    """What is wrong with the constant that turns a sum of count codes into their average."""
    if not 0 < multiplier < 1 << 31 or not 0 <= shift <= 31:
        return [f"pool constant {multiplier} / 2**{shift} is out of range"]
    texts = []
    error = reciprocal.pool_error(count, x, out, multiplier, shift)
    if error > reciprocal.TOLERANCE:
        texts.append(
            f"pool constant {multiplier} / 2**{shift} is {float(error):.2e} away from "
            f"the average of {count} codes, at most {float(reciprocal.TOLERANCE):.2e}"
        )
    peak = reciprocal.pool_peak(count, x, multiplier, shift)
    if peak >= 1 << 31:
        texts.append(f"pool sum times constant needs {peak.bit_length() + 1} bits, 32 at most")
    return texts


def _same_grid(x: Tensor, out: Tensor) -> list[str]:
    if x.grid == out.grid:
        return []
    return [f"output has {_told(out.grid)}, it keeps the input's, {_told(x.grid)}"]


def _told(grid: Grid) -> str:
    sign = "signed" if grid.signed else "unsigned"
    return f"the grid of {grid.bits} bits, {sign}, exponent {grid.exponent}"


def _shape(out: Tensor, wanted: tuple[int, int, int]) -> list[str]:
    if out.shape == wanted:
        return []
    return [f"output has the shape {out.shape}, the node makes {wanted}"]


def _windows(node: MaxPool | AveragePool, x: Tensor, out: Tensor) -> list[str]:
    texts = []
    sizes = (*node.kernel, *node.stride)
    if min(sizes) < 1 or max(sizes) > MAX_WINDOW:
        return [f"kernel {node.kernel} and stride {node.stride} are not from 1 to {MAX_WINDOW}"]
    if len(node.padding) != 4 or min(node.padding) < 0:
        return [f"padding {node.padding} is not four sizes >= 0"]
    top, left, bottom, right = node.padding
    if max(top, bottom) >= node.kernel[0] or max(left, right) >= node.kernel[1]:
        texts.append(f"padding {node.padding} is not less than the kernel {node.kernel}")
    height, width = windows.window_size(node, x.height, x.width)
    if min(height, width) < 1:
        return [*texts, f"a kernel of {node.kernel} does not fit a map of {x.shape[1:]}"]
    return texts + _shape(out, (x.channels, height, width))


def _average(node: AveragePool, x: Tensor, out: Tensor) -> list[str]:
    texts = _windows(node, x, out)
    if len(node.counted) != 4 or any(
        not 0 <= own <= all_ for own, all_ in zip(node.counted, node.padding, strict=False)
    ):
        texts.append(f"counted {node.counted} is not four sizes of the padding {node.padding}")
    if texts:
        return texts
    wanted = list(windows.distinct_counts(node, x.height, x.width))
    given = [count for count, _, _ in node.constants]
    if given != wanted:
        return [f"constants for {given} places, its windows count {wanted}"]
    for count, multiplier, shift in node.constants:
        texts += check_constant(count, multiplier, shift, x.grid, out.grid)
    return texts


def _concat(inputs: list[Tensor], out: Tensor) -> list[str]:
    texts = [
        f"{t.name!r} has {t.height}x{t.width} places, the output {out.height}x{out.width}"
        for t in inputs
        if (t.height, t.width) != (out.height, out.width)
    ]
    channels = sum(t.channels for t in inputs)
    if channels != out.channels:
        texts.append(f"output has {out.channels} channels, the inputs have {channels}")
    for tensor in inputs:
        apart = tensor.grid.exponent - out.grid.exponent
        if abs(apart) > MAX_CONCAT_SHIFT:
            texts.append(
                f"exponents of {tensor.name!r} and the output differ by {abs(apart)}, at most "
                f"{MAX_CONCAT_SHIFT}"
            )
    return texts if inputs else ["it reads no tensor"]


def _slice(node: Slice, x: Tensor, out: Tensor) -> list[str]:
    if not 0 <= node.start < node.stop <= x.channels:
        return [f"channels {node.start} to {node.stop} of {x.channels}"]
    return _shape(out, (node.stop - node.start, x.height, x.width))


def _shuffle(node: Shuffle, x: Tensor, out: Tensor) -> list[str]:
    outside = [c for c in node.order if not 0 <= c < x.channels]
    if outside or not node.order:
        return [f"its order names channel {outside[0]} of {x.channels}" if outside else "no order"]
    return _shape(out, (len(node.order), x.height, x.width))


def _table(node: Table, x: Tensor, out: Tensor) -> list[str]:
    if x.grid.bits > TABLE_BITS or out.grid.bits > TABLE_BITS:
        return [f"maps of {x.grid.bits} to {out.grid.bits} bits, at most {TABLE_BITS} each"]
    texts = _shape(out, x.shape)
    if len(node.codes) != 1 << x.grid.bits:
        texts.append(f"{len(node.codes)} codes for a grid of {x.grid.bits} bits")
    for place, code in enumerate(node.codes):
        if not out.grid.qmin <= code <= out.grid.qmax:
            texts.append(
                f"entry {place} is {code}, the output's grid is [{out.grid.qmin}, {out.grid.qmax}]"
            )
            break
    return texts


def _upsample(node: Upsample, x: Tensor, out: Tensor) -> list[str]:
    fh, fw = node.factor
    if min(fh, fw) < 1 or max(fh, fw) > MAX_WINDOW:
        return [f"factor {node.factor} is not from 1 to {MAX_WINDOW}"]
    if node.mode == "nearest":
        texts = [f"trailing {node.trailing} with nearest"] if any(node.trailing) else []
        return texts + _shape(out, (x.channels, x.height * fh, x.width * fw))
    if node.mode != "zeros":
        return [f"unknown mode {node.mode!r}"]
    rows, columns = node.trailing
    if not (0 <= rows < fh and 0 <= columns < fw):
        return [f"trailing {node.trailing} is not from 0 to less than the factor {node.factor}"]
    high, wide = (x.height - 1) * fh + 1 + rows, (x.width - 1) * fw + 1 + columns
    return _shape(out, (x.channels, high, wide))
