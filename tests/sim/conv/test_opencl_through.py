"""Maps that travel through global memory: bit-exact on the devices, counted, and planted faults."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conv_chains import chain
from conv_faults import locate, replace_text
from device_checks import check_equal
from device_client import DeviceClient
from random_networks import random_frames, random_network
from tiers import thinned
from travelling_networks import joined_travelling, travelling

from shiftforge.boards.load import load_board
from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.build import build
from shiftforge.generator.conv import plan as plan_module
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.plan_document import plan_json
from shiftforge.generator.conv.promises import prove_promises
from shiftforge.generator.conv.segments import Segment
from shiftforge.generator.conv.strips import limited_plan
from shiftforge.generator.conv.target import TARGET, ConvPlan
from shiftforge.generator.conv.through import Span, Through, plan_through
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.clocked.device import run_clocked
from shiftforge.sim.conv.emulate import emulate
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
BOARD = load_board("s10gx2800")


def check(network: Network, folder: Path, seed: int, client: DeviceClient) -> None:
    check_equal(network.model, network.layers, folder, seed, client, frames=3)


CASES = [*(("pocl", seed) for seed in range(10)), ("intel-fpga-emu", 1), ("intel-fpga-emu", 4)]


@pytest.mark.parametrize(("device", "seed"), thinned(CASES, 6))
def test_maps_through_memory_equal_the_reference(
    device: str, seed: int, tmp_path: Path, on_device: OnDevice
) -> None:
    network, plan = travelling(seed)
    assert plan.fetches and plan.saves
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    check(network, tmp_path / "p", seed, on_device(device))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_maps_through_memory(seed: int, tmp_path: Path, on_device: OnDevice) -> None:
    network, plan = travelling(seed)
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    for device in ("pocl", "intel-fpga-emu"):
        check(network, tmp_path / "p", seed, on_device(device))


@pytest.mark.parametrize(
    ("device", "seed"),
    [
        ("pocl", 7), ("pocl", 13), ("intel-fpga-emu", 7),
        *(pytest.param("pocl", seed, marks=pytest.mark.slow) for seed in range(14, 200)),
        *(pytest.param("intel-fpga-emu", seed, marks=pytest.mark.slow) for seed in range(14, 40)),
    ],
)  # fmt: skip
def test_joined_maps_through_memory_equal_the_reference(
    device: str, seed: int, tmp_path: Path, on_device: OnDevice
) -> None:
    """Parts are stored where they lie in the whole map, and read back together."""
    made = joined_travelling(seed)
    if made is None:
        pytest.skip("no joined map travels")
    network, plan = made
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    layers = network.fit(plan.array.units).layers
    check_equal(network.model, layers, tmp_path / "p", seed, on_device(device), frames=3)


@pytest.mark.device("pocl")
def test_a_part_that_is_stored_a_channel_group_further_is_located(
    tmp_path: Path, on_device: OnDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = plan_through

    def wrong(*arguments: Any) -> Through:
        found = honest(*arguments)
        name = next(name for name, own in found.spans.items() if own.first)
        moved = {name: found.bases[name] + found.planes[name]}
        return replace(found, bases={**found.bases, **moved})

    monkeypatch.setattr(plan_module, "plan_through", wrong)
    made = joined_travelling(7)
    assert made is not None
    network, plan = made
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    frames = random_frames(network.model, 7, 2)
    divergence = locate(network.model, tmp_path / "p", frames, on_device("pocl"))
    assert divergence.stage == "t8"
    joined = next(own for own in network.model.nodes if own.output == "t8")
    assert divergence.index("channel") == network.model.tensors[joined.inputs[0]].channels


def test_parts_meet_where_they_have_a_channel_group() -> None:
    one, two, both = Span("t", 0, 1), Span("t", 1, 3), Span("t", 0, 3)
    assert both.meets(one) and both.meets(two) and two.meets(both)
    assert not one.meets(two) and not one.meets(Span("other", 0, 3))


def wide(rows: int = 24) -> QuantizedModel:
    """Standard layers of 20 channels."""
    own = {"out": 20, "kernel": 3, "padding": (1, 1, 1, 1)}
    return chain(own, own, own, own, channels=3, height=rows, width=24, family="one-term")


def test_the_planner_sends_maps_away_where_strips_do_not_fit() -> None:
    network = network_of(wide())
    array = array_for(network, 16, 8)
    whole = make_plan(network, BOARD, array)
    assert not whole.fetches and plan_json(whole).count('"fetches": []')
    plan = limited_plan(network, BOARD, array, whole.map_bytes // 2)
    assert plan.through.bases and plan.map_bytes <= whole.map_bytes // 2
    assert plan.traffic_bytes > whole.traffic_bytes
    with pytest.raises(InputError, match="with maps in global memory at least") as refused:
        limited_plan(network, BOARD, array, 4_000)
    told = re.search(r"give ([\d,]+) or more", str(refused.value))
    assert told is not None
    fewest = int(told[1].replace(",", ""))
    assert limited_plan(network, BOARD, array, fewest).map_bytes <= fewest


def _residual(seed: int) -> QuantizedModel:
    """Inverted residuals, one of them with a global pool behind it."""
    return random_network(seed, layers=9)


@pytest.mark.parametrize("seed", thinned(range(12), 2))
def test_networks_with_residuals_are_planned_or_refused(seed: int) -> None:
    """Whatever the limit: what comes in turns lies beside what every round has, and what a layer
    with a pool adds does not travel."""
    model = _residual(seed)
    network = network_of(model)
    array = array_for(network, 8, 1 + seed % 4)
    most = make_plan(network, BOARD, array).map_bytes
    for share in (0.75, 0.5, 0.25, 0.1, 0.03):
        limit = int(share * most)
        try:
            plan = limited_plan(network, BOARD, array, limit)
            assert plan.map_bytes <= limit
            for layer in (own for own in network.layers if own.pool is not None):
                assert layer.input.name not in plan.through.bases
                assert layer.skip is None or layer.skip.name not in plan.through.bases
        except InputError as error:
            assert "bytes are too few" in str(error)


def test_the_text_passes_the_rules_and_its_traffic_is_counted(tmp_path: Path) -> None:
    model = wide()
    options = Options(units=16, pixels=8, map_bytes=45_000)
    design = build(TARGET, model, BOARD, options)
    design.write(tmp_path / "p")
    frames, plan = random_frames(model, 3, 2), design.report
    outputs, run = run_clocked(
        tmp_path / "p", "pocl", frames, TARGET.plan(model, BOARD, options).plan.latencies, 3,
        check=True, time_limit_s=300,
    )  # fmt: skip
    assert run.traffic == plan["ddr_bytes_per_frame"]
    assert plan["through_memory"]
    golden = run_golden(model, frames)
    want = golden[model.output].reshape(2, -1)
    assert (outputs.output[:2] == want).all()


@pytest.fixture(scope="module")
def moved() -> tuple[Network, Plan]:
    """Two maps of standard layers that travel."""
    network = network_of(wide(12))
    ends = [(4, 9, 12), (3, 6, 9, 12), (6, 12)]
    segments = [Segment(n, n, own) for n, own in enumerate(ends)]
    names = [layer.result.name for layer in network.layers[:2]]
    array = array_for(network, 16, 4)
    return network, make_plan(network, BOARD, array, segments=segments, through=names)


FAULTS = {
    "beats swapped": ("maps[word.address] = line", "maps[word.address ^ 1] = line"),
    "a run too short": ("s->line == in->run - 1", "s->line == in->run - 2"),
    "lines a place nearer": (
        "in->fetch_base + s->fetched", "in->fetch_base + s->fetched - (s->fetched > 0)"
    ),
    "results stay on chip": (
        "word.address = s->out_address", "word.address = in->out_base"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_travelling_maps_is_located(
    fault: str, moved: tuple[Network, Plan], tmp_path: Path, on_device: OnDevice
) -> None:
    network, plan = moved
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    replace_text(tmp_path / "p", *FAULTS[fault])
    frames = random_frames(network.model, 5)
    divergence = locate(network.model, tmp_path / "p", frames, on_device("pocl"))
    # The first layer that reads what travelled.
    assert divergence.node == network.layers[1].conv.name, divergence


def test_a_token_that_is_never_sent_stops_the_kernels_and_is_named(
    moved: tuple[Network, Plan], tmp_path: Path
) -> None:
    network, plan = moved
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "p")
    replace_text(tmp_path / "p", "if (s->left > 1) {", "if (s->left == 1) {\n  } else if (1) {")
    frames = random_frames(network.model, 5)
    with pytest.raises(CheckFailed, match="fetch reads empty channel token"):
        emulate(tmp_path / "p", "pocl", frames)


def test_lines_that_come_where_others_are_read_are_refused(moved: tuple[Network, Plan]) -> None:
    _, plan = moved
    step = next(own for own in plan.steps if own.controller.fetches)
    controllers = [own.controller for own in plan.steps]
    number = controllers.index(step.controller)
    controllers[number] = replace(step.controller, fetch_base=7)
    reads: list[tuple[tuple[int, int], ...]] = [()] * len(plan.steps)
    reads[number] = ((0, 10),)
    with pytest.raises(CheckFailed, match="controller-maps"):
        prove_promises(
            controllers, [own.conv for own in plan.steps], [own.post for own in plan.steps],
            [own.name for own in plan.steps], reads,
        )  # fmt: skip
