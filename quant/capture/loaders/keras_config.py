"""The architecture in a Keras file, field by field against keras.applications' MobileNetV2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shiftforge.errors import Problem, Problems

__all__ = ["STRIDED", "read_architecture"]

STRIDED = {"Conv1", "block_1_depthwise", "block_3_depthwise", "block_6_depthwise"} | {
    "block_13_depthwise"
}
BODY = {"InputLayer", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add"}
BODY |= {"ZeroPadding2D", "GlobalAveragePooling2D", "Dropout", "Reshape", "Activation"}
ONLY = "only keras.applications MobileNetV2 is read"
AGAIN = "save it again with model.save('x.h5')"
LARGEST_SIDE = 4096


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _layers(
    config: Mapping[str, Any], where: str, problems: Problems
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(class name, config, place) of every layer, nested models opened, in the file's order."""
    entries = config.get("layers")
    if not isinstance(entries, list):
        problems.append(Problem(f"layers is {_shown(entries)}, no list", AGAIN, where))
        return
    for index, entry in enumerate(entries):
        place = f"{where}.layers[{index}]"
        inner = entry.get("config") if isinstance(entry, dict) else None
        if not isinstance(inner, dict):
            problems.append(Problem(f"config is {_shown(inner)}, no object", AGAIN, place))
        elif "layers" in inner:
            yield from _layers(inner, f"{place}.config", problems)
        elif not isinstance(entry.get("class_name"), str):
            what = f"class_name is {_shown(entry.get('class_name'))}, no text"
            problems.append(Problem(what, AGAIN, place))
        elif not isinstance(inner.get("name"), str):
            problems.append(Problem(f"name is {_shown(inner.get('name'))}, no text", AGAIN, place))
        else:
            yield entry["class_name"], inner, inner["name"]


def _is_whole(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _input_shape(config: Mapping[str, Any]) -> tuple[int, int, int] | str:
    """(C, H, W), or what is wrong with it."""
    key = "batch_shape" if "batch_shape" in config else "batch_input_shape"
    batch = config.get(key)
    if not isinstance(batch, list) or len(batch) != 4:
        return f"{key} is {_shown(batch)}, not (None, height, width, channels)"
    if not all(_is_whole(n, LARGEST_SIDE) for n in batch[1:]):
        return f"{key} is {_shown(batch)}, sizes are whole numbers from 1 to {LARGEST_SIDE}"
    return batch[3], batch[1], batch[2]


def _stride(config: Mapping[str, Any]) -> int | None:
    """The stride of a convolution; None where it is none of 1 and 2."""
    strides = config.get("strides")
    if not isinstance(strides, list) or len(strides) != 2 or strides[0] != strides[1]:
        return None
    return strides[0] if _is_whole(strides[0], 2) else None


def read_architecture(
    config: Mapping[str, Any], where: str
) -> tuple[tuple[tuple[str, bool], ...], tuple[int, int, int]]:
    """(layer, has ReLU) of each dense layer, and (C, H, W) of the input.

    Raises InputError with every layer outside the layout and every field that is no good.
    """
    problems = Problems()
    head: list[tuple[str, bool]] = []
    shape: tuple[int, int, int] | None = None
    layers = list(_layers(config, where, problems))
    for index, (kind, own, name) in enumerate(layers):
        reason = ""
        if kind == "InputLayer" and shape is None:
            found = _input_shape(own)
            reason, shape = (found, (1, 1, 1)) if isinstance(found, str) else ("", found)
        elif kind == "Dense":
            activation, last = own.get("activation"), index == len(layers) - 1
            head.append((name, activation == "relu"))
            if activation not in ("linear", "relu") and not (activation == "softmax" and last):
                reason = f"dense layer with activation {_shown(activation)}"
        elif kind == "ReLU" and own.get("max_value") != 6.0:
            reason = f"ReLU that clips at max_value {_shown(own.get('max_value'))}"
        elif kind == "BatchNormalization" and own.get("epsilon") != 1e-3:
            reason = f"batch norm with epsilon {_shown(own.get('epsilon'))}"
        elif "Conv2D" in kind and _stride(own) != (2 if name in STRIDED else 1):
            reason = f"strides {_shown(own.get('strides'))}, unlike MobileNetV2"
        elif kind not in BODY:
            reason = f"layer of class {_shown(kind)}"
        if reason:
            problems.append(Problem(reason, ONLY, name))
    if shape is None or not head:
        problems.append(Problem("there is no input or dense layer", "save the classifier", where))
    names = [name for name, _ in head]
    if len(set(names)) != len(names) or not all(re.fullmatch(r"[\w-]+", n) for n in names):
        what = f"dense layers are called {_shown(names)}"
        problems.append(Problem(what, "give each a name of its own, letters and digits", where))
    problems.stop()
    assert shape is not None
    return tuple(head), shape
