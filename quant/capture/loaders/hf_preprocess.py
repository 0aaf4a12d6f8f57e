"""preprocessor_config.json as transformers' image processors take it.

What is left out, or null, has the value of the processor's class. What would change the pixels and
is not known here is refused; nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.resizing import LARGEST_SIDE
from shiftforge.quant.graph.types import Preprocess, Resize

__all__ = ["read_preprocess"]

_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # as PIL numbers them
_WARP = 384
"""ConvNext's processor crops below this size and squashes from it on."""

_COMMON: dict[str, Any] = {
    "do_resize": True,
    "resample": 2,
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": 0.5,
    "image_std": 0.5,
    "do_convert_rgb": False,
    "default_to_square": True,
}
_MOBILENET = {
    "size": {"shortest_edge": 256},
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "default_to_square": False,
}
_CLASSES: dict[str, dict[str, Any]] = {
    "MobileNetV2": _MOBILENET,
    "MobileNetV1": _MOBILENET,
    "ViT": {"size": {"height": 224, "width": 224}},
    "ConvNext": {
        "size": {"shortest_edge": 384},
        "resample": 3,
        "crop_pct": 224 / 256,
        "default_to_square": False,
    },
}
_ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")
# None of these changes a pixel of a picture that is classified.
_IGNORED = frozenset(
    {
        "image_processor_type", "feature_extractor_type", "processor_class", "auto_map",
        "do_reduce_labels", "reduce_labels", "data_format", "input_data_format", "return_tensors",
        "device", "disable_grouping", "model_input_names", "pad_size", "image_seq_length",
        "transformers_version",
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Settings:
    """The file's settings over its class's; each reader raises ValueError for what is none."""

    given: Mapping[str, Any]
    usual: Mapping[str, Any]

    def raw(self, key: str) -> Any:
        value = self.given.get(key)
        return self.usual.get(key) if value is None else value

    def flag(self, key: str) -> bool:
        value = self.raw(key)
        if not isinstance(value, bool):
            raise ValueError(f"{key} is {value!r}, not true or false")
        return value

    def number(self, key: str) -> float:
        value = self.raw(key)
        if not _is_number(value) or value <= 0:
            raise ValueError(f"{key} is {value!r}, not a number above 0")
        return float(value)

    def values(self, key: str, count: int) -> list[float]:
        value = self.raw(key)
        held = value if isinstance(value, list) else [value] * count
        if not all(_is_number(v) for v in held):
            raise ValueError(f"{key} is {value!r}, not a list of numbers")
        if len(held) != count:
            raise ValueError(f"{key} has {len(held)} values, the network takes {count} channels")
        return [float(v) for v in held]

    def size(self, key: str, square: bool) -> dict[str, int]:
        """{"height", "width"} or {"shortest_edge"}."""
        value = self.raw(key)
        if isinstance(value, list) and len(value) == 2:
            value = {"height": value[0], "width": value[1]}
        elif not isinstance(value, dict):
            value = {"height": value, "width": value} if square else {"shortest_edge": value}
        value = {name: side for name, side in value.items() if side is not None}
        if set(value) not in ({"height", "width"}, {"shortest_edge"}):
            raise ValueError(
                f"{key} has {', '.join(map(str, value)) or 'nothing'}, not height and width or "
                "shortest_edge"
            )
        for name, side in value.items():
            if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= LARGEST_SIDE:
                raise ValueError(f"{key}'s {name} is {side!r}, not 1 to {LARGEST_SIDE}")
        return value


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 1e30
        and math.isfinite(value)
    )


def read_preprocess(
    given: Mapping[str, Any], channels: int, image_size: int, where: str
) -> Preprocess:
    """The preprocessing of a preprocessor_config.json, for a network of so many channels.

    image_size: side of the input where the file neither resizes nor crops. Raises InputError with
    everything that is not understood.
    """
    kind = given.get("image_processor_type") or given.get("feature_extractor_type")
    name = "MobileNetV2" if kind is None else _stem(kind)
    faults = []
    if name not in _CLASSES:
        known = ", ".join(f"{n}ImageProcessor" for n in _CLASSES)
        faults.append(f"the processor {kind!r} is not known ({known} are)")
    usual = {**_COMMON, **_CLASSES.get(name, {})}
    foreign = sorted(
        key for key, value in given.items()
        if key not in {*usual, "size", "crop_size"} | _IGNORED and value not in (None, False)
    )  # fmt: skip
    if foreign:
        faults.append(f"settings that are not understood: {', '.join(foreign)}")
    settings = _Settings(given, usual)
    preprocess = None
    try:
        geometry = _geometry(settings, image_size)
    except ValueError as error:
        faults.append(str(error))
        geometry = (1, 1, Resize())
    try:
        mean, std = _normalisation(settings, channels)
        height, width, resize = geometry
        preprocess = Preprocess(channels, height, width, mean, std, resize)
    except ValueError as error:
        faults.append(str(error))
    if faults or preprocess is None:
        remedy = "mend it; size as {height, width} squashes, shortest_edge with crop_size crops"
        raise InputError(
            [
                Problem(f"its settings are not understood: {fault}", remedy, where)
                for fault in faults
            ]
        )
    return preprocess


def _stem(kind: Any) -> str:
    text = str(kind)
    return next((text.removesuffix(end) for end in _ENDINGS if text.endswith(end)), text)


def _geometry(settings: _Settings, image_size: int) -> tuple[int, int, Resize]:
    """(height, width, how pictures come to it)."""
    number = settings.raw("resample")
    if type(number) is not int or number not in range(len(_FILTERS)):
        raise ValueError(f"resample is {number!r}, not one of PIL's 0 to {len(_FILTERS) - 1}")
    words: dict[str, Any] = {
        "filter": _FILTERS[number],
        "alpha": "white" if settings.flag("do_convert_rgb") else "drop",
    }
    crop = settings.size("crop_size", True) if settings.flag("do_center_crop") else None
    if crop is not None and "height" not in crop:
        raise ValueError("crop_size has shortest_edge, not height and width")
    if not settings.flag("do_resize"):
        if crop is None:
            return image_size, image_size, Resize("exact", **words)
        return crop["height"], crop["width"], Resize("none", **words)
    size = settings.size("size", settings.flag("default_to_square"))
    edge = size.get("shortest_edge")
    if "crop_pct" in settings.usual:
        if edge is None:
            raise ValueError("size of a ConvNext processor has no shortest_edge")
        if edge < _WARP and crop is not None:
            raise ValueError("crop_pct and do_center_crop would crop twice")
        if edge < _WARP:
            larger = int(edge / settings.number("crop_pct"))
            return edge, edge, Resize("edge", (larger,), **words)
        size, edge = {"height": edge, "width": edge}, None
    if edge is not None:
        if crop is None:
            raise ValueError(
                "size has shortest_edge and nothing is cropped, so that every picture would keep a "
                "size of its own (set do_center_crop and crop_size)"
            )
        return crop["height"], crop["width"], Resize("edge", (edge,), **words)
    sides = (size["height"], size["width"])
    if crop is None or crop == size:
        return *sides, Resize("squash", **words)
    return crop["height"], crop["width"], Resize("squash", sides, **words)


def _normalisation(
    settings: _Settings, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) for pixels of 0..1."""
    mean, std = [0.0] * channels, [1.0] * channels
    if settings.flag("do_normalize"):
        mean, std = settings.values("image_mean", channels), settings.values("image_std", channels)
    if not all(v > 0 for v in std):
        raise ValueError(f"image_std is {std}, not above 0")
    factor = settings.number("rescale_factor") if settings.flag("do_rescale") else 1.0
    if factor != 1 / 255:
        # (pixel * factor - mean) / std, brought to the form (pixel / 255 - mean) / std.
        mean, std = [v / (factor * 255) for v in mean], [v / (factor * 255) for v in std]
    return tuple(mean), tuple(std)
