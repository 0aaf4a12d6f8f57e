"""One network written as torchvision, Keras and Hugging Face would, read back, and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision_state import blocks, torchvision_state
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

from shiftforge.errors import InputError
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.loaders.mobilenet_names import spelling_of
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import Preprocess, Resize

CLASSES = 6


def network(**settings: object) -> MobileNetV2ForImageClassification:
    """The independent definition that every loader is compared with."""
    torch.manual_seed(11)
    config = MobileNetV2Config(depth_multiplier=0.35, num_labels=CLASSES, **settings)
    made = MobileNetV2ForImageClassification(config).eval()
    for m in made.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.running_mean, 0, 0.2)
            nn.init.uniform_(m.running_var, 0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, 0, 0.3)
        elif isinstance(m, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight)
    return made


def relative_difference(made: nn.Module, graph: FloatGraph) -> float:
    torch.manual_seed(12)
    x = torch.randn(2, *graph.shapes[graph.input])
    with torch.no_grad():
        expected = made(x).logits
    got = run_float(graph, x)[graph.output].flatten(1)
    return float((got - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def plain() -> MobileNetV2ForImageClassification:
    return network(tf_padding=False, layer_norm_eps=1e-5)


def test_torchvision(plain: MobileNetV2ForImageClassification, tmp_path: Path) -> None:
    wrapped = {"state_dict": {f"module.{k}": v for k, v in torchvision_state(plain).items()}}
    torch.save(wrapped, tmp_path / "net.pth")
    graph = load_source(str(tmp_path / "net.pth"), resolution=64)
    assert relative_difference(plain, graph) < 1e-4
    assert graph.preprocess.mean == (0.485, 0.456, 0.406)
    # torchvision's 256 and 224, in proportion.
    assert graph.preprocess.resize == Resize("edge", (73,), centre="even")
    sources = {n.name: n.source for n in graph.nodes}
    assert sources["features_2_conv_0"] == "features.2.conv.0.0"
    assert sources["features_3_add"] == "features.3"


TIMM = {
    "features.0.0.weight": "conv_stem.weight", "features.0.1.bias": "bn1.bias",
    "features.1.conv.0.0.weight": "blocks.0.0.conv_dw.weight",
    "features.1.conv.0.1.weight": "blocks.0.0.bn1.weight",
    "features.1.conv.1.weight": "blocks.0.0.conv_pw.weight",
    "features.1.conv.2.running_var": "blocks.0.0.bn2.running_var",
    "features.2.conv.0.0.weight": "blocks.1.0.conv_pw.weight",
    "features.3.conv.1.0.weight": "blocks.1.1.conv_dw.weight",
    "features.17.conv.2.weight": "blocks.6.0.conv_pwl.weight",
    "features.17.conv.3.bias": "blocks.6.0.bn3.bias",
    "features.18.0.weight": "conv_head.weight", "features.18.1.bias": "bn2.bias",
    "classifier.1.weight": "classifier.weight",
}  # fmt: skip
FLAT = {
    "features.0.0.weight": "features.0.0.weight",
    "features.1.conv.0.0.weight": "features.1.conv.0.weight",
    "features.1.conv.1.weight": "features.1.conv.3.weight",
    "features.2.conv.1.1.bias": "features.2.conv.4.bias",
    "features.2.conv.2.weight": "features.2.conv.6.weight",
    "features.17.conv.3.bias": "features.17.conv.7.bias",
    "features.18.0.weight": "conv.0.weight", "classifier.1.bias": "classifier.bias",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "known"), [("timm", TIMM), ("flat", FLAT)])
def test_other_names_of_the_same_network(
    kind: str, known: dict[str, str], plain: MobileNetV2ForImageClassification, tmp_path: Path
) -> None:
    spelled = spelling_of({*known.values(), "conv.1.weight", "classifier.weight"})
    assert spelled.kind == kind
    assert {name: spelled(name) for name in known} == known
    state = {spelled(name): tensor for name, tensor in torchvision_state(plain).items()}
    torch.save({"state_dict": state}, tmp_path / "net.pth")
    graph = load_source(str(tmp_path / "net.pth"), resolution=64)
    assert relative_difference(plain, graph) < 1e-4
    assert graph.preprocess.resize.filter == ("bicubic" if kind == "timm" else "bilinear")

    del state[known["features.17.conv.3.bias"]]
    state["blocks.3.0.se.conv_reduce.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(InputError) as caught:
        load_source(str(tmp_path / "net.pth"))
    said = [problem.what for problem in caught.value.problems]
    assert said == [
        f"tensor {known['features.17.conv.3.bias']} is missing",
        "tensor blocks.3.0.se.conv_reduce.weight belongs to no layer",
    ]


def test_torchvision_state_that_does_not_fit_lists_every_tensor(
    plain: MobileNetV2ForImageClassification, tmp_path: Path
) -> None:
    state = torchvision_state(plain)
    del state["features.4.conv.1.1.bias"]
    state["features.5.conv.3.weight"] = torch.zeros(3)
    state["extra.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(InputError) as caught:
        load_source(str(tmp_path / "net.pth"))
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    for name in ("features.4.conv.1.1.bias", "features.5.conv.3.weight", "extra.weight"):
        assert name in text


def keras_file(
    path: Path, made: MobileNetV2ForImageClassification, legacy: bool, faults: bool = False
) -> None:
    """A file as Keras 2 (legacy) or Keras 3 writes it."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    layers: list[dict[str, Any]] = []
    suffix = ":0" if legacy else ""

    def put(name: str, norm: str, layer: Any, strided: bool = False) -> None:
        weight = layer.convolution.weight.detach().numpy()
        depthwise = "depthwise" in name
        kernel = "depthwise_kernel" if depthwise and legacy else "kernel"
        axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        arrays[f"{name}/{kernel}{suffix}"] = weight.transpose(axes)
        batch = layer.normalization
        arrays[f"{norm}/gamma{suffix}"] = batch.weight.detach().numpy()
        arrays[f"{norm}/beta{suffix}"] = batch.bias.detach().numpy()
        arrays[f"{norm}/moving_mean{suffix}"] = batch.running_mean.numpy()
        arrays[f"{norm}/moving_variance{suffix}"] = batch.running_var.numpy()
        kind = "DepthwiseConv2D" if depthwise else "Conv2D"
        add(kind, name=name, strides=[2, 2] if strided else [1, 1])
        add("BatchNormalization", name=norm, epsilon=0.001)

    def add(kind: str, **config: object) -> None:
        layers.append({"class_name": kind, "config": config})

    shape = "batch_input_shape" if legacy else "batch_shape"
    add("InputLayer", name="in", **{shape: [None, 64, 48, 3]})
    put("Conv1", "bn_Conv1", made.mobilenet_v2.conv_stem.first_conv, True)
    for index, parts in enumerate(blocks(made)):
        base = f"block_{index}" if index else "expanded_conv"
        names = ["expand", "depthwise", "project"][3 - len(parts) :]
        for name, part in zip(names, parts, strict=True):
            strided = name == "depthwise" and index in (1, 3, 6, 13)
            put(f"{base}_{name}", f"{base}_{name}_BN", part, strided)
    put("Conv_1", "Conv_1_bn", made.mobilenet_v2.conv_1x1)
    add("GlobalAveragePooling2D", name="pool")
    if faults:
        add("LayerNormalization", name="norm_a")
        add("PReLU", name="prelu_b")
    add("Dense", name="top", activation="softmax")
    arrays[f"top/kernel{suffix}"] = made.classifier.weight.detach().numpy().T
    arrays[f"top/bias{suffix}"] = made.classifier.bias.detach().numpy()
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": layers}})
        for name, array in arrays.items():
            layer = name.partition("/")[0]
            nested = layer if legacy else "mobilenetv2_0.35_64"
            file[f"model_weights/{nested}/{name}"] = array


@pytest.fixture(scope="module")
def same_padded() -> MobileNetV2ForImageClassification:
    return network(tf_padding=True, layer_norm_eps=1e-3)


@pytest.mark.parametrize("legacy", [False, True])
def test_keras(
    legacy: bool, same_padded: MobileNetV2ForImageClassification, tmp_path: Path
) -> None:
    keras_file(tmp_path / "net.h5", same_padded, legacy)
    graph = load_source(str(tmp_path / "net.h5"), resolution=45 if legacy else None)
    assert graph.shapes["input"] == ((3, 45, 45) if legacy else (3, 64, 48))
    assert relative_difference(same_padded, graph) < 1e-4
    first = graph.nodes[0]
    assert isinstance(first, FloatConv) and first.source == "Conv1.conv"
    assert graph.preprocess.mean == (0.5,) * 3 and graph.preprocess.std == (0.5,) * 3


def test_keras_lists_every_foreign_layer(
    same_padded: MobileNetV2ForImageClassification, tmp_path: Path
) -> None:
    keras_file(tmp_path / "net.h5", same_padded, False, faults=True)
    with pytest.raises(InputError) as caught:
        load_source(str(tmp_path / "net.h5"))
    assert {p.where for p in caught.value.problems} == {"norm_a", "prelu_b"}


def test_hugging_face_folder(
    same_padded: MobileNetV2ForImageClassification, tmp_path: Path
) -> None:
    same_padded.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(tensors)
    for shard in range(2):
        part = {n: tensors[n].clone() for n in names[shard::2]}
        save_file(part, tmp_path / f"model-0000{shard + 1}-of-00002.safetensors")
    mapped = {n: f"model-0000{k % 2 + 1}-of-00002.safetensors" for k, n in enumerate(names)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapped}))
    settings = {
        "size": {"shortest_edge": 80},
        "crop_size": {"height": 64, "width": 48},
        "do_center_crop": True,
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.25, 0.3],
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    graph = load_source(str(tmp_path))
    rule = Resize("edge", (80,))
    assert graph.preprocess == Preprocess(3, 64, 48, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), rule)
    assert graph.labels == tuple(f"LABEL_{n}" for n in range(CLASSES))
    assert relative_difference(same_padded, graph) < 1e-4
