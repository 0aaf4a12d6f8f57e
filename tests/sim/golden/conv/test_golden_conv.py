"""The reference convolution against torch's integer convolution, and its limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_cases import one_conv, random_codes
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.errors import CheckFailed, InputError
from shiftforge.quant.graph.types import Conv, Grid, Tensor
from shiftforge.sim.golden import run_golden
from shiftforge.sim.golden.conv import conv as golden_conv


def torch_accumulators(node: Conv, codes: np.ndarray) -> np.ndarray:
    """Accumulators by torch's int64 convolution, which is exact."""
    top, left, bottom, right = node.padding
    x = torch.nn.functional.pad(torch.from_numpy(codes), (left, right, top, bottom))
    acc = torch.nn.functional.conv2d(
        x,
        torch.from_numpy(node.weight.astype(np.int64)),
        torch.from_numpy(node.bias.astype(np.int64)),
        stride=node.stride,
        dilation=node.dilation,
        groups=node.groups,
    )
    return acc.numpy()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_equals_torch(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    kernel = data.draw(st.sampled_from([1, 3, 5, 7]), "kernel")
    stride = data.draw(st.sampled_from([1, 2]), "stride")
    dilation = data.draw(st.sampled_from([1, 1, 2]), "dilation")
    groups = data.draw(st.sampled_from([1, 1, 2, 3, 7]), "groups")
    depth = data.draw(st.sampled_from([1, 2, 5]), "input channels a group")
    per_group = data.draw(st.sampled_from([1, 2, 3]), "output channels a group")
    height, width = data.draw(st.tuples(st.integers(1, 11), st.integers(1, 11)), "size")
    bits = data.draw(st.sampled_from([2, 8, 8, 16, 32]), "bits")
    signed = data.draw(st.booleans(), "signed")
    reach = dilation * (kernel - 1)
    tops = [data.draw(st.integers(0, kernel // 2 * dilation)) for _ in range(2)]
    lows = [
        data.draw(st.integers(max(0, reach + 1 - size - low), reach + 1))
        for size, low in zip((height, width), tops, strict=True)
    ]
    x = Tensor("x", groups * depth, height, width, Grid(bits, signed, -4))
    model = one_conv(
        rng.integers(-128, 128, (groups * per_group, depth, kernel, kernel)),
        x,
        bias=rng.integers(-(2**31), 2**31, groups * per_group),
        stride=stride,
        padding=(tops[0], tops[1], lows[0], lows[1]),
        dilation=dilation,
        groups=groups,
    )
    codes = random_codes(rng, x, frames=data.draw(st.integers(1, 3)))
    acc = run_golden(model, codes, accumulators=True)["conv.acc"]
    assert acc.dtype == np.int64
    np.testing.assert_array_equal(acc, torch_accumulators(model.conv_nodes()[0], codes))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("bits", "kind"), [(8, np.float32), (16, np.float64), (32, np.float64)])
def test_each_arithmetic_type_is_exact_at_its_extremes(kernel: int, bits: int, kind: type) -> None:
    x = Tensor("x", 32, 3, 3, Grid(bits, False, 0))
    padding = (kernel // 2,) * 4
    weight = np.full((2, 32, kernel, kernel), 127)
    weight[1] = -127
    node = one_conv(weight, x, padding=padding).conv_nodes()[0]
    codes = np.full((1, *x.shape), x.grid.qmax, np.int64)
    assert golden_conv._exact_type(node, codes) is kind
    np.testing.assert_array_equal(
        golden_conv.convolve(node, codes), torch_accumulators(node, codes)
    )


def test_the_type_changes_where_the_sum_may_leave_the_significand() -> None:
    one = one_conv(np.ones((1, 1, 1, 1)), Tensor("x", 1, 1, 1, Grid(32, False, 0)))
    node = one.conv_nodes()[0]
    for value, kind in [
        (2**24 - 1, np.float32),
        (2**24, np.float64),
        (2**53 - 1, np.float64),
        (2**53, np.int64),
        (-(2**53), np.int64),
        (2**62 - 1, np.int64),
    ]:
        codes = np.full((1, 1, 1, 1), value, np.int64)
        assert golden_conv._exact_type(node, codes) is kind
        assert int(golden_conv.convolve(node, codes)[0, 0, 0, 0]) == value
    with pytest.raises(InputError, match="62 bits"):
        golden_conv.convolve(node, np.full((1, 1, 1, 1), 2**62, np.int64))


def test_accumulators_are_checked_against_their_width() -> None:
    x = Tensor("x", 1, 1, 1, Grid(8, True, 0))
    weight = np.array([1, 1]).reshape(2, 1, 1, 1)
    for value, bits, fits in [(127, 8, True), (-128, 8, True), (127, 7, False), (-65, 7, False)]:
        model = one_conv(weight, x, acc_bits=8)
        node = model.conv_nodes()[0]
        tight = replace(model, nodes=(replace(node, acc_bits=np.array([62, bits], np.uint8)),))
        codes = np.full((1, 1, 1), value, np.int8)
        if fits:
            assert run_golden(tight, codes)["y"].ravel().tolist() == [value, value]
        else:
            with pytest.raises(CheckFailed, match=r"conv \(net.conv\).*channel 1"):
                run_golden(tight, codes)


@pytest.mark.parametrize(
    "change",
    [
        {"weight": np.ones((2, 3, 1, 1), np.int8)},
        {"weight": np.ones((2, 2, 4, 1), np.int8)},
        {"weight": np.ones((2, 2, 0, 1), np.int8)},
        {"groups": 2},
    ],
)
def test_layers_that_do_not_fit_their_input_are_refused(change: dict[str, object]) -> None:
    model = one_conv(np.ones((2, 2, 1, 1)), Tensor("x", 2, 3, 3, Grid(8, False, 0)))
    node = replace(model.conv_nodes()[0], **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="fit"):
        run_golden(replace(model, nodes=(node,)), np.ones((2, 3, 3), np.uint8))
