"""Convolutions of any kernel: how they are embedded, and that their records walk as defined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conv_chains import chain
from conv_walk_check import walk_problems
from kernel_cases import kernel_case
from numpy.typing import NDArray
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.embed import embedded
from shiftforge.generator.conv.layers import Layer
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.records import ControllerPass, ConvPass
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.windows import lefts, window_columns

BOARD = load_board("s10gx2800")


def walks(seed: int) -> None:
    case = kernel_case(seed)
    plan = make_plan(case.model, BOARD, array_for(case.model, case.units, case.pixels))
    assert walk_problems(plan, network_of(case.model).fit(case.units).layers) == []


@pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=[pytest.mark.slow] * (n == 11)) for n in range(24)]
)
def test_any_kernel_walks_as_defined(seed: int) -> None:
    walks(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24, 400))
def test_many_kernels_walk_as_defined(seed: int) -> None:
    walks(seed)


def sums(layer: Layer, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a layer's weights make of a map (C, H, W), from their places in windows and blocks."""
    own, (_, rows, columns) = layer.windows, layer.out_shape
    outputs, channels = layer.out_shape[0], layer.block_channels
    room = np.zeros((x.shape[0] + channels, x.shape[1] + 99, x.shape[2] + 99), np.int64)
    above, before = layer.top, layer.left
    room[: x.shape[0], above : above + x.shape[1], before : before + x.shape[2]] = x
    found = np.zeros(layer.out_shape, np.int64)
    for o in range(outputs):
        first = o // layer.block_outputs * channels if layer.mode != "depthwise" else o
        count = own.count if layer.mode == "standard" else 1
        taps = layer.weight[o].reshape(count, -1, *layer.weight.shape[2:][-2:])
        if layer.mode == "depthwise":
            taps = layer.weight[o].reshape(1, 1, 3, 3)
        for n, c in np.ndindex(*taps.shape[:2]):
            at, down = divmod(n, own.rows)
            values = np.atleast_2d(taps[n, c])
            for r, t in zip(*np.nonzero(values), strict=True):
                y, left = down * own.row_step + r, at * own.column_step + t
                part = room[first + c, y : y + rows * layer.stride : layer.stride]
                found[o] += values[r, t] * part[:, left : left + columns * layer.stride :
                                                layer.stride][:rows, :columns]  # fmt: skip
    return found


@pytest.mark.parametrize("seed", range(40))
def test_embedded_weights_compute_the_convolution(seed: int) -> None:
    """Against a sum over the definition's taps."""
    case = kernel_case(seed)
    rng = np.random.default_rng(seed)
    for layer in schedule(case.model, case.units).layers[1:]:
        conv = layer.conv
        x = rng.integers(-9, 9, layer.input.shape)
        top, left, bottom, right = conv.padding
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right)))
        per_group, out = conv.weight.shape[1], conv.weight.shape[0] // conv.groups
        _, rows, columns = layer.out_shape
        want = np.zeros(layer.out_shape, np.int64)
        for o, i, r, c in zip(*np.nonzero(conv.weight), strict=True):
            own = padded[o // out * per_group + i]
            down, across = r * conv.dilation, c * conv.dilation
            taken = own[down :: conv.stride, across :: conv.stride][:rows, :columns]
            want[o] += conv.weight[o, i, r, c] * taken
        assert np.array_equal(sums(layer, x), want), f"seed {seed}, {conv.name}"


@pytest.mark.parametrize("seed", range(20))
def test_the_text_has_the_windows_of_every_layer(seed: int) -> None:
    """By the number that its record has, also where layers share one."""
    model = random_network(seed, layers=9, operators=("kernel",))
    for pixels in (1, 3, 7):
        plan = make_plan(model, BOARD, array_for(model, 16, pixels))
        for layer, step in zip(network_of(model).fit(16).layers, plan.steps, strict=True):
            if layer.mode == "pointwise":
                continue
            own = {
                i: (s, origin)
                for i, s, origin in window_columns(plan.geometries, layer.mode, pixels)
            }
            stride = layer.stride if pixels > 1 else own[step.conv.geometry][0]
            assert own[step.conv.geometry] == (stride, -layer.left % pixels)
            origins = {origin for _, origin in own.values()}
            assert origins >= {-left % pixels for left in lefts(layer)}


def test_values_that_take_no_memory_stay_so() -> None:
    model = chain(
        {"out": 32, "kernel": 1}, {"out": 64, "kernel": (5, 7), "groups": 2},
        {"out": 9, "kernel": 1}, channels=3, height=9, width=9,
    )  # fmt: skip
    for layer in schedule(model).layers:
        dry = np.broadcast_to(np.int8(3), layer.conv.weight.shape)
        own = embedded(layer.form, layer.conv, dry)
        assert own.shape == layer.weight.shape and not any(own.strides)


def test_a_window_begins_in_its_tile() -> None:
    """First column of each window of a row, whatever the pixels of a tile."""
    for pixels in range(1, 12):
        for left in range(7):
            model = chain(
                {"out": 8, "kernel": 1}, {"out": 8, "kernel": (1, 9), "padding": (0, left, 0, 8)},
                {"out": 4, "kernel": 1}, channels=3, height=2, width=9,
            )  # fmt: skip
            plan = make_plan(model, BOARD, array_for(model, 16, pixels))
            layer = network_of(model).layers[1]
            own, conv = plan.steps[1].controller, plan.steps[1].conv
            column, tile = conv.column, own.first_t
            for want in lefts(layer):
                assert tile * pixels + column == -want
                step = column + conv.column_step
                tile += layer.windows.column_step // pixels + step // pixels
                column = step % pixels


# A kernel that is cut by rows and columns, in blocks of several groups of outputs.
CUT = {"out": 96, "kernel": (5, 8), "groups": 2, "padding": (2, 3, 2, 3)}


@pytest.mark.slow
def test_a_wrong_number_of_a_cut_kernel_is_seen() -> None:
    model = chain({"out": 64, "kernel": 1}, CUT, {"out": 4, "kernel": 1}, channels=3, height=6,
                  width=13)  # fmt: skip
    plan = make_plan(model, BOARD, array_for(model, 16, 4))
    layers = network_of(model).fit(16).layers
    assert layers[1].blocks == 2 and layers[1].windows.count == 6
    assert walk_problems(plan, layers) == []
    own = plan.steps[1]

    def problems(part: str, record: ControllerPass | ConvPass) -> list[str]:
        steps = (plan.steps[0], replace(own, **{part: record}), *plan.steps[2:])
        return walk_problems(replace(plan, steps=steps), layers, 1)

    fields = [f"{axis}{k}" for axis in "nayt" for k in range(9)]
    # Past the last counter nothing is sent; one more of the last one comes after all lines.
    unused = {"a8", "y8", "t8", "n8"}
    for name in ({*fields} - unused) | {"column", "column_step"}:
        changed = replace(own.controller, **{name: getattr(own.controller, name) + 1})
        assert problems("controller", changed), name
    for name in ("more_rows", "more_columns", "column", "column_step", "lines", "loads"):
        changed_conv = replace(own.conv, **{name: getattr(own.conv, name) + 1})
        assert problems("conv", changed_conv), name
