"""bench/conv/labdog_second_terms.py: structures of choice, the crossing, the picture."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from word_plans import shallow_graph, stand_in

from shiftforge.quant.calibrate.importance import Gains
from shiftforge.quant.calibrate.second_choice import SecondChoice


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "conv" / "labdog_second_terms.py"
    spec = importlib.util.spec_from_file_location("labdog_second_terms", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["labdog_second_terms"] = module
    spec.loader.exec_module(module)
    return module


def random_gains() -> dict[str, Gains]:
    rng = np.random.default_rng(0)
    convs = [node for node in shallow_graph().nodes if hasattr(node, "weight")]
    return {c.name: np.asarray(rng.random(c.weight.shape) ** 6) for c in convs}


def test_structures_keep_to_the_budget_and_rank_as_they_must(bench: ModuleType) -> None:
    gains, plan = random_gains(), stand_in()(shallow_graph(), {})
    choice = SecondChoice(plan, gains)

    def held(found: tuple[Any, float], share: float) -> float:
        masks, f = found
        assert 0 <= f <= share + 1e-9
        assert all(masks[name].shape == own.shape for name, own in gains.items())
        return sum(float(own[masks[name]].sum()) for name, own in gains.items())

    for share in (0.0, 0.1, 0.3, 0.6):
        weights = held(bench.any_weights(plan, gains, share), share)
        blocks = held(bench.any_blocks(plan, gains, share), share)
        first = held(bench.counted(plan, choice, share), share)
        alike = held(bench.one_count(plan, gains, share), share)
        # Greedy choices may leave a step's budget over.
        slack = 0.02 * sum(float(own.sum()) for own in gains.values())
        assert weights >= blocks >= first - slack
        assert first >= alike - 1e-9


def test_a_prefix_is_a_choice_of_blocks(bench: ModuleType) -> None:
    gains, plan = random_gains(), stand_in()(shallow_graph(), {})
    masks, f = bench.one_count(plan, gains, 0.3)
    counts = {name: plan.words[name].counts(mask) for name, mask in masks.items()}
    assert all(len(set(own)) == 1 for own in counts.values())
    assert plan.share(counts) == pytest.approx(f) and f > 0.2


def test_the_share_that_reaches_the_goal(bench: ModuleType) -> None:
    def measure(share: float) -> dict[str, Any]:
        return {"asked": share, "f": share, "sqnr_db": 19 + 10 * share}

    curve = [measure(share) for share in bench.SHARES]
    found = bench.searched(measure, curve)
    assert found["interpolated_f"] == pytest.approx(0.3)
    assert 0 <= found["searched"]["f"] - 0.3 < 0.011 and found["searched"]["sqnr_db"] >= 22
    assert bench.searched(measure, curve[:3]) is None


def test_the_picture_has_what_was_measured(bench: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [{"f": f, "sqnr_db": 19 + f} for f in (0.0, 0.5)]
    bench.plot({"together": {"weights_alone": rows, "any_weight": rows}, "apart": {}}, tmp_path)
    picture = tmp_path / "labdog_second_terms.png"
    first = picture.read_bytes()
    bench.plot({"together": {"weights_alone": rows, "any_weight": rows}, "apart": {}}, tmp_path)
    assert picture.read_bytes() == first
