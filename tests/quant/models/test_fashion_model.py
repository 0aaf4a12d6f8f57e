"""The shipped Fashion-MNIST network: what it is and how well it classifies the shipped images."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pytest
import torch
from torch import nn

from shiftforge.quant.calibrate.convert import convert
from shiftforge.quant.calibrate.grids import calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.sequential import round_network
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.data.inputs import Frames, load_frames, to_codes
from shiftforge.quant.graph.types import ShiftFormat, WeightFormat
from shiftforge.quant.models import fashion
from shiftforge.quant.models.batches import Examples
from shiftforge.quant.models.checkpoint import load_checkpoint
from shiftforge.quant.models.fit import accuracy
from shiftforge.quant.simulate import run_fake_quantised

SHIPPED = 500
CALIBRATION = 128
CHECKED = 200


@pytest.fixture(scope="module")
def frames() -> Frames:
    return load_frames("fashion-mnist:test", fashion.PREPROCESS, limit=SHIPPED)


@pytest.fixture(scope="module")
def graph() -> FloatGraph:
    return fashion.float_graph()


def test_it_is_small_and_says_how_it_was_made() -> None:
    path = files("shiftforge.quant.models") / f"{fashion.NAME}.safetensors"
    assert len(path.read_bytes()) <= 5_000_000
    with as_file(path) as held:
        _, header = load_checkpoint(held)
    assert header["config"] == fashion.network_config()
    assert header["epochs"] > 0 and header["float_accuracy"] >= 0.92


def test_float_accuracy_on_the_shipped_images(frames: Frames) -> None:
    assert frames.labels is not None
    data = Examples.of(frames.images, frames.labels, fashion.PREPROCESS, torch.device("cpu"))
    assert accuracy(fashion.load(), data) >= 0.92


def test_the_graph(graph: FloatGraph) -> None:
    convs = [n for n in graph.nodes if isinstance(n, FloatConv)]
    assert len(convs) == 53 and graph.shapes[graph.input] == (1, 48, 48)
    assert graph.labels[9] == "Ankle boot" and graph.shapes[graph.output] == (10, 1, 1)


@pytest.mark.slow
def test_two_term_weights_lose_little_without_training(graph: FloatGraph, frames: Frames) -> None:
    images = normalise(frames.images[:CALIBRATION], fashion.PREPROCESS)
    grids = calibrate_grids(graph, images)
    formats: dict[str, WeightFormat] = {
        n.name: ShiftFormat() for n in graph.nodes if isinstance(n, FloatConv)
    }
    rounded = round_network(graph, images, formats, grids)
    model = convert(graph, grids, rounded.weights, formats, biases=rounded.biases)
    held = frames.images[-CHECKED:]
    codes = to_codes(held, fashion.PREPROCESS, model.tensors[model.input].grid)
    chosen = run_fake_quantised(model, codes)[model.output].reshape(CHECKED, -1).argmax(1)
    assert frames.labels is not None
    assert float(np.mean(chosen == frames.labels[-CHECKED:])) >= 0.90


def test_batch_norm_statistics_are_averaged_while_training() -> None:
    network = fashion.build(fashion.network_config(width=0.1, resolution=32))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(m.momentum == fashion.BN_MOMENTUM for m in norms)


def test_building_depends_on_the_seed_alone() -> None:
    config = fashion.network_config(width=0.1, resolution=32)
    one, again, other = (fashion.build(config, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
