"""Layers in strips on the devices: every stored map equals the reference, and planted faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conv_chains import chain
from conv_faults import locate, replace_text
from device_checks import check_equal
from device_client import DeviceClient
from kept_models import kept_where_it_fails
from mobilenet import mobilenet_v2
from packed_records import change_field
from random_maps import KINDS, random_maps
from random_networks import Family, random_frames
from strip_networks import blocks, random_array, random_segments
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.errors import InputError
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.segments import Segment
from shiftforge.generator.conv.strips import limited_plan
from shiftforge.generator.conv.target import TARGET, ConvPlan
from shiftforge.quant.graph.types import Upsample
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
BOARD = load_board("s10gx2800")
FAMILIES: tuple[Family, ...] = ("two-term", "one-term", "multiplier", "mixed")
FUZZ_NETWORKS = 60
ON_ARRAY = tuple(kind for kind in KINDS if kind is not Upsample)


def project(seed: int, folder: Path, family: Family = "two-term") -> tuple[Network, Plan]:
    """The project of random blocks in random strips; every third one with the other controller."""
    rng = random.Random(seed)
    network = network_of(blocks(seed, family))
    array = random_array(network, seed)
    segments = random_segments(network, rng)
    plan = make_plan(
        network, BOARD, array, segments=segments, tight=seed % 2 == 1, non_blocking=seed % 3 == 2
    )
    TARGET.emit(ConvPlan(network, plan)).write(folder)
    return network, plan


def check(network: Network, folder: Path, seed: int, client: DeviceClient) -> None:
    check_equal(network.model, network.layers, folder, seed, client, frames=3)


@pytest.mark.parametrize(
    ("device", "seed"),
    [*thinned((("pocl", seed) for seed in range(8)), 3), *thinned((("intel-fpga-emu", 2),
     ("intel-fpga-emu", 7), ("intel-cpu", 5)), 3)],
)  # fmt: skip
def test_random_strips_equal_the_reference(
    device: str, seed: int, tmp_path: Path, on_device: OnDevice
) -> None:
    network, plan = project(seed, tmp_path / "p", FAMILIES[seed % 4])
    assert len(plan.steps) > len(plan.layers)
    check(network, tmp_path / "p", seed, on_device(device))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FUZZ_NETWORKS))
def test_many_random_strips(number: int, tmp_path: Path, on_device: OnDevice) -> None:
    """What fails is kept as a model file under out/fuzz."""
    seed = 2000 + number
    network, _ = project(seed, tmp_path / "p", FAMILIES[seed % 4])
    with kept_where_it_fails(network.model, f"strips{seed}"):
        for device in ("pocl", "intel-fpga-emu"):
            check(network, tmp_path / "p", seed, on_device(device))


def test_mobilenet_v2_at_224_within_400_000_bytes(tmp_path: Path, on_device: OnDevice) -> None:
    network = network_of(mobilenet_v2(224))
    array = array_for(network, 16, 8)
    plan = limited_plan(network, load_board("a10gx1150"), array, 400_000)
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    frames = random_frames(network.model, 1, frames=1)
    golden = run_golden(network.model, frames)
    found = on_device("pocl").run(tmp_path / "p", frames, strict_depth=True)
    order = [name for name in tensor_order(network.model) if name in found]
    assert len(order) == 53
    assert first_divergence(golden, found, order, model=network.model) is None


def _steps(plan: Plan, mode: str) -> list[int]:
    """Steps of a mode that are not their layer's first."""
    return [
        n for n, own in enumerate(plan.steps)
        if own.mode == mode and own.first_row and not own.controller.from_image
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["base", "out_base"])
@pytest.mark.parametrize("mode", ["pointwise", "depthwise"])
def test_a_strip_whose_base_is_off_by_a_line_is_located(
    field: str, mode: str, tmp_path: Path, on_device: OnDevice
) -> None:
    network, plan = project(0, tmp_path / "p")
    step = _steps(plan, mode)[0]
    image = plan.image_pass is not None
    change_field(tmp_path / "p", "controller", step + image, field, 1)
    frames = random_frames(network.model, 7)
    divergence = locate(network.model, tmp_path / "p", frames, on_device("pocl"))
    own = plan.steps[step]
    # What is stored at a wrong place is right in the trace, and wrong where it is read.
    reader = own.index + 1 if field == "out_base" else own.index
    layer = network.layers[reader]
    assert divergence.node in {layer.conv.name, layer.add.name if layer.add else ""}
    if field == "base":
        assert divergence.index("row") >= own.first_row


@pytest.fixture(scope="module")
def wide() -> tuple[Network, Plan]:
    """A block whose rows have no idle iterations: a line behind a strip would lie in them."""
    model = chain(
        {"out": 20, "kernel": 3, "padding": (1, 1, 1, 1)}, {"out": 40, "kernel": 1},
        {"out": 40, "kernel": 3, "groups": 40, "padding": (1, 1, 1, 1)}, {"out": 24, "kernel": 1},
        {"out": 10, "kernel": 1}, channels=3, height=11, width=13,
    )  # fmt: skip
    network = network_of(model)
    segments = (Segment(1, 3, (4, 8, 11)),)
    return network, make_plan(network, BOARD, array_for(network, 16, 1), segments=segments)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # The lines behind a strip's last row, zeros, take the place of rows that are kept.
        ("  if (s->tile != 0) rows[s->line] = next;\n", "  rows[s->line] = next;\n"),
        # The rows above a strip are taken for rows above the map.
        ("const uchar one = s->y >= 1 ?", "const uchar one = s->y >= in->first_y + 1 ?"),
    ],
)
def test_a_row_of_an_overlap_that_is_dropped_is_located(
    old: str, new: str, wide: tuple[Network, Plan], tmp_path: Path, on_device: OnDevice
) -> None:
    network, plan = wide
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    check(network, tmp_path / "p", 7, on_device("pocl"))
    replace_text(tmp_path / "p", old, new)
    frames = random_frames(network.model, 7)
    divergence = locate(network.model, tmp_path / "p", frames, on_device("pocl"))
    assert divergence.node == network.layers[2].conv.name
    assert divergence.index("row") == 4


def test_strips_of_a_trace_come_in_the_order_of_their_rows(
    tmp_path: Path, on_device: OnDevice
) -> None:
    network, plan = project(0, tmp_path / "p")
    step = _steps(plan, "depthwise")[0]
    change_field(tmp_path / "p", "controller", step + (plan.image_pass is not None),
                "trace_base", 1)  # fmt: skip
    frames = random_frames(network.model, 7)
    divergence = locate(network.model, tmp_path / "p", frames, on_device("pocl"))
    assert divergence.stage == network.layers[plan.steps[step].index].result.name
    assert np.all(divergence.differing > 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_networks_that_move_channels_in_little_memory(
    seed: int, tmp_path: Path, on_device: OnDevice
) -> None:
    """Strips, and maps through global memory, beside maps that are joined and cut."""
    model = random_maps(seed, nodes=10, sides=(12, 30), on_array=True, kinds=ON_ARRAY)
    network = network_of(model)
    array = array_for(network, *((16, 2, 1), (8, 4, 1), (16, 1, 2))[seed % 3])
    whole = make_plan(network, BOARD, array, must_fit=False).map_bytes
    for part in (0.75, 0.6):
        try:
            plan = limited_plan(network, BOARD, array, int(whole * part))
        except InputError:
            continue
        folder = tmp_path / f"p{part}"
        TARGET.emit(ConvPlan(network, plan)).write(folder)
        check_equal(model, network.fit(array.units).layers, folder, seed, on_device("pocl"))
