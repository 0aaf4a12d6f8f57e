"""A Hugging Face folder: config.json, safetensors and, where present, preprocessor_config.json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.loaders.hf_config import network_config
from shiftforge.quant.capture.loaders.hf_folder import check_folder, read_json
from shiftforge.quant.capture.loaders.hf_preprocess import read_preprocess
from shiftforge.quant.capture.loaders.state import check_fit, fill
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.settle import settled
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


def load_huggingface(
    folder: Path, *, resolution: int | None = None, settle: str | None = None
) -> FloatGraph:
    """The folded graph of a MobileNetV2ForImageClassification folder; nothing is fetched.

    settle: frames that batch norms are settled on, see ``settled``.

    Raises InputError for a folder without configuration, weights that are pickles, damaged or
    ill-fitting, and settings that are not understood.
    """
    config, files, notes = check_folder(folder)
    from safetensors.torch import load_file
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    where = str(folder)
    tensors: dict[str, torch.Tensor] = {}
    try:
        for file in files:
            tensors.update(load_file(file))
    except Exception as error:  # the library's own kinds, and the system's
        raise InputError(
            Problem(f"it cannot be loaded: {reason(error)}", "save the model again", where)
        ) from error
    head = tensors.get("classifier.weight")
    outputs = None if head is None or head.ndim != 2 else int(head.shape[0])
    known, labels = network_config(config, outputs, str(folder / "config.json"))
    try:
        settings: Any = MobileNetV2Config.from_dict(known.settings(outputs or 1))
        # Without memory first: what the configuration claims has to be what the weights are.
        with torch.device("meta"):
            check_fit(MobileNetV2ForImageClassification(settings), tensors, where)
        module = MobileNetV2ForImageClassification(settings)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            Problem(f"it cannot be made: {reason(error)}", "save the model again", where)
        ) from error
    fill(module, tensors, where)
    preprocess, line = _preprocess(folder, known.num_channels, known.image_size, resolution)
    shape = (known.num_channels, preprocess.height, preprocess.width)
    ready = module if settle is None else settled(module, preprocess, settle)
    graph = capture(ready, shape, preprocess, folder.resolve().name, labels)
    return replace(graph, notes=(*notes, line))
