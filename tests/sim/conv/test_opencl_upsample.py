"""Enlarged maps on the devices: values repeated and zeros between, and planted faults."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clocked_runs import count
from conv_faults import TEXT, locate, replace_text
from device_checks import check_equal
from device_client import DeviceClient
from packed_records import change_field
from random_maps import MapBuilder, finished, random_maps
from random_networks import Builder, random_frames

from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.types import (
    AveragePool,
    Conv,
    Grid,
    MaxPool,
    Pool,
    QuantizedModel,
    Table,
    Tensor,
    Upsample,
)

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]
SHAPES = ((16, 7, 1), (32, 4, 1), (16, 1, 4), (16, 3, 2), (8, 4, 2), (24, 3, 1))
KINDS: tuple[type, ...] = (Conv, Upsample, Upsample, AveragePool, MaxPool, Table, Pool)


def enlarged(*factors: tuple[int, int, str], height: int = 4, width: int = 6) -> QuantizedModel:
    """Enlargements (rows, columns, mode), each behind a convolution and before another."""
    image = Tensor("input", 3, height, width, Grid(8, False, -8))
    m = MapBuilder(Builder(np.random.default_rng(5), image, "two-term", False))
    m.b.general(20, (1, 1), padding=(0, 0, 0, 0))
    for fh, fw, mode in factors:
        x = m.b.last
        last = (0, 0) if mode == "nearest" else (fh - 1, fw // 2)
        sizes = [x.height * fh, x.width * fw]
        if mode == "zeros":
            sizes = [(s - 1) * f + 1 + t for s, f, t in
                     zip(x.shape[1:], (fh, fw), last, strict=True)]  # fmt: skip
        m.store(
            Upsample, (x.channels, *sizes), x.grid, input=x.name, factor=(fh, fw), mode=mode,
            trailing=last,
        )  # fmt: skip
        m.b.general(20, (3, 3), padding=(1, 1, 1, 1))
    return finished(m, "enlarged")


CASES: dict[str, tuple[tuple[int, int, str], ...]] = {
    "2x2, then zeros": ((2, 2, "nearest"), (2, 3, "zeros")),
    "rows or columns": ((3, 1, "nearest"), (1, 4, "nearest"), (2, 1, "zeros")),
    "2x2 zeros": ((2, 2, "zeros"),),
    "8 columns": ((1, 8, "nearest"),),
}
FAST = "2x2, then zeros"


@pytest.mark.parametrize("pixels", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 7))])
@pytest.mark.parametrize(
    "case", [FAST, *(pytest.param(own, marks=pytest.mark.slow) for own in CASES if own != FAST)]
)
def test_maps_of_all_kinds(
    case: str, pixels: int, generated: Generate, on_device: OnDevice
) -> None:
    model = enlarged(*CASES[case])
    layers = schedule(model, 16).layers
    device = "intel-fpga-emu" if pixels == 7 else "pocl"
    check_equal(model, layers, generated(model, 16, pixels), 3, on_device(device))


@pytest.mark.slow
@pytest.mark.device("pocl")
@pytest.mark.parametrize("case", CASES)
def test_counted_cycles_of_enlarged_maps_are_the_modelled_ones(
    case: str, generated: Generate
) -> None:
    model = enlarged(*CASES[case], height=9, width=13)
    counted = count(generated(model, 16, 4), random_frames(model, 1, 1), check=True)
    assert counted.mismatches(model) == [] == counted.deviations()


@pytest.mark.parametrize("fault", ["row", *(
    pytest.param(own, marks=pytest.mark.slow) for own in ("phase", "tile")
)])  # fmt: skip
def test_a_wrong_phase_or_row_is_located(
    fault: str, generated: Generate, on_device: OnDevice, tmp_path: Path
) -> None:
    model = enlarged(*CASES[FAST])
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    if fault == "row":
        change_field(folder, "controller", 1, "repeats_y", -1)
    elif fault == "tile":
        replace_text(folder, "k0 && tile_ends ? 1 : 0", "k0 ? 1 : 0")
    else:
        # The second tile that one becomes has the first one's pixels.
        path = folder / TEXT
        own = re.compile(r"const int at = 1 \* SF_PIXELS \+ (.*)(\s.*at / 2\))")
        path.write_text(own.sub(r"const int at = \1\2", path.read_text()))
    divergence = locate(model, folder, random_frames(model, 3), on_device("pocl"))
    assert divergence.node == "n1"
    if fault == "row":
        assert divergence.index("row") == 1
    elif fault == "phase":
        assert divergence.index("column") // 4 % 2 == 1
    else:
        assert divergence.index("column") >= 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_many_random_networks_of_enlarged_maps(
    seed: int, generated: Generate, on_device: OnDevice
) -> None:
    """Every eighth one also on the emulator."""
    model = random_maps(seed, nodes=10, kinds=KINDS, on_array=True)
    units, pixels, frames = SHAPES[seed % len(SHAPES)]
    folder = generated(model, units, pixels, frames)
    for device in ("pocl", *(("intel-fpga-emu",) if seed % 8 == 0 else ())):
        check_equal(model, schedule(model, units).layers, folder, seed, on_device(device))
