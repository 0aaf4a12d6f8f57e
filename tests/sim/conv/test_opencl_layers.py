"""Random layers on the devices: equal to the reference in every element of every stored map.

A network of a dozen random layers costs one build; each layer reads what the reference says its
predecessor makes as long as nothing differs, so each is a test of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conv_chains import chain
from conv_plans import BOARD, KINDS, second_kinds
from device_checks import check_equal
from device_client import DeviceClient
from kept_models import kept_where_it_fails
from mobilenet import mobilenet_v2
from random_networks import Family, random_frames, random_network
from tiers import thinned

from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import QuantizedModel, ShiftFormat
from shiftforge.sim.conv.layers import first_divergence, tensor_order
from shiftforge.sim.golden.conv.network import run_golden

OnDevice = Callable[[str], DeviceClient]
Generate = Callable[..., Path]

# seed, weight formats, a multiplier in requantisation, units, pixels
CASES: tuple[tuple[int, Family, bool, int, int], ...] = (
    (1, "two-term", False, 16, 7),
    (2, "one-term", False, 32, 4),
    (3, "multiplier", True, 16, 3),
    (4, "two-term", True, 32, 1),
    (5, "multiplier", False, 32, 8),
    (6, "one-term", True, 16, 1),
    (7, "two-term", False, 16, 8),
    (8, "nibble", False, 16, 3),
    (9, "nibble", True, 32, 2),
    # Together they have second words of every kind.
    (110, "mixed", False, 16, 1),
    (135, "mixed", True, 16, 3),
    (19, "mixed", True, 32, 4),
    (11, "mixed", True, 16, 8),
    (149, "mixed", True, 16, 8),
    (225, "mixed", True, 16, 3),
)
LAYERS = 16
FUZZ_NETWORKS = 70


def check(
    model: QuantizedModel, folder: Path, seed: int, client: DeviceClient, strict: bool = False
) -> None:
    check_equal(model, schedule(model).layers, folder, seed, client, frames=2, strict=strict)


@pytest.fixture(scope="module")
def networks() -> list[QuantizedModel]:
    return [
        random_network(
            seed, family=family, multiplier_requant=multiplier, layers=LAYERS,
            orders=family == "mixed" and seed % 3 == 0,
        )
        for seed, family, multiplier, _, _ in CASES
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("device", "case"),
    [
        *thinned((("pocl", case) for case in range(len(CASES))), 4),
        *thinned((("intel-fpga-emu", case) for case in range(1, len(CASES))), 5),
        pytest.param("intel-fpga-emu", 0, marks=pytest.mark.slow),
    ],
)
def test_random_layers_equal_the_reference(
    case: int, device: str, networks: list[QuantizedModel], generated: Generate,
    on_device: OnDevice,
) -> None:  # fmt: skip
    seed, _, _, units, pixels = CASES[case]
    folder = generated(networks[case], units, pixels)
    check(networks[case], folder, seed, on_device(device), strict=case % 2 == 1)


def test_the_random_layers_have_second_words_of_every_kind(
    networks: list[QuantizedModel],
) -> None:
    found: set[str] = set()
    for model, (_, _, _, units, pixels) in zip(networks, CASES, strict=True):
        plan = make_plan(model, BOARD, array_for(model, units, pixels))
        for layer, own in zip(schedule(model).layers, plan.steps, strict=True):
            found |= second_kinds(layer, own, plan)
    assert found == KINDS


@pytest.fixture(scope="module")
def ordered() -> QuantizedModel:
    return random_network(8, layers=LAYERS, orders=True)


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_random_layers_in_random_channel_orders(
    device: str, ordered: QuantizedModel, generated: Generate, on_device: OnDevice
) -> None:
    """Channels lie in other orders on chip; every map is told in the network's own."""
    layers = [x for x in schedule(ordered).layers if x.result.name in ordered.orders]
    assert {layer.mode for layer in layers} == {"pointwise", "depthwise", "standard"}
    assert any(layer.add is not None for layer in layers)
    check(ordered, generated(ordered, 16, 7), 8, on_device(device))


@pytest.mark.parametrize("case", [0, 2])
def test_random_layers_on_the_intel_cpu_runtime(
    case: int, networks: list[QuantizedModel], generated: Generate, on_device: OnDevice
) -> None:
    seed, _, _, units, pixels = CASES[case]
    check(networks[case], generated(networks[case], units, pixels), seed, on_device("intel-cpu"))


def test_the_random_layers_are_of_every_kind(networks: list[QuantizedModel]) -> None:
    """The cases above would prove little if their outputs were constant or a kind were missing."""
    seen: Counter[str] = Counter()
    lively = total = 0
    for model in networks:
        maps = run_golden(model, random_frames(model, 0))
        for layer in schedule(model).layers:
            top, left, bottom, right = layer.conv.padding
            seen[layer.mode] += 1
            seen[f"{layer.mode} with stride {layer.stride}"] += 1
            seen["kernel 1 in a 3x3"] += layer.mode != "pointwise" and layer.conv.kernel == (1, 1)
            seen["residual"] += layer.add is not None
            seen["depthwise residual"] += layer.add is not None and layer.mode == "depthwise"
            seen["pool"] += layer.pool is not None
            seen["1x1 map"] += layer.in_shape[1:] == (1, 1)
            seen["asymmetric padding"] += (top, left) != (bottom, right)
            seen["signed input"] += layer.input.grid.signed
            seen["unsigned input"] += not layer.input.grid.signed
            seen["multiplier"] += layer.conv.multiplier is not None
            seen["fewer bits"] += layer.conv_output.grid.bits < 8
            exponents = layer.conv_output.grid.exponent - layer.input.grid.exponent
            seen["left shift"] += bool((exponents < layer.conv.z).any())
            seen["32-bit output"] += layer.direct
            if layer.result.name not in maps:
                continue
            values = maps[layer.result.name]
            total += 1
            lively += len(np.unique(values)) > min(8, values.size // 2)
    assert len(seen) >= 19 and min(seen.values()) > 0, seen
    assert lively > 0.4 * total


@pytest.mark.parametrize(
    ("model", "units", "pixels"),
    [
        pytest.param(random_model(11), 16, 7, id="two-term"),
        pytest.param(
            random_model(
                12, ModelOptions(weight_format=ShiftFormat(3, 1, "S1"), signed_input=True)
            ),
            32, 4, id="one-term",
        ),
    ],
)  # fmt: skip
@pytest.mark.optimised
@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
def test_small_mobilenets(
    model: QuantizedModel, units: int, pixels: int, device: str, generated: Generate,
    on_device: OnDevice,
) -> None:  # fmt: skip
    check(model, generated(model, units, pixels), 3, on_device(device))


@pytest.mark.parametrize("device", ["pocl", "intel-fpga-emu"])
@pytest.mark.parametrize("wide", [False, True])
def test_a_depthwise_layer_gives_the_output(
    wide: bool, device: str, generated: Generate, on_device: OnDevice
) -> None:
    """Several channel groups, whose results leave one group after the other."""
    model = chain(
        {"out": 40, "kernel": 1},
        {"out": 40, "kernel": 3, "groups": 40, "padding": (1, 1, 1, 1), "wide": wide},
        channels=3, height=9, width=10,
    )  # fmt: skip
    frames = random_frames(model, 5)
    found = on_device(device).run(generated(model, 16, 4), frames, trace=False)
    assert np.array_equal(found[model.output], run_golden(model, frames)[model.output])


def test_mobilenet_v2_at_224_finishes_with_the_depths_of_hardware(
    generated: Generate, on_device: OnDevice
) -> None:
    model = mobilenet_v2(224)
    frames = random_frames(model, 1, frames=1)
    golden = run_golden(model, frames)
    found = on_device("intel-fpga-emu").run(generated(model), frames, strict_depth=True)
    order = [name for name in tensor_order(model) if name in found]
    assert len(order) == 53
    assert first_divergence(golden, found, order, model=model) is None


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FUZZ_NETWORKS))
def test_many_random_layers(number: int, generated: Generate, on_device: OnDevice) -> None:
    """More than 1,000 random layers; what fails is kept as a model file under out/fuzz."""
    families: tuple[Family, ...] = ("two-term", "one-term", "multiplier", "mixed", "nibble")
    # Units, pixels, frames in flight.
    shapes = (
        (16, 7, 1), (32, 4, 1), (16, 1, 4), (16, 3, 2), (32, 8, 1), (16, 8, 1), (32, 1, 3),
        (32, 7, 1), (16, 4, 2), (8, 4, 2), (24, 3, 1), (48, 2, 1), (24, 1, 2), (8, 1, 5),
        (48, 1, 2), (8, 7, 1), (24, 7, 1),
    )  # fmt: skip
    seed = 1000 + number
    model = random_network(
        seed, family=families[seed % 5], multiplier_requant=seed % 2 == 1, layers=LAYERS,
        orders=seed % 4 < 2,
    )  # fmt: skip
    folder = generated(model, *shapes[seed % len(shapes)])
    with kept_where_it_fails(model, f"random{seed}"):
        for device in ("pocl", "intel-fpga-emu"):
            check(model, folder, seed, on_device(device))
