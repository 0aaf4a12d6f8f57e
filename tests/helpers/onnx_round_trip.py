"""A plugin of pytest: whatever network a test captures is also exported and read back.

    pytest -p onnx_round_trip tests/quant/capture/test_capture_maps.py

A test fails where the export of its network, read back, gives another integer graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.quant.capture import export
from shiftforge.quant.capture.image_scale import fold_image_scale
from shiftforge.quant.capture.loaders.onnx import load_proto
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.export.float_onnx import export_float
from shiftforge.quant.graph.jsonform import to_json
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.quantisation import Quantisation
from shiftforge.quant.quantize import quantize

COUNT = {"captured": 0, "compared": 0, "not quantised": 0}
_true = export.capture


def integers(graph: FloatGraph) -> QuantizedModel:
    """Quantised on noise, in the quickest way."""
    taken = graph.preprocess
    shape = (4, taken.height, taken.width, taken.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    how = Quantisation(rounding="nearest", bias_correction=False, calibration="minmax")
    return quantize(graph, images, how)


def differing(graph: FloatGraph) -> list[str]:
    """What of the integer graphs differs, direct and through an ONNX file."""
    again = load_proto(export_float(graph), graph.name)
    # A reader of files brings a scale of the image into the preprocessing, as `quantize` does.
    graph = fold_image_scale(graph)
    (ours, mine), (theirs, read) = (to_json(integers(own)) for own in (graph, again))
    # Module paths are lost where that joins two nodes.
    for own in (ours, theirs):
        own["nodes"] = [{k: v for k, v in node.items() if k != "source"} for node in own["nodes"]]
    told = {"meta", "arrays_sha256"}
    found = [key for key in ours if key not in told and ours[key] != theirs.get(key)]
    found += sorted(set(mine) ^ set(read))
    return found or [
        name for name in mine
        if not name.startswith("float/") and not np.array_equal(mine[name], read[name])
    ]  # fmt: skip


def capture(*arguments: Any, **named: Any) -> FloatGraph:
    """As the true one, and held against its export."""
    graph = _true(*arguments, **named)
    COUNT["captured"] += 1
    export.capture = _true
    try:
        try:
            integers(graph)
        except InputError:  # no integer graph holds it: nothing to compare
            COUNT["not quantised"] += 1
            return graph
        assert differing(graph) == []
        COUNT["compared"] += 1
    finally:
        export.capture = capture
    return graph


export.capture = capture


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many networks went through."""
    told = ", ".join(f"{n} {what}" for what, n in COUNT.items())
    terminalreporter.write_line(f"networks: {told}")
