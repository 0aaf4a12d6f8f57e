"""Classes and probabilities of heads, and how ``emulate`` tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from move_cases import Joined

import shiftforge
from shiftforge.quant.data.inputs import load_frames, to_codes
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.predictions import heads_table, read_heads
from shiftforge.sim.golden.conv.network import run_golden

Generate = Callable[..., Path]


def detector() -> QuantizedModel:
    """A vector of classes behind a softmax, a single sigmoid, and a map."""
    own = Joined()
    x = own.conv("input", 16, 3)
    pooled = own.pool(x)
    named, certain, boxes = own.wide(pooled, 5), own.wide(pooled, 1), own.wide(x, 4)
    model = own.model(named, certain, boxes)
    host = {named: "softmax", certain: "sigmoid", boxes: "sigmoid"}
    return replace(model, host=host, labels=tuple("abcde"))


def test_heads_by_hand() -> None:
    model = detector()
    named, certain, boxes = model.outputs
    step = 2.0 ** -model.tensors[named].grid.exponent
    codes = {
        named: np.array([[0, 0, np.log(3) * step, 0, 0], [step, 0, 0, 0, 0]]).reshape(2, 5, 1, 1),
        certain: np.array([-step, 0]).reshape(2, 1, 1, 1),
        boxes: np.zeros((2, 4, 9, 10)),
    }
    first, second, third = read_heads(model, codes)
    assert first.classes == (2, 0) and second.classes == (0, 0)
    assert first.shares == pytest.approx((3 / 7, np.e / (np.e + 4)))
    assert second.shares == pytest.approx((1 / (1 + np.exp(-1)), 0.5))
    assert third.shape == (4, 9, 10) and third.classes == third.shares == ()
    columns, rows = heads_table(["x", "y"], model.labels, [own.to_dict() for own in
                                                           (first, second, third)])  # fmt: skip
    assert columns == ("sample", f"class of {named}", f"class of {certain}")
    assert rows == [("x", "2 c (42.9%)", "0 (73.1%)"), ("y", "0 a (40.5%)", "0 (50.0%)")]
    plain = read_heads(replace(model, host={}), codes)
    assert plain[0].classes == (2, 0) and plain[0].shares == ()


@pytest.mark.device("pocl")
def test_emulate_tells_every_head(generated: Generate) -> None:
    model = detector()
    folder = generated(model, 8, 2)
    found = shiftforge.emulate(folder, "pocl", input="random:3", limit=2)
    frames = load_frames("random:3", model.preprocess, limit=2).images
    golden = run_golden(model, to_codes(frames, model.preprocess, model.tensors[model.input].grid))
    wanted = [head.to_dict() for head in read_heads(model, golden)]
    assert found.facts["heads"] == wanted
    assert found.facts["predictions"] == wanted[0]["classes"]
