"""Units that post takes in turns: equal to the reference whatever is taken at once, and counted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from clocked_runs import count
from conv_chains import chain
from device_client import DeviceClient
from random_networks import random_frames
from tiers import thinned
from turn_designs import force_turns

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.segments import Segment
from shiftforge.generator.conv.target import TARGET, ConvPlan, generate
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
BOARD = load_board("s10gx2800")
AROUND = {"kernel": 3, "padding": (1, 1, 1, 1)}


def pooled() -> QuantizedModel:
    """A pool of 33 channels and a classifier of 27, none a multiple of the units."""
    return random_model(5, ModelOptions(height=12, width=11, out_channels=27))


def dense(depthwise: bool = False) -> QuantizedModel:
    """A map of 32-bit results: rows of several tiles, the last of which is not full."""
    last = {"out": 40, **AROUND, "groups": 40} if depthwise else {"out": 30, "kernel": 1}
    return chain({"out": 40, **AROUND}, {**last, "wide": True}, channels=3, height=5, width=10)


# units, pixels, frames; units of the pool and of the output at once, 0: all
POOLED = [
    (8, 4, 1, 1, 1), (8, 3, 2, 2, 4), (8, 4, 3, 8, 0), (16, 7, 1, 4, 2), (16, 3, 3, 8, 8),
    (16, 2, 2, 1, 1), (24, 3, 2, 4, 8), (24, 4, 1, 1, 1), (32, 2, 2, 16, 16), (32, 7, 1, 0, 4),
    (48, 1, 2, 48, 8),
]  # fmt: skip
DENSE = [(8, 4, 1, 2, False), (16, 3, 2, 1, False), (24, 4, 3, 4, False), (24, 3, 1, 8, False),
         (16, 4, 1, 8, True), (16, 4, 3, 0, True)]  # fmt: skip


def made(
    patch: pytest.MonkeyPatch, folder: Path, model: QuantizedModel, array: tuple[int, int, int],
    pool: int, output: int,
) -> Path:  # fmt: skip
    """A design, half of whose last batch is empty where frames are in flight."""
    units, pixels, flight = array
    with patch.context() as own:
        force_turns(own, pool, output)
        generate(model, BOARD, units=units, pixels=pixels, frames=flight).write(folder)
    return folder


def check(model: QuantizedModel, folder: Path, frames: int, client: DeviceClient) -> None:
    """Fails with the first divergence; channels are as deep as in hardware."""
    codes = random_frames(model, 3, frames=frames)
    found = client.run(folder, codes, strict_depth=True)
    order = [name for name in tensor_order(model) if name in found]
    assert model.output in order
    divergence = first_divergence(run_golden(model, codes), found, order, model=model)
    assert divergence is None, str(divergence)


@pytest.mark.parametrize("case", thinned(((own,) for own in POOLED), 5), ids=str)
def test_a_pool_and_a_classifier(
    case: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_device: OnDevice
) -> None:
    units, pixels, flight, pool, output = case
    model, array = pooled(), (units, pixels, flight)
    folder = made(monkeypatch, tmp_path / "project", model, array, pool, output)
    check(model, folder, 2 * flight - flight // 2, on_device("pocl"))


@pytest.mark.parametrize("device", thinned(["intel-fpga-emu", "intel-cpu"], 2))
def test_other_devices(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_device: OnDevice
) -> None:
    client = on_device(device)
    for n, (pool, output) in enumerate(((1, 1), (4, 2))):
        model, folder = pooled(), tmp_path / f"project{n}"
        check(model, made(monkeypatch, folder, model, (16, 3, 2), pool, output), 3, client)


@pytest.mark.parametrize("case", thinned(((own,) for own in DENSE), 2), ids=str)
def test_a_map_of_32_bit_results(
    case: tuple[int, int, int, int, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    on_device: OnDevice,
) -> None:  # fmt: skip
    *array, output, depthwise = case
    units, pixels, flight = array
    model = dense(depthwise)
    folder = made(monkeypatch, tmp_path / "project", model, (units, pixels, flight), 0, output)
    check(model, folder, flight + 1, on_device("pocl"))


@pytest.mark.parametrize("output", [1, 8])
@pytest.mark.parametrize("travels", [False, True])
def test_results_of_layers_in_strips(
    travels: bool, output: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_device: OnDevice
) -> None:
    """Of a map in global memory the output is made in strips, too."""
    model = chain({"out": 20, **AROUND}, {"out": 28, **AROUND} if travels else
                  {"out": 30, "kernel": 1}, {"out": 30, "kernel": 1, "wide": True},
                  channels=3, height=9, width=10)  # fmt: skip
    network = network_of(model)
    force_turns(monkeypatch, 0, output)
    segments = [Segment(0, 1, (2, 5, 9))]
    through = []
    if travels:
        segments = [Segment(1, 1, (5, 9)), Segment(2, 2, (4, 9))]
        through = [network.layers[1].result.name]
    plan = make_plan(network, BOARD, array_for(network, 16, 3, 2), segments=segments,
                     through=through)  # fmt: skip
    assert bool(plan.fetches) == travels
    assert sum(step.post.direct for step in plan.steps) == 1 + travels
    TARGET.emit(ConvPlan(network, plan)).write(tmp_path / "project")
    check(model, tmp_path / "project", 3, on_device("pocl"))


def deep() -> QuantizedModel:
    """A map of 32-bit results, each tile of which takes the array 18 iterations."""
    return chain({"out": 160, "kernel": 1}, {"out": 30, "kernel": 1, "wide": True},
                 channels=3, height=5, width=10)  # fmt: skip


# Of an array that waits for post, and of one that does not.
COUNTED = {
    "turns of one unit": (pooled, (16, 3, 2), 1, 1),
    "turns of vectors": (pooled, (32, 4, 1), 8, 16),
    "all units at once": (pooled, (8, 4, 1), 0, 0),
    "a dense map in turns": (lambda: deep(), (16, 4, 1), 0, 4),
    "a dense map of a depthwise layer": (partial(dense, True), (16, 4, 1), 0, 8),
    "a dense map at once": (dense, (16, 4, 2), 0, 0),
}


@pytest.mark.device("pocl")
@pytest.mark.parametrize("case", thinned(COUNTED, 3))
def test_cycles_are_counted_as_modelled(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, array, pool, output = COUNTED[case]
    model = make()
    folder = made(monkeypatch, tmp_path / "project", model, array, pool, output)
    own = count(folder, random_frames(model, 3), check=True)
    assert own.mismatches(model) == [] and own.deviations() == []
