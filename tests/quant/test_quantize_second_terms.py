"""quantize() with chosen weights of two terms: shares, variants, the smallest share, refusals."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from calibrate_cases import smooth_images
from word_plans import shallow_graph, stand_in

from shiftforge.errors import InputError
from shiftforge.quant import second_terms
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.evaluate import evaluate
from shiftforge.quant.formats.shift import term_count
from shiftforge.quant.graph.file import load_model, model_bytes, save_model
from shiftforge.quant.graph.types import QuantizedModel, ShiftFormat
from shiftforge.quant.graph.variants import with_variant
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.quantisation import Quantisation
from shiftforge.quant.quantize import quantize
from shiftforge.quant.second_terms import second_counts

SHARES = (0.3, 0.1, 0.0)


@cache
def chosen(**options: Any) -> QuantizedModel:
    how = Quantisation(**options)
    return quantize(shallow_graph(), smooth_images(4, size=16), how, planner=stand_in())


def test_a_file_holds_all_shares(tmp_path: Any) -> None:
    model = chosen(second_terms=SHARES)
    verify(model)
    told = model.meta["second_terms"]
    assert told["asked"] == sorted(SHARES) and len(model.variants) == 2
    assert told["array"] == {"board": "a10gx1150", "units": 16, "pixels": 7}
    assert [c["f"] for c in told["choices"]] == [
        *(v.second_terms for v in model.variants),
        told["f"],
    ]
    assert model.orders and model.input not in model.orders
    plan = stand_in()(shallow_graph(), model.orders)
    assert told["one_term_cycles"] == plan.one_term_cycles
    images = smooth_images(4, size=16)
    for share, facts in zip(sorted(SHARES), told["choices"], strict=True):
        own = with_variant(model, facts["f"])
        verify(own)
        f = plan.share(second_counts(own, plan))
        assert f == facts["f"] <= share and f > share - 0.02
        assert facts["second_term_cycles"] == round(f * plan.one_term_cycles)
        assert own.meta["second_terms"]["second_term_cycles"] == facts["second_term_cycles"]
        assert evaluate(own, images).sqnr_db == pytest.approx(facts["sqnr_db"], abs=0.01)
        for conv in own.conv_nodes():
            assert conv.format in (ShiftFormat(4, 2, "SEL"), ShiftFormat(4, 1, "S1"))
    dbs = [facts["sqnr_db"] for facts in told["choices"]]
    assert dbs[0] < dbs[-1]
    save_model(model, tmp_path / "m.safetensors")
    assert model_bytes(load_model(tmp_path / "m.safetensors")) == model_bytes(model)


def test_the_same_input_gives_the_same_bytes() -> None:
    again = quantize(
        shallow_graph(),
        smooth_images(4, size=16),
        Quantisation(second_terms=SHARES),
        planner=stand_in(),
    )
    assert model_bytes(again) == model_bytes(chosen(second_terms=SHARES))


def test_a_fault_in_the_weights_shows_in_their_count() -> None:
    model = chosen(second_terms=(0.1,))
    plan = stand_in()(shallow_graph(), model.orders)
    counts = second_counts(model, plan)
    name, words = next(
        (n, w) for n, w in plan.words.items() if w.cycles and counts[n][-1] < w.blocks
    )
    conv = next(c for c in model.conv_nodes() if c.name == name)
    weight, format = conv.weight.copy(), ShiftFormat(4, 2, "SEL")
    weight[(words.group == words.groups - 1)] = 3
    two = term_count(weight, format) == 2
    assert words.counts(two)[-1] == words.blocks
    assert plan.share({**counts, name: words.counts(two)}) > model.meta["second_terms"]["f"]


def test_shares_that_come_to_the_same_are_one() -> None:
    model = chosen(second_terms=(0.99, 1.0))
    told = model.meta["second_terms"]
    assert not model.variants and told["asked"] == [0.99, 1.0] and len(told["choices"]) == 1


@pytest.mark.parametrize(
    "options", [{"rounding": "log"}, {"rounding": "nearest", "requant": "multiplier", "bits": 3}]
)
def test_other_roundings_and_requantisations(options: dict[str, Any]) -> None:
    model = chosen(second_terms=(0.05, 0.2), **options)
    verify(model)
    assert len(model.variants) == 1 and model.meta["second_terms"]["f"] <= 0.2


def test_the_smallest_share_that_reaches_a_ratio() -> None:
    top = chosen(second_terms=(1.0,)).meta["second_terms"]["sqnr_db"]
    low = chosen(second_terms=SHARES).meta["second_terms"]["choices"][0]["sqnr_db"]
    goal = round((low + top) / 2, 2)
    model = chosen(min_sqnr=goal)
    told = model.meta["second_terms"]
    assert told["sqnr_db"] >= goal == told["min_sqnr_db"] and not model.variants
    assert 0 < told["f"] < 1 and told["asked"] == [told["choices"][0]["asked"]]
    with pytest.raises(InputError, match=f"{top + 1:g} dB asked, {top:.2f} dB with every second"):
        chosen(min_sqnr=top + 1)


def test_trials_of_the_smallest_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A curve in place of the rounding: at most seven trials, near to where it crosses."""
    shares: list[float] = []
    nothing: Any = None
    case = second_terms.Case(*(nothing,) * 9)
    object.__setattr__(case, "choice", SimpleNamespace(most=1.0))
    for bend in (0.3, 0.6, 1.0, 2.0):
        for goal in np.linspace(18.9, 29.6, 25):

            def curve(case: Any, share: float, bend: float = bend) -> float:
                shares.append(share)
                return float(18.8 + 10.9 * share**bend)

            monkeypatch.setattr(second_terms.Case, "trial", curve)
            shares.clear()
            found, reached = case._smallest(float(goal))
            crossing = ((goal - 18.8) / 10.9) ** (1 / bend)
            assert len(shares) <= 7 and reached == curve(None, found) >= goal
            assert found - crossing < (0.025 if bend > 0.5 else 0.04)
    assert case._smallest(1.0) == (0.0, 18.8)


def test_trials_are_measured_on_images_that_they_have_not_seen() -> None:
    graph, frames = shallow_graph(), smooth_images(10, size=16)
    model = quantize(graph, frames, Quantisation(second_terms=(0.1,)), planner=stand_in())
    told = model.meta["second_terms"]
    assert told["measured_on"] == {"images": 2, "held_out": True}
    assert model.meta["calibration_images"] == 10
    few = chosen(second_terms=(0.1,)).meta["second_terms"]
    assert few["measured_on"] == {"images": 4, "held_out": False}
    rounded: list[Any] = []

    def spy(masks: Any, output: Any, some: Any) -> QuantizedModel:
        rounded.append(some)
        return model

    values = normalise(frames, graph.preprocess)
    how = Quantisation(second_terms=(0.1,))
    quiet = lambda stage, done, total: None  # noqa: E731
    case = second_terms.prepare(graph, values, frames, how, stand_in(), spy, quiet)
    case.with_shares((0.1,))
    trial, final = sorted(rounded, key=lambda some: some is None)
    assert final is None and trial.tolist() == [0, 1, 2, 4, 5, 6, 8, 9]
    assert np.array_equal(case.frames, frames[[3, 7]]) and len(case.wanted) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"second_terms": ()}, "second_terms is ()"),
        ({"second_terms": "0.1"}, "second_terms is '0.1'"),
        ({"second_terms": (0.1, None)}, "second_terms is (0.1, None)"),
        ({"second_terms": {0.1: 1}}, "second_terms is {0.1: 1}"),
        ({"second_terms": (True,)}, "second_terms is (True,)"),
        ({"second_terms": np.ones((2, 2))}, "second_terms is array"),
        (
            {"second_terms": (-0.1, 1.5, float("nan"))},
            "a share of -0.1; a share of 1.5; a share of nan",
        ),
        ({"second_terms": (0.1, 0.2, 0.1)}, "the share 0.1 twice"),
        ({"second_terms": [k / 10 for k in range(9)]}, "more than 8 shares"),
        ({"second_terms": 10**400}, "second_terms is 1"),
        ({"min_sqnr": 0}, "min_sqnr is 0"),
        ({"min_sqnr": float("inf")}, "min_sqnr is inf"),
        ({"min_sqnr": "22"}, "min_sqnr is '22'"),
        ({"min_sqnr": 22, "second_terms": 0.1}, "both second_terms and min_sqnr"),
        (
            {"min_sqnr": -1, "terms": 2, "first_last": "same", "scheme": "int"},
            "min_sqnr is -1; terms given where; first_last given where; for integer weights",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_all_at_once(options: dict[str, Any], said: str) -> None:
    found = [problem.what for problem in Quantisation(**options).problems()]
    for part in said.split("; "):
        assert any(part in what for what in found), found


def test_good_values() -> None:
    for value in ((0.1, 0.25), [0.25, 0.1], np.array([0.25, 0.1])):
        how = Quantisation(second_terms=value)  # type: ignore[arg-type]
        assert not how.problems() and how.shares == (0.1, 0.25) and how.selects
    assert Quantisation(second_terms=0.5).shares == (0.5,)  # type: ignore[arg-type]
    assert not Quantisation(second_terms=(0, 1)).problems()
    assert not Quantisation(min_sqnr=np.float32(22)).problems()  # type: ignore[arg-type]


def test_a_planner_is_needed() -> None:
    with pytest.raises(InputError, match="no planner"):
        quantize(shallow_graph(), smooth_images(1, size=16), Quantisation(min_sqnr=22))
