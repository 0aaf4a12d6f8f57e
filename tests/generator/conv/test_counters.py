"""Counters keep the bits of their ranges: the text, run as it is, stays within them."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from conv_chains import chain
from conv_faults import locate, replace_text
from conv_plans import planned
from counter_probe import measured
from device_client import DeviceClient
from mobilenet import mobilenet_v2
from random_networks import random_frames, random_network
from strip_networks import blocks, random_array, random_segments
from tiers import thinned
from turn_designs import force_turns

from shiftforge.boards.load import load_board
from shiftforge.errors import CheckFailed
from shiftforge.generator.conv import plan as plan_module
from shiftforge.generator.conv.area.table import coefficients
from shiftforge.generator.conv.counters import Counter, Counters, check_counters
from shiftforge.generator.conv.kernels import render_accelerator
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.packing import range_bits
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import QuantizedModel

BOARD = load_board("s10gx2800")
OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]

# Between them standard, pointwise and depthwise layers, with and without second words, by group and
# by row, runs of groups, zeros at groups' ends, frames in flight, additions, pools, a stored image.
WHOLE = (("two-term", 0), ("two-term", 12), ("mixed", 1), ("mixed", 5), ("mixed", 5015))
STRIPS = (0, 11)


def in_strips(seed: int) -> Plan:
    """Random blocks in random strips; the controller of every third takes results as they come."""
    network = network_of(blocks(seed, "mixed"))
    segments = random_segments(network, random.Random(seed))
    return make_plan(network, BOARD, random_array(network, seed), segments=segments,
                     tight=seed % 2 == 1, non_blocking=seed % 3 == 2)  # fmt: skip


def outside(counters: Counters, seen: Mapping[str, tuple[int, int]]) -> list[str]:
    """The counters that held values which their bits do not hold."""
    return [
        f"{kernel}.{c.name}" for kernel, own in counters.items() for c in own
        if f"{kernel}.{c.name}" in seen
        and not c.least <= seen[f"{kernel}.{c.name}"][0] <= seen[f"{kernel}.{c.name}"][1] <= c.most
    ]  # fmt: skip


def narrower(counters: Counters, kernel: str, name: str) -> Counters:
    """The same with a bit less for one of them."""
    own = tuple(replace(c, bits=c.bits - (c.name == name)) for c in counters[kernel])
    return {**counters, kernel: own}


def checked(plan: Plan, device: str) -> None:
    """Fails where a counter leaves its range, where many are wider than they need to be, and where
    a bit less would not be seen."""
    seen = measured(plan, device)
    assert outside(plan.counters, seen) == []
    kept = needed = 0
    for kernel, own in plan.counters.items():
        for c in own:
            low, high = seen.get(f"{kernel}.{c.name}", (0, 0))
            assert c.low <= low and high <= c.high, f"{kernel}.{c.name}"
            bits = range_bits(low, high)
            if c.bits < 32:
                kept, needed = kept + c.bits, needed + bits
            if bits == c.bits and 0 < bits < 32:
                planted = narrower(plan.counters, kernel, c.name)
                assert outside(planted, seen) == [f"{kernel}.{c.name}"]
                with pytest.raises(CheckFailed, match=rf"counter {re.escape(c.name)} of {kernel} "):
                    check_counters(planted)
    assert needed >= 0.9 * kept
    assert len(seen) > 50


@pytest.mark.parametrize("device", ["pocl"])
@pytest.mark.parametrize(("family", "seed"), WHOLE)
def test_counters_of_a_text_that_runs_stay_in_their_bits(
    family: str, seed: int, device: str
) -> None:
    checked(planned(seed, family)[1], device)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["pocl"])
@pytest.mark.parametrize("seed", [2, 8])
def test_counters_of_other_operators_stay_in_their_bits(seed: int, device: str) -> None:
    model = random_network(seed, layers=8, sides=(4, 16), operators=("kernel",))
    plan = make_plan(model, BOARD, array_for(model, 16, 3 + seed % 5))
    assert plan.cut_columns
    checked(plan, device)


@pytest.mark.parametrize("device", ["pocl"])
@pytest.mark.parametrize("seed", thinned(STRIPS, 2))
def test_counters_of_steps_stay_in_their_bits(seed: int, device: str) -> None:
    plan = in_strips(seed)
    assert len(plan.steps) > len(plan.layers)
    checked(plan, device)


@pytest.mark.parametrize("device", ["pocl"])
def test_counters_of_turns_stay_in_their_bits(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pool that turns longer than a tile takes, and of an output."""
    force_turns(monkeypatch, 1, 2)
    plan = _plan(random_model(5, ModelOptions(height=12, width=11, out_channels=27)))
    bits = {c.name: c.bits for c in plan.counters["post"]}
    assert (plan.turns.pool, bits["part"], bits["turn"]) == (16, 4, 3)
    checked(plan, device)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["pocl"])
@pytest.mark.parametrize("seed", range(12, 40))
def test_counters_of_many_texts_stay_in_their_bits(seed: int, device: str) -> None:
    checked(in_strips(seed) if seed % 2 else planned(seed, "mixed")[1], device)


def _model() -> QuantizedModel:
    return random_model(5, ModelOptions(height=12, width=11))


def _plan(model: QuantizedModel) -> Plan:
    return make_plan(model, BOARD, array_for(model, 16, 7))


def test_the_text_keeps_the_bits_of_the_plan() -> None:
    """Every integer of a state is a counter, has a row in the area model, and is trimmed."""
    for plan in (
        _plan(_model()),
        in_strips(0),
        in_strips(5),
        planned(0)[1],
        planned(336, "mixed")[1],
    ):
        text = render_accelerator(plan)
        rows = coefficients()["counters"]
        for kernel, own in plan.counters.items():
            names = [c.name for c in own]
            assert _integers(text, kernel) == names
            assert set(names) <= set(rows[kernel])
            body = re.search(rf"static void {kernel}_trim\(.*?\n\}}\n", text, re.DOTALL)
            assert body is not None
            trimmed = re.findall(r"s->(\S+) &?=", body[0])
            assert trimmed == [c.name for c in own if c.bits < 32]
        for kernel in ("skipped", "runs"):
            known = rows["controller" if kernel == "skipped" else "conv"]
            assert set(rows[kernel]) <= set(known)


def _integers(text: str, kernel: str) -> list[str]:
    """Members of a state that count, a pace's by its parts."""
    body = re.search(rf"typedef struct \{{\n([^}}]*)\}} {kernel}_state_t;", text)
    assert body is not None
    found = []
    for kind, names in re.findall(r"^\s*(int|pace_t) ([^;\[]+);", body[1], re.MULTILINE):
        for name in names.split(", "):
            parts = ("left", "tile", "inner", "row")
            found += [f"{name}.{part}" for part in parts] if kind == "pace_t" else [name]
    return found


@pytest.mark.parametrize(
    ("kernel", "name"),
    [("controller", "c1"), ("conv", "word"), ("conv", "tile"), ("post", "results")],
)
@pytest.mark.parametrize("device", ["pocl"])
def test_a_counter_that_is_too_narrow_is_located(
    kernel: str, name: str, device: str, generated: Generate, on_device: OnDevice, tmp_path: Path
) -> None:
    model = _model()
    folder = tmp_path / "project"
    shutil.copytree(generated(model, 16, 7), folder)
    bits = next(c.bits for c in _plan(model).counters[kernel] if c.name == name)
    assert bits > 1
    path = folder / "device/accelerator.cl"
    start = path.read_text(encoding="utf-8").index(f"static void {kernel}_trim(")
    own = path.read_text(encoding="utf-8")[start:].split("\n}\n")[0]
    before, after = (f"  s->{name} &= {(1 << n) - 1};" for n in (bits, bits - 1))
    assert own.count(before) == 1
    replace_text(folder, own, own.replace(before, after))
    frames = random_frames(model, 1)
    client = on_device(device)
    try:
        found = locate(model, folder, frames, client)
    except RuntimeError as stopped:  # the kernels wait for each other, and it is said where
        assert re.search(r"the kernels stopped in frame \d, step \d", str(stopped))
    else:
        assert found.stage in model.tensors


def test_a_plan_is_held_against_its_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model()
    right = plan_module.counters_of

    def planted(*args: object, **kwargs: object) -> Counters:
        return narrower(right(*args, **kwargs), "conv", "cycle")  # type: ignore[arg-type]

    monkeypatch.setattr(plan_module, "counters_of", planted)
    with pytest.raises(CheckFailed, match="counter cycle of conv has values from 0 to"):
        _plan(model)


def _widest(plan: Plan) -> Counter:
    return max((c for own in plan.counters.values() for c in own if c.bits < 32),
               key=lambda c: c.bits)  # fmt: skip


def test_a_small_network_counts_in_few_bits_and_a_large_map_in_many() -> None:
    small = chain({"out": 8, "kernel": 1}, channels=8, height=3, width=4)
    assert _widest(make_plan(small, BOARD, array_for(small, 16, 4))).bits <= 5
    assert _widest(make_plan(mobilenet_v2(96), BOARD, array_for(mobilenet_v2(96), 16, 7))).bits < 16
    large = chain({"out": 40, "kernel": 3, "padding": (1, 1, 1, 1)}, {"out": 40, "kernel": 1},
                  channels=3, height=300, width=280)  # fmt: skip
    plan = make_plan(large, BOARD, array_for(large, 16, 1), must_fit=False)
    wide = {c.name: c.bits for c in plan.counters["controller"] if c.bits > 16}
    assert {"iteration", "address", "stored"} <= set(wide)
    area = {item.name: item.alm for item in plan.area.items}
    less = {item.name: item.alm for item in
            make_plan(small, BOARD, array_for(small, 16, 1)).area.items}  # fmt: skip
    for kernel in ("controller", "conv", "post", "loader"):
        assert less[f"counters of {kernel}"] < area[f"counters of {kernel}"]
