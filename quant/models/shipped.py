"""The demonstration network's codes as retrained with DTSSQ; README.md here says how.

Which weights have two terms was chosen by weight word in training; the file holds the channel
orders that belong to it, and integers alone (0.6 MB). The float network beside them, which
comparisons run, is the shipped checkpoint with its channel ranges evened out as they were before
training.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files

from shiftforge.quant.calibrate.equalise import equalise
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.data.inputs import load_frames
from shiftforge.quant.graph.file import load_model
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.models import fashion

__all__ = ["CALIBRATION", "FILE", "dtssq_model", "without_floats"]

FILE = f"{fashion.NAME}_dtssq.safetensors"
# The first training images, which ship with the project: they gave ranges and activation grids.
CALIBRATION = 256


def without_floats(model: QuantizedModel) -> QuantizedModel:
    """The integers alone."""
    return replace(model, floats={})


def dtssq_model() -> QuantizedModel:
    """The shipped integer network, with its float network for comparison."""
    with as_file(files("shiftforge.quant.models") / FILE) as path:
        model = load_model(path)
    frames = load_frames("fashion-mnist:train", fashion.PREPROCESS, limit=CALIBRATION)
    images = normalise(frames.images, fashion.PREPROCESS)
    scaled = equalise(fashion.float_graph(), images, mode="exact")
    floats = {}
    for node in scaled.nodes:
        if isinstance(node, FloatConv):
            floats[f"{node.name}.weight"] = node.weight
            floats[f"{node.name}.bias"] = node.bias
    return replace(model, floats=floats)
