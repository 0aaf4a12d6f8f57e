"""Max pooling on the devices: windows by kernel, stride and padding, and planted faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conv_chains import chain, with_room
from conv_faults import locate, replace_text
from device_client import DeviceClient
from random_networks import random_frames
from tiers import thinned

from shiftforge.generator.conv.legal import legalise
from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import Grid, MaxPool, QuantizedModel, Tensor
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.graph.windows import window_size
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]
Sides = tuple[int, int]


def pools(
    windows: list[tuple[Sides, Sides, tuple[int, int, int, int]]], *, signed: bool = False,
    channels: int = 20, height: int = 13, width: int = 17, behind: bool = False,
) -> QuantizedModel:  # fmt: skip
    """A convolution and pools of the given windows, one after the other; behind: and one more
    pool of single places, so that the others come row by row."""
    model = with_room(chain({"out": channels, "kernel": 1}, channels=3, height=height, width=width))
    first = model.conv_nodes()[0]
    image = model.tensors["input"].grid
    grid = Grid(8, signed, model.tensors[first.output].grid.exponent)
    x = replace(model.tensors[first.output], grid=grid)
    # Codes lie about the middle of the grid, so that few are the same.
    places = grid.exponent - image.exponent
    bias = np.full(channels, 0 if signed else 128 << places, np.int32)
    bits = accumulator_bits(first.weight, bias, image, np.full(channels, places))
    nodes: list[object] = [replace(first, lo=grid.qmin, hi=grid.qmax, bias=bias, acc_bits=bits)]
    tensors = {**model.tensors, x.name: x}
    single = ((1, 1), (1, 1), (0, 0, 0, 0))
    for n, (kernel, stride, padding) in enumerate([*windows, *([single] if behind else [])]):
        node = MaxPool(f"pool{n}", f"net.pool{n}", x.name, f"p{n}", kernel, stride, padding)
        size = window_size(node, x.height, x.width)
        x = Tensor(f"p{n}", channels, *size, grid)
        tensors[x.name] = x
        nodes.append(node)
    found = replace(model, nodes=tuple(nodes), tensors=tensors, output=x.name)  # type: ignore
    verify(found)
    return found


CASES = {
    "2x2": [((2, 2), (2, 2), (0, 0, 0, 0))],
    "3x3, stride 2, padded": [((3, 3), (2, 2), (1, 1, 1, 1))],
    "3x3 behind the end": [((3, 3), (2, 2), (0, 0, 1, 1))],
    "5x5 and 13x13, size kept": [((5, 5), (1, 1), (2, 2, 2, 2)), ((13, 13), (1, 1), (6, 6, 6, 6))],
    "strides apart": [((3, 2), (2, 1), (1, 0, 1, 1)), ((1, 3), (1, 3), (0, 0, 0, 0))],
    "4x4, stride 4": [((4, 4), (4, 4), (0, 0, 0, 0))],
    "whole": [((13, 17), (1, 1), (0, 0, 0, 0))],
    "padding of its own": [((2, 2), (2, 2), (1, 1, 1, 1))],
    "two in a row": [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 3), (1, 1), (1, 1, 1, 1))],
}


@pytest.mark.parametrize("signed", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", thinned(CASES, 3))
def test_windows_of_all_kinds(
    case: str, signed: bool, generated: Generate, on_device: OnDevice
) -> None:
    model = pools(CASES[case], signed=signed)
    frames = random_frames(model, 3)
    golden = run_golden(model, frames)
    device = "intel-fpga-emu" if case == "3x3, stride 2, padded" else "pocl"
    found = on_device(device).run(generated(model, 16, 4), frames, strict_depth=True)
    for name, values in found.items():
        assert np.array_equal(values, golden[name]), name
    assert model.output in found


def test_a_map_with_negative_codes_is_read_from_zero_where_windows_leave_it() -> None:
    halved = legalise(pools(CASES["whole"], signed=True))
    assert {"pool0:unsigned", "pool0:signed"} <= set(halved.made)
    padded = legalise(pools(CASES["3x3, stride 2, padded"], signed=True))
    assert set(padded.made) == {"pool0:unsigned", "pool0:signed"}
    assert not legalise(pools(CASES["2x2"], signed=True)).made
    assert not legalise(pools(CASES["3x3, stride 2, padded"])).made


@pytest.mark.parametrize(
    ("old", "new", "row", "column"),
    [
        # Columns outside the map are not gated: the first ones see what lies there.
        ("code[c] = inside[c / 3 % 3] ? 2 : 0;", "code[c] = 2;", None, 0),
        # Rows above the map are what the frame before left in the line buffer.
        ("one = s->y >= 1 ? 255 : 0, two = s->y >= 2 ? 255 : 0;", "one = 255, two = 255;", 0, None),
        # A sum in place of the largest.
        ("(first || in->largest ? (ints_t)(0) : s->acc[i])", "(first ? (ints_t)(0) : s->acc[i])",
         None, None),
    ],
)  # fmt: skip
def test_a_wrong_border_of_a_pool_is_located(
    old: str, new: str, row: int | None, column: int | None, generated: Generate,
    on_device: OnDevice, tmp_path: Path,
) -> None:  # fmt: skip
    # Whole tiles, no idle lines, a last row that a window ends with: what lies beside is not zero.
    model = pools(CASES["3x3, stride 2, padded"], channels=80, height=14, width=16, behind=True)
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    replace_text(folder, old, new)
    divergence = locate(model, folder, random_frames(model, 3), on_device("pocl"))
    assert divergence.node == "pool0"
    assert row is None or divergence.index("row") == row
    assert column is None or divergence.index("column") == column
