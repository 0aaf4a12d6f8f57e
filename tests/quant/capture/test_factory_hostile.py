"""Whatever a factory, its module or its attributes are: captured, or refused with a remedy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.capture.loaders.factory import load_module
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.types import Preprocess

MODULE = """
import pickle, sys, torch
from torch import nn

class Own(BaseException):
    pass

class Silent(Exception):
    def __str__(self):
        raise ValueError("nothing to say")

def throws(error):
    def build():
        raise error
    return build

assertion = throws(AssertionError("this network needs CUDA\\nand more"))
key = throws(KeyError("name"))
memory = throws(MemoryError())
unpickling = throws(pickle.UnpicklingError("Weights only load failed"))
stops = throws(StopIteration())
own = throws(Own("mine"))
silent = throws(Silent())
interrupt = throws(KeyboardInterrupt())

def leaves(): sys.exit(3)
def zero(): return 1 / 0
def deep(): return deep()
def nothing(): return None
def needs(argument): return argument
number = 3

def prints():
    print("hello")
    return nn.Conv2d(3, 4, 3)

prints.input_shape = (3, 8, 8)
"""


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "hostile_network.py").write_text(MODULE)
    (tmp_path / "leaving_network.py").write_text("import sys\nsys.exit(4)\n")
    (tmp_path / "broken_network.py").write_text("def build(:\n")
    (tmp_path / "class.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "hostile_network"
    for name in ("hostile_network", "leaving_network", "broken_network", "class"):
        sys.modules.pop(name, None)


def told(source: str) -> str:
    with pytest.raises(InputError) as caught:
        load_source(source)
    assert all(problem.remedy for problem in caught.value.problems)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("assertion", "AssertionError: this network needs CUDA"),
        ("key", "KeyError"),
        ("memory", "MemoryError"),
        ("unpickling", "weights_only=False"),
        ("stops", "StopIteration"),
        ("own", "Own: mine"),
        ("silent", "Silent"),
        ("leaves", "SystemExit: 3"),
        ("zero", "ZeroDivisionError"),
        ("deep", "RecursionError"),
        ("nothing", "returns NoneType"),
        ("needs", "TypeError"),
        ("number", "it is a int"),
        ("asertion", "it has assertion"),
    ],
)
def test_whatever_a_factory_raises(users: str, name: str, said: str) -> None:
    assert said in told(f"{users}:{name}")


def test_an_interrupt_stays_one(users: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_source(f"{users}:interrupt")


def test_whatever_a_module_raises(users: str) -> None:
    assert "SystemExit" in told("leaving_network:build")
    assert "SyntaxError" in told("broken_network:build")
    assert "ZeroDivisionError" in told("class:zero")


@pytest.mark.parametrize(
    "source",
    [
        ":build",
        "net:",
        "a..b:build",
        ".net:build",
        "net.:build",
        "a b:build",
        "it's:build",
        'a"b:build',
        "net\n:build",
        "net;import os:build",
        "../net:build",
        "net:build()",
        "net:a.b",
        "net\0:build",
        "x" * 300 + ":build",
        "net:build:more",
    ],
)
def test_names_that_are_none(users: str, source: str) -> None:
    told(source)


def test_what_a_factory_prints_stays_off_stdout(
    users: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_source(f"{users}:prints").shapes["input"] == (3, 8, 8)
    captured = capsys.readouterr()
    assert captured.out == "" and "hello" in captured.err


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def loaded(module: nn.Module, **carried: object) -> FloatGraph:
    for name, value in carried.items():
        object.__setattr__(module, name, value)
    return load_module(module, "users:build")


def refused(module: nn.Module, **carried: object) -> str:
    with pytest.raises(InputError) as caught:
        loaded(module, **carried)
    assert all(problem.remedy for problem in caught.value.problems)
    return str(caught.value)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 9, 8),
        [3, 9, 8],
        np.array([3, 9, 8]),
        (np.int64(3), np.uint8(9), np.int32(8)),
        torch.tensor([3, 9, 8]),
        torch.Size([3, 9, 8]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_input_shapes_that_are_good(shape: object) -> None:
    graph = loaded(network(), input_shape=shape)
    assert graph.shapes["input"] == (3, 9, 8)
    assert graph.notes and "input_shape of the network" in graph.notes[0]
    assert "assumed" in graph.notes[0]


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (3, 9),
        (3, 9, 8, 1),
        (3, 0, 8),
        (3, -1, 8),
        (3, 9.0, 8),
        ("3", 9, 8),
        (True, 9, 8),
        "3,9,8",
        389,
        {3: 9},
        (3, None, 8),
        (3, 10**6, 10**6),
        (3, 10**30, 8),
        np.zeros((3, 3)),
    ],
    ids=repr,
)
def test_input_shapes_that_are_not(shape: object) -> None:
    refused(network(), input_shape=shape)


@pytest.mark.parametrize(
    "preprocess",
    [
        "imagenet",
        {"mean": 0.5},
        Preprocess(3, 0, 8, (0.5,) * 3, (0.5,) * 3),
        Preprocess(3, 9, 8, (0.5,) * 2, (0.5,) * 3),
        Preprocess(3, 9, 8, (0.5,) * 3, (0.5, 0.0, 0.5)),
        Preprocess(3, 9, 8, (float("nan"),) * 3, (0.5,) * 3),
        Preprocess(3, 9, 8, (1e300,) * 3, (0.5,) * 3),
        Preprocess(3, 9, 8, "abc", (0.5,) * 3),  # type: ignore[arg-type]
        Preprocess(3, 9, 8, (0.5,) * 3, (0.5,) * 3, "crop"),  # type: ignore[arg-type]
        Preprocess(1, 9, 8, (0.5,), (0.5,)),
    ],
    ids=repr,
)
def test_preprocessing_that_is_not(preprocess: object) -> None:
    refused(network(), preprocess=preprocess, input_shape=(3, 9, 8))


@pytest.mark.parametrize("labels", ["cat", 4, {0: "a"}, [None] * 4, ["a"] * 3, [1.5] * 4], ids=repr)
def test_labels_that_are_not(labels: object) -> None:
    refused(nn.Conv2d(3, 4, 3), labels=labels, input_shape=(3, 9, 8))


def test_what_was_taken_is_told() -> None:
    kept = Preprocess(3, 9, 8, (0.1,) * 3, (0.2,) * 3)
    assert "preprocess of the network" in loaded(network(), preprocess=kept).notes[0]
    graph = load_module(network(), "users:build", resolution=28)
    assert graph.shapes["input"] == (3, 28, 28) and "as given" in graph.notes[0]
    graph = load_module(network(), "users:build")
    assert graph.shapes["input"] == (3, 224, 224) and "assumed" in graph.notes[0]
    assert loaded(network(), input_shape=(3, 9, 8), labels=np.arange(4)).labels == tuple("0123")


def test_a_method_or_layer_of_the_name_is_the_networks_own() -> None:
    module = network()
    module.add_module("preprocess", nn.Identity())
    assert loaded(module, input_shape=(3, 9, 8)).preprocess.mean == (0.5,) * 3


def test_a_property_that_raises() -> None:
    class Odd(nn.Conv2d):
        @property
        def labels(self) -> list[str]:
            return [str(1 / 0)]

    assert "labels" in refused(Odd(3, 4, 3))


class Raises(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("Input image size (9) doesn't match model (224)."),
        ZeroDivisionError(),
        KeyError("x"),
        MemoryError(),
        RecursionError(),
        SystemExit(3),
        StopIteration(),
        OSError(2, "none"),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_forward_raises(error: BaseException) -> None:
    assert type(error).__name__ in refused(Raises(error), input_shape=(3, 9, 8))


def test_an_interrupt_in_a_forward_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt):
        loaded(Raises(KeyboardInterrupt()), input_shape=(3, 9, 8))


def named(name: str) -> nn.Module:
    module = nn.Sequential()
    module.add_module(name, nn.Conv2d(3, 4, 3))
    return module


@pytest.mark.parametrize("name", ["class", "None", 'a"b', "a\nb", "\ud800"], ids=ascii)
def test_layers_called_what_python_cannot_write(name: str) -> None:
    assert "rename" in refused(named(name), input_shape=(3, 9, 8))


@pytest.mark.parametrize("name", ["it's", "a b", "é", "*/ x", "x" * 400, "1"], ids=ascii)
def test_layers_of_odd_names_get_plain_ones(name: str) -> None:
    node = loaded(named(name), input_shape=(3, 9, 8)).nodes[0]
    assert node.name.isidentifier() and node.name.isascii() and len(node.name) < 128


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Conv2d(3, 4, 3, device="meta"), "meta"),
        (nn.LazyConv2d(4, 3), "lazy"),
        (torch.jit.script(nn.Conv2d(3, 4, 3)), "TorchScript"),
        (nn.Conv2d(3, 4, 3, dtype=torch.complex64), "trace"),
    ],
    ids=["meta", "lazy", "script", "complex"],
)
def test_modules_without_plain_weights(module: nn.Module, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_module(module, "users:build", resolution=9)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn], ids=str
)
def test_weights_of_other_precision(dtype: torch.dtype) -> None:
    module = network().to(dtype)
    assert load_module(module, "users:build", resolution=9).nodes[0].weight.dtype == np.float32  # type: ignore[union-attr]
