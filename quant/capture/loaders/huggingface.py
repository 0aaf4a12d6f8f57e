"""A Hugging Face folder: config.json, safetensors and, where present, preprocessor_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.loaders.hf_folder import check_folder, read_json
from shiftforge.quant.capture.loaders.hf_preprocess import read_preprocess
from shiftforge.quant.capture.loaders.state import fill
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.resizing import describe
from shiftforge.quant.graph.types import Preprocess

__all__ = ["load_huggingface"]


def _preprocess(
    folder: Path, channels: int, image_size: int, resolution: int | None
) -> tuple[Preprocess, str]:
    """What preprocessor_config.json says, and a line on it; without one, pictures are squashed."""
    described = folder / "preprocessor_config.json"
    if described.exists():
        given = read_json(described)
        preprocess = read_preprocess(given, channels, image_size, str(described))
        source = described.name
    else:
        half = (0.5,) * channels
        preprocess = Preprocess(channels, image_size, image_size, half, half)
        source = f"no {described.name} is there"
    if resolution is not None:
        preprocess = preprocess.at(resolution, resolution)
    return preprocess, f"{describe(preprocess)} ({source})"


def load_huggingface(folder: Path, *, resolution: int | None = None) -> FloatGraph:
    """The folded graph of a MobileNetV2ForImageClassification folder; nothing is fetched.

    Raises InputError for a folder without configuration, weights that are pickles, damaged or
    ill-fitting, and settings that are not understood.
    """
    config, files, notes = check_folder(folder)
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
    channels = int(settings.num_channels)
    preprocess, line = _preprocess(folder, channels, int(settings.image_size), resolution)
    shape = (channels, preprocess.height, preprocess.width)
    labels = _labels(config, int(settings.num_labels))
    graph = capture(module, shape, preprocess, folder.resolve().name, labels)
    return replace(graph, notes=(*notes, line))


def _labels(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Class names in order; none where the file gives them for other numbers of classes."""
    named = config.get("id2label")
    if not isinstance(named, dict) or set(named) != {str(n) for n in range(count)}:
        return ()
    return tuple(str(named[str(n)]) for n in range(count))
