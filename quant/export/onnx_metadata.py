"""What an ONNX model carries for who reads it back: preprocessing, labels, the host's part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.jsonpreprocess import preprocess_to_json
from shiftforge.quant.graph.types import QuantizedModel

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["METADATA", "write_metadata"]

METADATA = "shiftforge."
"""What the keys of a model's own metadata begin with."""


def write_metadata(model: ModelProto, graph: FloatGraph | QuantizedModel, **more: Any) -> None:
    """Put these into a model, each as JSON under a key of its own. more: others by name."""
    carried = {
        "preprocess": preprocess_to_json(graph.preprocess),
        "labels": list(graph.labels),
        "host": dict(graph.host),
        "nodes": [[node.name, node.source] for node in graph.nodes],
        **more,
    }
    for what, own in carried.items():
        model.metadata_props.add(key=f"{METADATA}{what}", value=json.dumps(own))
