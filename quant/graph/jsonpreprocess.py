"""A preprocessing as JSON, in model files and in the metadata of ONNX exports."""

from __future__ import annotations

from typing import Any

from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.resizing import resize_from_json, resize_to_json
from shiftforge.quant.graph.types import Preprocess

__all__ = ["preprocess_from_json", "preprocess_to_json"]


def preprocess_to_json(taken: Preprocess) -> dict[str, Any]:
    """All its fields."""
    return {
        "channels": taken.channels,
        "height": taken.height,
        "width": taken.width,
        "mean": list(taken.mean),
        "std": list(taken.std),
        **resize_to_json(taken.resize),
    }


def preprocess_from_json(fields: Fields) -> Preprocess:
    """What ``preprocess_to_json`` made, its faults noted."""
    return Preprocess(
        fields.integer("channels"),
        fields.integer("height"),
        fields.integer("width"),
        fields.reals("mean"),
        fields.reals("std"),
        resize_from_json(fields),
    )
