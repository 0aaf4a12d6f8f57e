"""Pools, moves and tables of the reference: against loops over single codes, and against torch."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import one_node, random_codes, round_exact
from numpy.typing import NDArray
from random_maps import random_maps
from random_networks import random_frames
from torch.nn import functional

from shiftforge.errors import InputError
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import (
    AveragePool,
    Concat,
    Grid,
    MaxPool,
    Node,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Tensor,
    Upsample,
)
from shiftforge.quant.graph.verify import verify
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden import run_golden

U8, S8 = Grid(8, False, -4), Grid(8, True, -4)


def seen(node: MaxPool | AveragePool, x: NDArray[Any], row: int, column: int) -> list[Any]:
    """The codes (N, C) of every place of the map that one window holds."""
    found = []
    for i, j in product(range(node.kernel[0]), range(node.kernel[1])):
        r = row * node.stride[0] + i - node.padding[0]
        c = column * node.stride[1] + j - node.padding[1]
        if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
            found.append(x[:, :, r, c].astype(object))
    return found


def counted(node: AveragePool, x: NDArray[Any], row: int, column: int) -> int:
    """The places that one window counts, one by one."""
    top, left, bottom, right = node.counted
    return sum(
        -top <= row * node.stride[0] + i - node.padding[0] < x.shape[2] + bottom
        and -left <= column * node.stride[1] + j - node.padding[1] < x.shape[3] + right
        for i, j in product(range(node.kernel[0]), range(node.kernel[1]))
    )


def wanted(model: QuantizedModel, node: Node, inputs: list[NDArray[Any]]) -> NDArray[Any]:
    """A node's output code by code, in Python's integers and fractions."""
    out = model.tensors[node.output]
    x = inputs[0]
    y = np.full((len(x), *out.shape), -999, object)
    match node:
        case MaxPool():
            for r, c in np.ndindex(out.shape[1:]):
                y[:, :, r, c] = np.max(seen(node, x, r, c), axis=0)
        case AveragePool():
            constants = {n: (m, s) for n, m, s in node.constants}
            for r, c in np.ndindex(out.shape[1:]):
                m, s = constants[counted(node, x, r, c)]
                total = sum(seen(node, x, r, c))
                for n, o in np.ndindex(total.shape):
                    y[n, o, r, c] = round_exact(
                        int(total[n, o]) * m, Fraction(1 << s), node.lo, node.hi
                    )
        case Concat():
            at = 0
            for name, part in zip(node.inputs, inputs, strict=True):
                apart = Fraction(2) ** (model.tensors[name].grid.exponent - out.grid.exponent)
                for place in np.ndindex(part.shape):
                    n, o, r, c = place
                    y[n, at + o, r, c] = round_exact(
                        int(part[place]) * apart.numerator, apart.denominator, out.grid.qmin,
                        out.grid.qmax,
                    )  # fmt: skip
                at += part.shape[1]
        case Slice():
            for o in range(out.channels):
                y[:, o] = x[:, node.start + o]
        case Shuffle():
            for o in range(out.channels):
                y[:, o] = x[:, node.order[o]]
        case Table():
            low = model.tensors[node.input].grid.qmin
            for place in np.ndindex(x.shape):
                y[place] = node.codes[int(x[place]) - low]
        case Upsample():
            for r, c in np.ndindex(out.shape[1:]):
                (i, rest_r), (j, rest_c) = divmod(r, node.factor[0]), divmod(c, node.factor[1])
                held = i < x.shape[2] and j < x.shape[3]
                if node.mode == "nearest" or (held and rest_r == rest_c == 0):
                    y[:, :, r, c] = x[:, :, i, j]
                else:
                    y[:, :, r, c] = 0
        case _:
            raise AssertionError(node)
    return y


MAPS = (MaxPool, AveragePool, Concat, Slice, Shuffle, Table, Upsample)


@pytest.mark.parametrize("seed", range(30))
def test_every_code_of_a_network_follows_its_formula(seed: int) -> None:
    model = random_maps(seed, sides=(3, 12))
    arrays = run_golden(model, random_frames(model, seed, 2))
    for node in model.nodes:
        if isinstance(node, MAPS):
            expected = wanted(model, node, [arrays[name] for name in node.inputs])
            assert np.array_equal(arrays[node.output], expected), (seed, node)


def test_the_random_networks_hold_every_kind() -> None:
    kinds = {type(node) for seed in range(30) for node in random_maps(seed, sides=(3, 12)).nodes}
    assert kinds >= set(MAPS)


def pools(size: int) -> list[tuple[int, int, int, int]]:
    """(kernel, stride, before, after) along one axis of so many places, every one up to 4."""
    found = []
    for kernel, stride in product(range(1, 5), range(1, 5)):
        for before, after in product(range(kernel), range(kernel)):
            if size + before + after >= kernel:
                found.append((kernel, stride, before, after))
    return found


@pytest.mark.parametrize(("height", "width"), [(1, 5), (4, 3), (6, 7)])
def test_every_small_window(height: int, width: int) -> None:
    """Rows of every geometry with columns of another: maxima and averages."""
    rng = np.random.default_rng(height)
    rows, columns = pools(height), pools(width)
    for k, (kh, sh, top, bottom) in enumerate(rows):
        kw, sw, left, right = columns[(7 * k + 3) % len(columns)]
        grid = (U8, S8)[k % 2]
        x = Tensor("x", 2, height, width, grid)
        own = {
            "kernel": (kh, kw), "stride": (sh, sw), "padding": (top, left, bottom, right),
        }  # fmt: skip
        size = ((height + top + bottom - kh) // sh + 1, (width + left + right - kw) // sw + 1)
        codes = random_codes(rng, x, 2)
        y = Tensor("y", 2, *size, grid)
        largest = MaxPool("n", "net.n", "x", "y", **own)  # type: ignore[arg-type]
        check(one_node(largest, x, y), codes)
        given = ((0, 0, 0, 0), (top, left, bottom, right), (top, 0, bottom // 2, right))[k % 3]
        node = AveragePool(
            "n", "net.n", "x", "y", **own, counted=given, constants=(), lo=grid.qmin, hi=grid.qmax
        )  # type: ignore[arg-type]
        held = {counted(node, codes, r, c) for r, c in np.ndindex(size)}
        constants = tuple((n, *pool_constant(n, grid, grid)) for n in sorted(held))
        check(one_node(replace(node, constants=constants), x, y), codes)


def check(model: QuantizedModel, codes: NDArray[Any]) -> None:
    verify(model)
    node = model.nodes[0]
    arrays = run_golden(model, codes)
    expected = wanted(model, node, [arrays[name] for name in node.inputs])
    assert np.array_equal(arrays[node.output], expected), node


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
def test_windows_are_torchs(ceil: bool, padding: int) -> None:
    """Maxima of torch, on maps that its windows do and do not divide."""
    rng = np.random.default_rng(3)
    for kernel, stride, size in product((2, 3), (1, 2, 3), (4, 5, 6, 7)):
        x = Tensor("x", 3, size, size + 1, S8)
        codes = random_codes(rng, x, 2)
        theirs = functional.max_pool2d(
            torch.from_numpy(codes.astype(np.float64)), kernel, stride, padding, ceil_mode=ceil
        ).numpy()
        ends = [
            (n - 1) * stride + kernel - s - padding
            for n, s in zip(theirs.shape[2:], x.shape[1:], strict=True)
        ]
        pads = (padding, padding, max(ends[0], 0), max(ends[1], 0))
        node = MaxPool("n", "n", "x", "y", (kernel, kernel), (stride, stride), pads)
        y = Tensor("y", 3, *theirs.shape[2:], S8)
        verify(one_node(node, x, y))
        assert np.array_equal(run_golden(one_node(node, x, y), codes)["y"], theirs)


def test_every_entry_of_a_table() -> None:
    for grid in (U8, S8, Grid(4, True, 0), Grid(2, False, 3)):
        codes = np.arange(grid.qmin, grid.qmax + 1).reshape(1, 1, -1)
        x = Tensor("x", 1, 1, codes.size, grid)
        entries = tuple(int(n) for n in np.random.default_rng(1).integers(-128, 128, codes.size))
        node = Table("n", "n", "x", "y", entries)
        found = run_golden(one_node(node, x, Tensor("y", 1, 1, codes.size, S8)), codes)
        assert found["y"].ravel().tolist() == list(entries)


def test_every_rounding_of_a_concatenation() -> None:
    """All codes, to coarser and finer grids, signed and unsigned."""
    for source, signed, apart in product((U8, S8), (False, True), range(-5, 6)):
        codes = np.arange(source.qmin, source.qmax + 1).reshape(1, 1, 16, 16)
        x = Tensor("x", 1, 16, 16, source)
        y = Tensor("y", 2, 16, 16, Grid(8, signed, source.exponent + apart))
        check(one_node(Concat("n", "n", ("x", "x"), "y"), x, y), codes)


PLANTS = {
    MaxPool: lambda n: replace(n, padding=_moved(n.padding)),
    AveragePool: lambda n: replace(n, constants=_larger(n.constants)),
    Concat: lambda n: replace(n, inputs=(n.inputs[-1], *n.inputs[1:-1], n.inputs[0])),
    Slice: lambda n: replace(n, start=n.start - 1, stop=n.stop - 1),
    Shuffle: lambda n: replace(n, order=n.order[1:] + n.order[:1]),
    Table: lambda n: replace(n, codes=(*n.codes[1:], n.codes[0])),
    Upsample: lambda n: replace(
        n, mode="zeros", trailing=(n.factor[0] - 1, n.factor[1] - 1)
    ),
}  # fmt: skip


def _larger(constants: tuple[tuple[int, int, int], ...]) -> tuple[tuple[int, int, int], ...]:
    return tuple((count, m + m // 2, s) for count, m, s in constants)


def _moved(padding: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = padding
    return (bottom, right, top, left)


@pytest.mark.parametrize("kind", MAPS, ids=lambda kind: kind.__name__)
def test_a_planted_fault_is_located(kind: type) -> None:
    """Pool border and constant, concatenation base, channels, entries, phase."""
    found = 0
    for seed in range(400):
        model = random_maps(seed, nodes=8, sides=(4, 10))
        node = next((n for n in model.nodes if type(n) is kind), None)
        if node is None:
            continue
        try:
            spoilt = PLANTS[kind](node)
            frames = random_frames(model, seed, 2)
            other = replace(model, nodes=tuple(spoilt if n is node else n for n in model.nodes))
            verify_shapes(other)
            bad = run_golden(other, frames)
        except (InputError, ValueError, IndexError, AssertionError):
            continue  # the fault does not fit this network
        good = run_golden(model, frames)
        first = first_divergence(good, bad, tensor_order(model), model=model)
        if first is None:
            continue
        assert (first.stage, first.node) == (node.output, node.name)
        found += 1
        if found == 5:
            return
    raise AssertionError(f"{found} networks showed the fault")


def verify_shapes(model: QuantizedModel) -> None:
    """The faults are of values: shapes stay."""
    try:
        verify(model)
    except InputError as error:
        assert all("constant" in p.what for p in error.problems)


def test_what_the_reference_cannot_run_is_refused() -> None:
    x = Tensor("x", 1, 2, 2, U8)
    far = MaxPool("n", "net.n", "x", "y", (1, 1), (1, 1), (2, 0, 0, 0))
    with pytest.raises(InputError, match=r"n \(net.n\): a window .* lies outside the map"):
        run_golden(one_node(far, x, Tensor("y", 1, 4, 2, U8)), np.zeros((1, 2, 2), int))
    short = Table("n", "net.n", "x", "y", (0, 1))
    with pytest.raises(InputError, match="2 entries for codes from 0 to 255"):
        run_golden(one_node(short, x, Tensor("y", 1, 2, 2, U8)), np.zeros((1, 2, 2), int))
    none = AveragePool(
        "n", "net.n", "x", "y", (2, 2), (1, 1), (0,) * 4, (0,) * 4, ((3, 1, 0),), 0, 255
    )
    with pytest.raises(InputError, match="counts 4 places, for which it has no constant"):
        run_golden(one_node(none, x, Tensor("y", 1, 1, 1, U8)), np.zeros((1, 2, 2), int))
