"""Average pooling on the devices: windows by kernel, stride and padding, and planted faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clocked_runs import count
from conv_faults import locate, replace_text
from device_checks import check_equal
from device_client import DeviceClient
from random_maps import MapBuilder, finished, random_maps
from random_networks import Builder, Family, random_frames

from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.formats.reciprocal import pool_constant
from shiftforge.quant.graph.types import (
    AveragePool,
    Conv,
    Grid,
    MaxPool,
    Pool,
    QuantizedModel,
    Table,
    Tensor,
)
from shiftforge.quant.graph.windows import distinct_counts, window_size

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]
Sides = tuple[int, int]
Window = tuple[Sides, Sides, tuple[int, int, int, int]]
SHAPES = ((16, 7, 1), (32, 4, 1), (16, 1, 4), (16, 3, 2), (8, 4, 2), (24, 3, 1))
KINDS: tuple[type, ...] = (Conv, AveragePool, AveragePool, MaxPool, Table, Pool)


def pools(
    windows: list[Window], *, signed: bool = False, channels: int = 20, height: int = 13,
    width: int = 17, family: Family = "two-term",
) -> QuantizedModel:  # fmt: skip
    """A convolution and pools of the given windows, all padding counted, one after the other."""
    image = Tensor("input", 3, height, width, Grid(8, False, -8))
    m = MapBuilder(Builder(np.random.default_rng(2), image, family, False))
    m.b.general(channels, (1, 1), padding=(0, 0, 0, 0))
    for kernel, stride, padding in windows:
        x = m.b.last
        grid = Grid(8, signed or x.grid.signed, x.grid.exponent + int(signed))
        own = {"kernel": kernel, "stride": stride, "padding": padding, "counted": padding}
        node = AveragePool("", "", "", "", constants=(), lo=0, hi=0, **own)  # type: ignore
        counts = distinct_counts(node, x.height, x.width)
        constants = tuple((n, *pool_constant(n, x.grid, grid)) for n in counts)
        shape = (channels, *window_size(node, x.height, x.width))
        m.store(
            AveragePool, shape, grid, input=x.name, constants=constants, lo=grid.qmin,
            hi=grid.qmax - 3, **own,
        )  # fmt: skip
    return finished(m, "averages")


CASES: dict[str, list[Window]] = {
    "3x3, stride 2, padded": [((3, 3), (2, 2), (1, 1, 1, 1)), ((3, 3), (1, 1), (1, 1, 1, 1))],
    "2x2": [((2, 2), (2, 2), (0, 0, 0, 0)), ((2, 3), (1, 2), (0, 1, 1, 1))],
    "4x4 and rows": [((4, 4), (4, 4), (0, 0, 0, 0)), ((3, 1), (1, 1), (0, 0, 0, 0))],
    "strides apart": [((3, 2), (4, 1), (2, 1, 1, 0)), ((1, 3), (1, 4), (0, 0, 0, 0))],
    "8x2 at 1": [((8, 2), (1, 1), (4, 0, 3, 1)), ((3, 3), (3, 3), (1, 1, 1, 1))],
}


FAST = "3x3, stride 2, padded"


@pytest.mark.parametrize("signed", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "case", [FAST, *(pytest.param(own, marks=pytest.mark.slow) for own in CASES if own != FAST)]
)
def test_windows_of_all_kinds(
    case: str, signed: bool, generated: Generate, on_device: OnDevice
) -> None:
    model = pools(CASES[case], signed=signed)
    layers = schedule(model, 16).layers
    check_equal(model, layers, generated(model, 16, 4), 3, on_device("pocl"))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["multiplier", "mixed", "nibble", "one-term"])
def test_every_kind_of_weights_averages(
    family: Family, generated: Generate, on_device: OnDevice
) -> None:
    model = pools(CASES[FAST], signed=True, family=family)
    layers = schedule(model, 16).layers
    check_equal(model, layers, generated(model, 16, 4), 3, on_device("intel-fpga-emu"))


@pytest.mark.slow
@pytest.mark.device("pocl")
@pytest.mark.parametrize("case", CASES)
def test_counted_cycles_of_averages_are_the_modelled_ones(case: str, generated: Generate) -> None:
    model = pools(CASES[case])
    counted = count(generated(model, 16, 4), random_frames(model, 1, 1), check=True)
    assert counted.mismatches(model) == [] == counted.deviations()


@pytest.mark.parametrize(
    ("old", "new", "row", "column"),
    [
        # Columns outside the map are not gated: the first ones see what lies there.
        ("inside[j] = t + j >= 0 && t + j < in->in_tiles;", "inside[j] = 1;", None, 0),
        # Rows above the map are what the frame before left in the line buffer.
        pytest.param("one = s->y >= 1 ? 255 : 0, two = s->y >= 2 ? 255 : 0;",
                     "one = 255, two = 255;", 0, None, marks=pytest.mark.slow),
        # Digits of the constant are added where they should lie apart.
        pytest.param("(in->raises ? 2 : 0)", "(in->raises ? 1 : 0)", None, None,
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_wrong_border_or_a_wrong_digit_is_located(
    old: str, new: str, row: int | None, column: int | None, generated: Generate,
    on_device: OnDevice, tmp_path: Path,
) -> None:  # fmt: skip
    # Whole tiles, no idle lines, a last row that a window ends with: what lies beside is not zero.
    single = ((1, 1), (1, 1), (0, 0, 0, 0))
    first = ((3, 3), (2, 2), (1, 1, 1, 1))
    model = pools([first, single], channels=80, height=14, width=16)
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    replace_text(folder, old, new)
    divergence = locate(model, folder, random_frames(model, 3), on_device("pocl"))
    assert divergence.node == "n1"
    assert row is None or divergence.index("row") == row
    assert column is None or divergence.index("column") == column


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_many_random_networks_with_averages(
    seed: int, generated: Generate, on_device: OnDevice
) -> None:
    """Every eighth one also on the emulator."""
    model = random_maps(seed, nodes=10, kinds=KINDS, on_array=True)
    units, pixels, frames = SHAPES[seed % len(SHAPES)]
    folder = generated(model, units, pixels, frames)
    for device in ("pocl", *(("intel-fpga-emu",) if seed % 8 == 0 else ())):
        check_equal(model, schedule(model, units).layers, folder, seed, on_device(device))
