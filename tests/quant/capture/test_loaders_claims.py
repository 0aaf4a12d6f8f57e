"""Checkpoints that claim more than they hold, and those wrapped by training scripts."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

from shiftforge.errors import InputError
from shiftforge.quant.capture.loaders import torchvision
from shiftforge.quant.capture.loaders.keras_config import read_architecture
from shiftforge.quant.capture.loaders.state import network_tensors
from shiftforge.quant.capture.source import load_source

FIRST = "features.0.0.weight"


def refused(source: Path, *said: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        load_source(str(source))
    assert time.perf_counter() - started < 5
    for part in said:
        assert part in str(caught.value)
    assert all(problem.remedy for problem in caught.value.problems)


def checkpoint(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """A checkpoint of one tensor (8, 3, 3, 3) with a changed pickle."""
    made = io.BytesIO()
    torch.save({FIRST: torch.zeros(8, 3, 3, 3)}, made)
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("data.pkl"):
                changed = change(data)
                assert changed != data
                data = changed
            target.writestr(entry.filename, data)
    return path


SHAPE = b"K\x08K\x03K\x03K\x03t"
REST = b"K\x03K\x03K\x03t"
HUGE = b"\x8a\x08" + (1 << 60).to_bytes(8, "little")
CLAIMS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "2**31 rows": (lambda d: d.replace(SHAPE, b"J\xff\xff\xff\x7f" + REST), "2147483647x3x3x3"),
    "2**60 rows": (lambda d: d.replace(SHAPE, HUGE + REST), "1152921504606846976x3"),
    "storage": (lambda d: d.replace(b"K\xd8t", b"J\xff\xff\xff\x7ft"), "2,147,483,647 values"),
    "negative": (lambda d: d.replace(SHAPE, b"J\xff\xff\xff\xff" + REST), "damaged"),
    "memo": (lambda d: d[:2] + b"}r\xff\xff\xff\x7f0" + d[2:], "memo"),
    "bytes": (lambda d: d[:2] + b"\x8e" + (1 << 60).to_bytes(8, "little") + d[2:], "damaged"),
    "long": (lambda d: d[:2] + b"\x8b\xff\xff\xff\x7f" + d[2:], "damaged"),
    "digits": (lambda d: d[:2] + b"I" + b"9" * 100_000 + b"\n0" + d[2:], "damaged"),
    "cut": (lambda d: d[:-20], "damaged"),
    "empty": (lambda d: b"", "damaged"),
    "lists": (lambda d: d[:2] + b"]" * 100_000 + b"a" * 99_999 + b".", "holds a list"),
    "large": (lambda d: d[:2] + b"]0" * (3 << 20) + d[2:], "its pickle holds"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_checkpoints_that_claim_too_much(claim: str, tmp_path: Path) -> None:
    change, said = CLAIMS[claim]
    refused(checkpoint(tmp_path / "a.pth", change), said)


def test_tensors_that_repeat_their_values(tmp_path: Path) -> None:
    torch.save({FIRST: torch.zeros(1).expand(1 << 40)}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "1099511627776", "1 are there")
    torch.save({FIRST: torch.zeros(9).to_sparse()}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "more than tensors")


def test_weights_of_impossible_shapes(tmp_path: Path) -> None:
    for shape in ((8, 3, 1, 40_000), (8, 3, 9, 9), (0, 3, 3, 3), (8, 3)):
        torch.save({FIRST: torch.zeros(shape)}, tmp_path / "a.pth")
        refused(tmp_path / "a.pth", FIRST)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("traced", [False, True])
def test_torchscript_and_its_remedy(traced: bool, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    frame = torch.zeros(1, 3, 8, 8)
    program = torch.jit.trace(network, frame) if traced else torch.jit.script(network)
    program.save(str(tmp_path / "a.pth"))
    refused(tmp_path / "a.pth", "TorchScript archive", "torch.jit.load(PATH, map_location='cpu')")
    # As the remedy says: what comes of it is a state dict, though not MobileNetV2's.
    state = torch.jit.load(tmp_path / "a.pth", map_location="cpu").state_dict()
    torch.save(state, tmp_path / "b.pth")
    refused(tmp_path / "b.pth", "0.weight", f"no tensor is called {FIRST}")


def test_exported_program_and_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    torch.export.save(torch.export.export(nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),)), path)
    path.rename(tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "exported program", "torch.export.load(PATH).state_dict")
    (tmp_path / "a.pth").rename(path)
    torch.save(dict(torch.export.load(path).state_dict), tmp_path / "b.pth")
    refused(tmp_path / "b.pth", "it holds weight, bias")


STATE = {FIRST: torch.zeros(1), "features.0.1.bias": torch.full((2,), 2.0)}
ZEROS = {name: torch.zeros_like(tensor) for name, tensor in STATE.items()}
WRAPPED: dict[str, Any] = {
    "plain": STATE,
    "data parallel": {f"module.{k}": v for k, v in STATE.items()},
    "compiled": {f"_orig_mod.{k}": v for k, v in STATE.items()},
    "compiled and parallel": {f"module._orig_mod.{k}": v for k, v in STATE.items()},
    "a compiled layer": {
        k.replace("features.", "features._orig_mod."): v for k, v in STATE.items()
    },
    "averaged": {"n_averaged": torch.ones(()), **{f"module.{k}": v for k, v in STATE.items()}},
    "lightning": {
        "epoch": 3,
        "state_dict": {
            **{f"model.{k}": v for k, v in STATE.items()},
            "criterion.weight": torch.ones(3),
        },
        "optimizer_states": [{"state": {0: {"step": torch.ones(())}}}],
    },
    **{
        key: {key: STATE, "epoch": 1, "optimizer": {"state": {}}}
        for key in ("state_dict", "model_state_dict", "model", "net", "ema", "weights")
    },
    "two levels": {"model": {"state_dict": STATE}},
}


@pytest.mark.parametrize("form", WRAPPED)
def test_wrapped_state_dicts_are_taken(form: str) -> None:
    found, notes = network_tensors(WRAPPED[form], [FIRST], "x")
    assert set(found) == set(STATE)
    assert ("n_averaged" in str(notes)) == (form == "averaged")
    assert ("criterion.weight" in str(notes)) == (form == "lightning")


@pytest.mark.parametrize(
    "loaded",
    [
        {"state_dict": ZEROS, "state_dict_ema": STATE, "epoch": 1},
        {"model": ZEROS, "model_ema": {f"module.{k}": v for k, v in STATE.items()}},
        {"net": ZEROS, "ema_state_dict": STATE},
        {"model": ZEROS, "ema": {"module": STATE, "decay": 0.999}},
    ],
)
def test_a_moving_average_is_taken_and_told(loaded: Any) -> None:
    found, notes = network_tensors(loaded, [FIRST], "x")
    assert set(found) == set(STATE) and (found["features.0.1.bias"] == 2).all()
    assert f"they are a moving average; leaving aside {next(iter(loaded))}" in notes


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        ({"model": STATE, "net": STATE}, "2 sets of weights: model, net"),
        ({"model_ema": STATE, "ema": STATE}, "2 sets of weights: model_ema, ema"),
        (
            {**{f"a.{k}": v for k, v in STATE.items()}, **STATE},
            "weights: a, those without a prefix",
        ),
        ({**{f"_orig_mod.{k}": v for k, v in STATE.items()}, **STATE}, "weights: _orig_mod, those"),
        ({"conv1.weight": torch.ones(1), "fc.weight": torch.ones(1)}, "conv1.weight, fc.weight"),
        ({"backbone": 3, "epoch": 1}, "backbone, epoch"),
        ({}, "nothing"),
        ([STATE], "a list"),
        (torch.ones(3), "a Tensor"),
        ({"a": {"b": {"c": {"d": {"e": STATE}}}}}, "it holds a"),
    ],
)
def test_what_is_ambiguous_is_named(loaded: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        network_tensors(loaded, [FIRST], "x")
    assert said in str(caught.value) and caught.value.problems[0].remedy


def test_what_pytorch_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    torch.save({FIRST: torch.zeros(1)}, tmp_path / "a.pth")
    monkeypatch.setattr(torchvision.torch, "load", fails)
    refused(tmp_path / "a.pth", "MemoryError")


def hdf5(path: Path, config: Any = None) -> h5py.File:
    file = h5py.File(path, "w")
    text = json.dumps({"config": {"layers": []}}) if config is None else config
    file.attrs["model_config"] = text
    file.create_group("model_weights")
    return file


def test_many_arrays_that_are_not_there(tmp_path: Path) -> None:
    """Each alone would be allowed; all of them together would not fit into memory."""
    with hdf5(tmp_path / "a.h5") as file:
        for index in range(200):
            file.create_dataset(f"model_weights/l{index}/kernel", (1 << 24,), "f4", chunks=(1024,))
    refused(tmp_path / "a.h5", "claim")


def test_compressed_zeros(tmp_path: Path) -> None:
    with hdf5(tmp_path / "a.h5") as file:
        zeros = np.zeros(1 << 22, np.float32)
        file.create_dataset("model_weights/a/kernel", data=zeros, compression="gzip")
    refused(tmp_path / "a.h5", "no plain array")


def test_links_to_other_places(tmp_path: Path) -> None:
    with hdf5(tmp_path / "a.h5") as file:
        file["model_weights/kernel"] = h5py.ExternalLink("b.h5", "/kernel")
    refused(tmp_path / "a.h5", "link to another place")
    with hdf5(tmp_path / "a.h5") as file:
        del file["model_weights"]
        file["model_weights"] = h5py.ExternalLink("b.h5", "/")
    refused(tmp_path / "a.h5", "no group model_weights")


def test_groups_nested_too_deep(tmp_path: Path) -> None:
    with hdf5(tmp_path / "a.h5") as file:
        file.create_group("model_weights/" + "/".join("g" * 40))
    refused(tmp_path / "a.h5", "deep")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "not valid JSON"),
        ("[" * 60_000, "model_config"),
        ('{"config": 1e999}', "no object 'config'"),
        ('{"config": {}}', "layers is None"),
        ("7", "no object 'config'"),
        ('{"config": {"layers": [' + "9" * 5000 + "]}}", "not valid JSON"),
    ],
    ids=["cut", "deep", "infinite", "empty", "number", "digits"],
)
def test_architectures_that_cannot_be_read(config: str, said: str, tmp_path: Path) -> None:
    hdf5(tmp_path / "a.h5", config).close()
    refused(tmp_path / "a.h5", said)


ODD = [0, -1, 10**9, 1e300, "a", None, [], {}, True, [[1, 1]]]


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    ("kind", "field", "good"),
    [
        ("InputLayer", "batch_shape", [None, 64, 64, 3]),
        ("Dense", "activation", "relu"),
        ("ReLU", "max_value", 6.0),
        ("BatchNormalization", "epsilon", 1e-3),
        ("Conv2D", "strides", [1, 1]),
        ("Conv2D", "name", "block_1_expand"),
    ],
)
def test_fields_of_an_architecture(kind: str, field: str, good: object, value: object) -> None:
    def layers(held: object) -> dict[str, Any]:
        odd = {"name": "a", **({"strides": [1, 1]} if kind == "Conv2D" else {}), field: held}
        base = [{"class_name": kind, "config": odd}]
        usual = {"name": "in", "batch_shape": [None, 64, 64, 3]}
        if kind != "InputLayer":
            base.insert(0, {"class_name": "InputLayer", "config": usual})
        return {"layers": [*base, {"class_name": "Dense", "config": {"name": "top", **LINEAR}}]}

    read_architecture(layers(good), "a.h5")
    if (field, value) == ("name", "a"):
        return
    with pytest.raises(InputError) as caught:
        read_architecture(layers(value), "a.h5")
    assert field in str(caught.value)
    assert all(problem.remedy for problem in caught.value.problems)


LINEAR = {"activation": "softmax"}
FIELDS = {
    "num_channels": 3,
    "image_size": 224,
    "depth_multiplier": 0.35,
    "depth_divisible_by": 8,
    "min_depth": 8,
    "expand_ratio": 6,
    "output_stride": 32,
    "first_layer_is_expansion": True,
    "finegrained_output": True,
    "hidden_act": "relu6",
    "tf_padding": True,
    "layer_norm_eps": 0.001,
    "num_labels": 4,
    "id2label": {"0": "a", "1": "b", "2": "c", "3": "d"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hf")
    config = MobileNetV2Config(depth_multiplier=0.35, num_labels=4)
    network = MobileNetV2ForImageClassification(config)
    save_file(network.state_dict(), made / "model.safetensors")
    return made


def write(folder: Path, **changes: object) -> None:
    config = {"model_type": "mobilenet_v2", **FIELDS, **changes}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("field", FIELDS)
def test_fields_of_a_configuration(field: str, folder: Path) -> None:
    good = FIELDS[field]
    for value in [*ODD, [1, 2], {"a": 1}, 1.5, 7, False, 1e-300, "relu7", {"0": 1}, {"1": "a"}]:
        fits = field in ("min_depth", "depth_divisible_by") and value == 7
        fits |= field in ("depth_multiplier", "expand_ratio") and value in (1.5, 7, 1e-300)
        fits |= field in ("num_channels", "image_size") and value == 7
        fits |= field == "layer_norm_eps" and value == 1e-300
        if type(value) is type(good) is bool or fits:
            continue
        write(folder, **{field: value})
        refused(folder, f"{field}")
    write(folder, **{field: good})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"depth_multiplier": 16.0, "min_depth": 1024}, "has shape"),
        ({"num_channels": 64}, "has shape"),
        ({"num_labels": 1 << 20, "id2label": {"0": "a"}}, "num_labels"),
        ({"architectures": 7}, "describes"),
        ({"architectures": "MobileNet"}, "describes"),
        ({"architectures": [[1]]}, "describes"),
        ({"model_type": [1]}, "describes"),
    ],
)
def test_configurations_that_claim_another_network(
    changes: dict[str, object], said: str, folder: Path
) -> None:
    write(folder, **changes)
    refused(folder, said)


def test_integers_where_weights_should_be(folder: Path, tmp_path: Path) -> None:
    config = MobileNetV2Config(depth_multiplier=0.35, num_labels=4)
    state = MobileNetV2ForImageClassification(config).state_dict()
    state["classifier.weight"] = state["classifier.weight"].to(torch.int8)
    save_file(state, tmp_path / "model.safetensors")
    write(tmp_path)
    refused(tmp_path, "classifier.weight holds torch.int8")
