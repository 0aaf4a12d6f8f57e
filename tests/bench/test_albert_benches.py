"""The benches of ALBERT-base's sizes and of powers of two against AF8: counts and files."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftforge.quant.albert.network.random import random_albert
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.training.texts import chosen_fold, validation_part
from shiftforge.quant.text.catalogue import load_corpus

ROOT = Path(__file__).parents[2]
SHAPE = Shape(hidden=32, heads=2, ffn=64, layers=2, length=8, embedding=16, vocabulary=20)
MATRICES = 32 * 16 + 4 * 32 * 32 + 2 * 32 * 64 + 2 * 3 * 32
CHANNELS = 32 + 4 * 32 + 64 + 32 + 2 * 3


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))

    def module(name: str) -> Any:
        return import_module(f"bench.{name}")

    return module


@pytest.mark.parametrize(
    ("weights", "width", "exponents"),
    [("af", 8, 7 + 2), ("shift1", 4, CHANNELS), ("shift2", 8, CHANNELS)],
)
def test_bits_of_weights(bench: Any, weights: Any, width: int, exponents: int) -> None:
    network = random_albert(SHAPE, weights, 3)
    dense, stored, words = bench("edgebert.shift_against_af").weight_bits(network, 16)
    assert dense == MATRICES * width + 8 * exponents
    linears = [*network.linears.values(), *network.ramps]
    zeros = sum(int(np.isin(m.codes, (0, 8, 0x80, 0x88)).sum()) for m in linears)
    if weights == "af":
        zeros = sum(int(np.isin(m.codes, (0, 0x80)).sum()) for m in linears)
    assert stored == MATRICES + (MATRICES - zeros) * width + 8 * exponents
    assert words >= 20 * 16  # at least the mask


def test_results_are_kept_side_by_side(bench: Any, tmp_path: Path) -> None:
    path, keep = tmp_path / "base.json", bench("edgebert.albert_base").keep
    keep(path, "a", {"cycles": 1})
    keep(path, "b", {"cycles": 2})
    keep(path, "a", {"cycles": 3})
    assert json.loads(path.read_text()) == {"a": {"cycles": 3}, "b": {"cycles": 2}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["base.json"]


@pytest.mark.parametrize("split", [0, 3])
def test_the_predictor_is_fitted_on_texts_that_did_not_train(bench: Any, split: int) -> None:
    """Training leaves out the validation part of its own split."""
    corpus = load_corpus("sentiment")
    fitting, held = bench("albert_study.latency").places(corpus, 1, split)
    fold = chosen_fold(corpus, 1, split)
    trained, _ = validation_part(fold, corpus.labels, seed=split)
    assert len(fitting) and not np.isin(fitting, trained).any()
    assert np.array_equal(held, fold.held_out) and not np.isin(fitting, held).any()


def test_exits_are_told_apart_by_what_causes_them(bench: Any) -> None:
    study = bench("edgebert.early_exit")
    sure, unsure = [4.0, 0.0], [0.1, 0.0]  # 0.09 and 0.69 nats
    floats = np.array([[sure, sure], [unsure, sure], [sure, sure]])
    # The second text's integers are surer than the float network, the third's entropy unit errs.
    integers = np.array([[sure, sure], [sure, sure], [sure, sure]])
    entropies = np.array([[0.09, 0.09], [0.09, 0.09], [0.6, 0.09]])
    texts = study.Texts(floats, integers, entropies, np.array([0, 0, 1]))
    (point,) = study.points(texts, [0.3])
    assert (point.differ, point.by_logits, point.by_entropy) == (2, 1, 1)
    assert (point.earlier, point.later) == (1, 1)
    assert point.layer == pytest.approx((4 / 3, 4 / 3)) and point.accuracy == (2 / 3, 2 / 3)
    assert point.flips == (0, 0) and point.p == 1.0


def test_a_study_that_broke_off_goes_on(bench: Any, tmp_path: Path) -> None:
    kept, work = bench("edgebert.early_exit")._kept, tmp_path / "work.jsonl"
    assert list(kept(work, "mine")) == []
    lines = [{"key": "mine", "text": 0}, {"key": "other", "text": 1}, {"key": "mine", "text": 2}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    work.write_text(text + '{"key": "mine", "text": 3, "floa')
    assert [index for index, _ in kept(work, "mine")] == [0, 2]
