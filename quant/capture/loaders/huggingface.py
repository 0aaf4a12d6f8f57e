"""A Hugging Face folder: config.json, safetensors and, where present, preprocessor_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.loaders.hf_folder import check_folder, read_json
from shiftforge.quant.capture.loaders.state import fill
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.types import Preprocess

__all__ = ["load_huggingface"]


def _preprocess(
    settings: Mapping[str, Any], channels: int, image_size: int, resolution: int | None
) -> Preprocess:
    """Preprocessor settings as one resize and one normalisation.

    A resize followed by a centre crop becomes a resize to the crop's size.
    """
    size = settings.get("size") or {}
    if settings.get("do_center_crop", True) and settings.get("crop_size"):
        size = settings["crop_size"]
    if isinstance(size, int):
        size = {"height": size, "width": size}
    side = size.get("shortest_edge", image_size)
    height, width = int(size.get("height", side)), int(size.get("width", side))
    if resolution is not None:
        height = width = resolution
    mean, std = [0.5] * channels, [0.5] * channels
    if not settings.get("do_normalize", True):
        mean, std = [0.0] * channels, [1.0] * channels
    else:
        mean = [float(v) for v in settings.get("image_mean") or mean]
        std = [float(v) for v in settings.get("image_std") or std]
    # (pixel * factor - mean) / std, brought to the form (pixel / 255 - mean) / std.
    factor = float(settings.get("rescale_factor", 1 / 255))
    unit = (factor if settings.get("do_rescale", True) else 1.0) * 255
    if abs(unit - 1) > 1e-6:
        mean, std = [v / unit for v in mean], [v / unit for v in std]
    if len(mean) != channels or len(std) != channels or not all(v > 0 for v in std):
        raise ValueError(f"it normalises {len(mean)} channels, the network takes {channels}")
    return Preprocess(channels, height, width, tuple(mean), tuple(std))


def load_huggingface(folder: Path, *, resolution: int | None = None) -> FloatGraph:
    """The folded graph of a MobileNetV2ForImageClassification folder; nothing is fetched.

    Raises InputError for a folder without configuration, weights that are pickles, damaged or
    ill-fitting, and settings that are not understood.
    """
    config, files = check_folder(folder)
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    tensors: dict[str, torch.Tensor] = {}
    try:
        for file in files:
            tensors.update(load_file(file))
        settings: Any = MobileNetV2Config.from_dict(config)
        module = MobileNetV2ForImageClassification(settings)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(
            Problem(f"it cannot be loaded: {error}", "save the model again", str(folder))
        ) from error
    fill(module, tensors, str(folder))
    described = folder / "preprocessor_config.json"
    given = read_json(described) if described.is_file() else {}
    channels = int(settings.num_channels)
    try:
        preprocess = _preprocess(given, channels, int(settings.image_size), resolution)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            Problem(f"its settings are not understood: {error}", "mend it", str(described))
        ) from error
    shape = (channels, preprocess.height, preprocess.width)
    labels = _labels(config, int(settings.num_labels))
    return capture(module, shape, preprocess, folder.resolve().name, labels)


def _labels(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Class names in order; none where the file gives them for other numbers of classes."""
    named = config.get("id2label")
    if not isinstance(named, dict) or set(named) != {str(n) for n in range(count)}:
        return ()
    return tuple(str(named[str(n)]) for n in range(count))
