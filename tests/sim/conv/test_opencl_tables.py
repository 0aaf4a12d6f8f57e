"""Tables on the devices: of every place in a pass, of random networks, and planted faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clocked_runs import count
from conv_faults import TEXT, locate, replace_text
from device_checks import check_equal
from device_client import DeviceClient
from random_maps import MapBuilder, finished, random_maps
from random_networks import Builder, random_frames

from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.tables import table_bytes
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    MaxPool,
    Pool,
    QuantizedModel,
    Table,
    Tensor,
)
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]
SHAPES = ((16, 7, 1), (32, 4, 1), (16, 1, 4), (16, 3, 2), (8, 4, 2), (24, 3, 1))
IMAGE = Tensor("input", 3, 9, 10, Grid(8, False, -8))
KINDS: tuple[type, ...] = (Conv, MaxPool, Table, Table, Pool)


def network() -> QuantizedModel:
    """Tables wherever a pass can have one: of codes, before and behind an addition, before a pool,
    and of a map that others read too."""
    m = MapBuilder(Builder(np.random.default_rng(3), IMAGE, "two-term", False))
    m.b.conv(out=20, kernel=3)
    m.kept.append(m.b.last)
    m.table()
    first = m.b.last
    m.b.general(20, (3, 3), padding=(1, 1, 1, 1))
    m.table()
    grid = Grid(8, True, max(first.grid.exponent, m.b.last.grid.exponent) + 1)
    m.store(Add, first.shape, grid, a=first.name, b=m.b.last.name, lo=-128, hi=127)
    m.table()
    m.b.conv(out=9, kernel=1)
    m.table()
    m.pool()
    m.b.general(5, (1, 1), padding=(0, 0, 0, 0), wide=True)
    return finished(m, "places")


def test_every_place_of_a_table(generated: Generate, on_device: OnDevice) -> None:
    model = network()
    layers = schedule(model).layers
    assert [own.code_table is not None for own in layers] == [False, True, False, False]
    assert [own.table is not None for own in layers] == [True, True, True, False]
    check_equal(model, schedule(model, 16).layers, generated(model, 16, 4), 1, on_device("pocl"))


@pytest.mark.slow
@pytest.mark.device("pocl")
def test_counted_cycles_of_tables_are_the_modelled_ones(generated: Generate) -> None:
    model = network()
    folder = generated(model, 16, 4)
    counted = count(folder, random_frames(model, 1, 1), check=True)
    assert counted.mismatches(model) == [] == counted.deviations()


def planted(model: QuantizedModel, folder: Path, node: Table) -> int:
    """Changes the entry of the code that is read most; returns the code."""
    read = run_golden(model, random_frames(model, 1))[node.input]
    values, counts = np.unique(read, return_counts=True)
    code = int(values[counts.argmax()])
    grid = model.tensors[node.input].grid
    at = network_of(model).tables.index(table_bytes(node, grid)) * 256 + code % 256
    path = folder / TEXT
    before, rest = path.read_text().split("sf_tables[", 1)
    size, rest = rest.split("] = {", 1)
    entries, after = rest.split("};", 1)
    own = [e.strip() for e in entries.split(",")]
    own[at] = str(int(own[at]) ^ 1)
    path.write_text(f"{before}sf_tables[{size}] = {{{', '.join(own)}}};{after}")
    return code


@pytest.mark.parametrize("number", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_wrong_entry_of_a_table_is_located(
    number: int, generated: Generate, on_device: OnDevice, tmp_path: Path
) -> None:
    model = network()
    node = [own for own in model.nodes if isinstance(own, Table)][number]
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    code = planted(model, folder, node)
    frames = random_frames(model, 1)
    divergence = locate(model, folder, frames, on_device("pocl"))
    assert divergence.node == node.name
    place = tuple(divergence.index(axis) for axis in ("frame", "channel", "row", "column"))
    assert run_golden(model, frames)[node.input][place] == code


@pytest.mark.slow
def test_entries_past_the_end_of_a_row_are_located(
    generated: Generate, on_device: OnDevice, tmp_path: Path
) -> None:
    """Where 0 has another entry than 0 and nothing gates it, a pool sums it too."""
    model = network()
    folder = tmp_path / "p"
    shutil.copytree(generated(model, 16, 4), folder)
    told = "/* 0 may have another entry than 0 */\n      if ("
    replace_text(folder, told, f"{told}0 && ")
    divergence = locate(model, folder, random_frames(model, 1), on_device("pocl"))
    assert divergence.node == next(own.name for own in model.nodes if isinstance(own, Pool))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 310))
def test_many_random_networks_with_tables(
    seed: int, generated: Generate, on_device: OnDevice
) -> None:
    """Every eighth one also on the emulator."""
    model = random_maps(seed, nodes=10, kinds=KINDS)
    units, pixels, frames = SHAPES[seed % len(SHAPES)]
    folder = generated(model, units, pixels, frames)
    for device in ("pocl", *(("intel-fpga-emu",) if seed % 8 == 0 else ())):
        check_equal(model, schedule(model, units).layers, folder, seed, on_device(device))
