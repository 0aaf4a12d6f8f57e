"""Whole networks through the integer reference: formulas, batches, limits, refusals."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import one_conv, random_codes, round_exact
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError
from shiftforge.quant.graph.example import ConvOptions, ModelOptions, random_conv, random_model
from shiftforge.quant.graph.types import Add, Conv, Grid, Node, Pool, QuantizedModel, Tensor
from shiftforge.sim.golden import accumulator_key, run_golden
from shiftforge.sim.golden.conv import network


def expected_code(model: QuantizedModel, node: Node, arrays: dict[str, Any], at: Any) -> int:
    """One output code by exact fractions, from the node's inputs (its accumulator for a Conv)."""
    grids = [model.tensors[name].grid for name in (*node.inputs, node.output)]
    steps = [Fraction(2) ** grid.exponent for grid in grids]
    if isinstance(node, Add):
        real = int(arrays[node.a][at]) * steps[0] + int(arrays[node.b][at]) * steps[1]
        return min(max(round(real / steps[2]), node.lo), node.hi)
    if isinstance(node, Pool):
        total = int(arrays[node.input][at[:2]].astype(np.int64).sum())
        return round_exact(total * node.multiplier, Fraction(2) ** node.shift, node.lo, node.hi)
    acc, o = int(arrays[accumulator_key(node)][at]), at[1]
    if node.multiplier is not None and node.shift is not None:
        scale = Fraction(2) ** int(node.shift[o]) / int(node.multiplier[o])
        return round_exact(acc, scale, node.lo, node.hi)
    real = acc * steps[0] * Fraction(2) ** int(node.z[o])
    return min(max(round(real / steps[1]), node.lo), node.hi)


def torch_accumulators(node: Conv, codes: NDArray[Any]) -> NDArray[np.int64]:
    """Accumulators by torch's float64 convolution, exact below 2**53."""
    top, left, bottom, right = node.padding
    x = torch.from_numpy(codes.astype(np.float64))
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    weight, bias = (torch.from_numpy(v.astype(np.float64)) for v in (node.weight, node.bias))
    acc = torch.nn.functional.conv2d(
        x, weight, bias, stride=node.stride, dilation=node.dilation, groups=node.groups
    )
    return acc.numpy().astype(np.int64)


@pytest.mark.parametrize("requant", ["shift", "multiplier"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_element_of_a_network_follows_its_formula(seed: int, requant: Any) -> None:
    model = random_model(
        seed, ModelOptions(requant=requant, signed_input=bool(seed), height=9, width=11)
    )
    codes = random_codes(np.random.default_rng(seed), model.tensors[model.input], 2)
    arrays = run_golden(model, codes, accumulators=True)
    np.testing.assert_array_equal(arrays[model.input], codes)
    for node in model.nodes:
        if isinstance(node, Conv):
            expected = torch_accumulators(node, arrays[node.input])
            np.testing.assert_array_equal(arrays[accumulator_key(node)], expected)
        output = arrays[node.output]
        assert output.shape[1:] == model.tensors[node.output].shape
        for at in np.ndindex(output.shape):
            assert int(output[at]) == expected_code(model, node, arrays, at)


def test_batches_chunks_and_single_frames_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(3)
    codes = random_codes(np.random.default_rng(3), model.tensors[model.input], 5)
    whole = run_golden(model, codes, accumulators=True)
    monkeypatch.setattr(network, "_CHUNK_ELEMENTS", 3 * 8 * 100)
    chunked = run_golden(model, codes, accumulators=True)
    assert whole.keys() == chunked.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, chunked[name])
        assert len(array) == 5
    for frame in range(5):
        alone = run_golden(model, codes[frame], accumulators=True)
        assert alone.keys() == whole.keys()
        for name, array in alone.items():
            np.testing.assert_array_equal(array, whole[name][frame])


def test_tensors_have_the_smallest_type_of_their_grid() -> None:
    x = Tensor("x", 1, 1, 2, Grid(8, True, 0))
    for bits, signed, kind in [
        (2, False, np.uint8),
        (8, True, np.int8),
        (9, True, np.int16),
        (16, False, np.uint16),
        (17, False, np.uint32),
        (32, True, np.int32),
    ]:
        grid = Grid(bits, signed, 0)
        result = run_golden(one_conv(np.ones((1, 1, 1, 1)), x, out=grid), np.ones((1, 1, 2), "i4"))
        assert result["y"].dtype == kind
        assert result["x"].dtype == np.int8


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((1, 2, 3)), "float64"),
        (np.zeros((1, 2, 3), bool), "bool"),
        (np.zeros((1, 3, 2), np.uint8), "shape"),
        (np.zeros((2, 3), np.uint8), "shape"),
        (np.zeros((0, 1, 2, 3), np.uint8), "shape"),
        (np.full((1, 2, 3), 256), "span"),
        (np.full((1, 2, 3), -1), "span"),
    ],
)
def test_input_codes_that_do_not_fit_are_refused(codes: NDArray[Any], message: str) -> None:
    model = one_conv(np.ones((1, 1, 1, 1)), Tensor("x", 1, 2, 3, Grid(8, False, 0)))
    with pytest.raises(InputError, match=message):
        run_golden(model, codes)


def test_models_that_cannot_be_run_are_refused_with_every_problem() -> None:
    model = random_model(4)
    codes = np.zeros(model.tensors[model.input].shape, np.uint8)
    first, second, *rest = model.nodes
    beyond = replace(first, hi=1 << 20)
    broken = replace(model, nodes=(second, beyond, *rest))
    with pytest.raises(InputError) as caught:
        run_golden(broken, codes)
    text = str(caught.value)
    assert "before it exists" in text
    assert "outside its grid" in text
    with pytest.raises(InputError, match="twice"):
        run_golden(replace(model, nodes=(*model.nodes, first)), codes)
    assert isinstance(first, Conv)
    half = replace(first, multiplier=np.ones(8, np.int64))
    with pytest.raises(InputError, match="alone"):
        run_golden(replace(model, nodes=(half, second, *rest)), codes)


def test_a_declared_shape_that_is_not_computed_fails() -> None:
    model = one_conv(np.ones((1, 1, 1, 1)), Tensor("x", 1, 2, 3, Grid(8, False, 0)))
    tensors = {**model.tensors, "y": replace(model.tensors["y"], width=1)}
    with pytest.raises(CheckFailed, match="declares"):
        run_golden(replace(model, tensors=tensors), np.zeros((1, 2, 3), np.uint8))


@pytest.mark.parametrize("seed", range(12))
def test_accumulator_widths_hold_at_the_worst_input_and_are_not_wasteful(seed: int) -> None:
    model = random_conv(
        seed,
        ConvOptions(kernel=3, height=3, width=3, padding=(0, 0, 0, 0), signed_input=bool(seed % 2)),
    )
    node, grid = model.conv_nodes()[0], model.tensors[model.input].grid
    for sign in (1, -1):
        rising = node.weight.astype(np.int64) * sign > 0
        for o in range(len(node.weight)):
            codes = np.where(rising[o], grid.qmax, grid.qmin)
            acc = run_golden(model, codes, accumulators=True)["conv.acc"][o]
            needed = 1 + max(int(acc.max()), -int(acc.min())).bit_length()
            assert needed <= node.acc_bits[o]
    # One bit less is refused by some input: the worst of the two, rounding offset aside.
    tight = replace(node, acc_bits=node.acc_bits - np.uint8(2))
    narrow = replace(model, nodes=(tight,))
    worst = [np.where(node.weight[0] * s > 0, grid.qmax, grid.qmin) for s in (1, -1)]
    failures = 0
    for codes in worst:
        try:
            run_golden(narrow, codes)
        except CheckFailed:
            failures += 1
    assert failures
