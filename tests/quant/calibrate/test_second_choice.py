"""Second words within a budget: best runs, monotone, never above it, against brute force."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from calibrate_cases import small_graph, smooth_images
from word_plans import stand_in

from shiftforge.quant.calibrate.channel_orders import channel_orders
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.importance import Gains, importance, two_term_gains
from shiftforge.quant.calibrate.second_choice import (
    SecondChoice,
    _best_runs,
    block_gains,
    layer_options,
)
from shiftforge.quant.second_words import MOST_RUNS, SecondWords, WordPlan


def words(groups: int, blocks: int, cycles: int, each: int = 2) -> SecondWords:
    group = np.repeat(np.arange(groups), each).astype(np.int32)
    block = np.broadcast_to(np.arange(blocks)[None, :, None, None], (len(group), blocks, 1, 1))
    return SecondWords(group, block.astype(np.int32), blocks, cycles)


def random_gains(rng: np.random.Generator, own: SecondWords) -> Gains:
    shape = own.block.shape
    return np.asarray(rng.random(shape) ** 3 * 0.5 ** rng.integers(0, 6, shape))


def every(own: SecondWords) -> list[tuple[int, ...]]:
    return list(product(range(own.blocks + 1), repeat=own.groups))


def gain_of(own: SecondWords, gains: Gains, counts: tuple[int, ...]) -> float:
    return float(gains[own.allowed(counts)].sum())


@pytest.mark.parametrize("seed", range(12))
def test_the_best_runs_at_a_price(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = words(6, 2, 1)
    gains = random_gains(rng, own)
    total = np.cumsum(block_gains(own, gains), axis=1)
    total = np.concatenate([np.zeros((6, 1)), total], axis=1)
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(total, axis=0)])
    for price in (0.0, *rng.random(6) * 0.6):
        found = _best_runs(sums, float(price))
        assert np.count_nonzero(np.diff(found)) < MOST_RUNS

        def value(counts: tuple[int, ...], price: float = float(price)) -> float:
            return gain_of(own, gains, counts) - price * own.added_cycles(counts)

        assert value(found) == pytest.approx(max(map(value, every(own))), abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_small_cases_against_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = {
        name: words(int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(cycles))
        for name, cycles in zip("abc", (0, *rng.integers(1, 5, 2)), strict=True)
    }
    gains = {name: random_gains(rng, own) for name, own in layers.items()}
    plan = WordPlan(layers, 40)
    choice = SecondChoice(plan, gains)
    tables = {
        name: [(own.added_cycles(c), gain_of(own, gains[name], c)) for c in every(own)]
        for name, own in layers.items()
    }
    before = -1.0
    for budget in range(42):
        counts = choice.counts(budget / 40)
        cycles = sum(layers[n].added_cycles(c) for n, c in counts.items())
        found = sum(gain_of(layers[n], gains[n], c) for n, c in counts.items())
        assert cycles <= budget
        assert found == pytest.approx(choice.gain(counts))
        assert found >= before
        before = found
        best = max(
            sum(g for _, g in parts)
            for parts in product(*tables.values())
            if sum(c for c, _ in parts) <= budget
        )
        assert found == pytest.approx(best)


def test_options_rise_and_the_first_is_free() -> None:
    rng = np.random.default_rng(0)
    own = words(9, 5, 7)
    options = layer_options(own, random_gains(rng, own))
    assert options[0].cycles == 0 and options[-1].counts == (5,) * 9
    for left, right in pairwise(options):
        assert left.cycles < right.cycles and left.gain < right.gain
    assert all(np.count_nonzero(np.diff(o.counts)) < MOST_RUNS for o in options)


def test_words_without_gain_are_left_out_even_where_they_are_free() -> None:
    own, paid = words(2, 3, 0), words(2, 3, 5)
    gains = np.zeros(own.block.shape)
    gains[0, 1] = 1.0  # the first group's second block
    assert [o.counts for o in layer_options(own, gains)] == [(2, 0)]
    assert [o.counts for o in layer_options(paid, gains * 0)] == [(0, 0)]
    assert layer_options(paid, gains)[-1].counts == (2, 0)


def test_a_network_meets_its_shares_from_below_and_orders_help() -> None:
    graph = small_graph()
    found = importance(graph, normalise(smooth_images(4), graph.preprocess))
    gains = two_term_gains(graph, found, 4)
    planner = stand_in()
    own = planner(graph, {})
    orders = channel_orders(graph, gains, own)
    sorted_plan = planner(graph, orders)
    plain, better = SecondChoice(own, gains), SecondChoice(sorted_plan, gains)
    before = -1.0
    for share in np.linspace(0, 1, 41):
        counts = better.counts(float(share))
        f = sorted_plan.share(counts)
        assert f <= share and (f > share - 0.01 or f == pytest.approx(better.most))
        assert better.gain(counts) >= max(before, plain.gain(plain.counts(float(share))))
        before = better.gain(counts)
        for name, each in counts.items():
            assert np.count_nonzero(np.diff(each)) < MOST_RUNS, name


def test_what_free_words_add_once_is_in_the_budget() -> None:
    """A layer whose words are free but for one cycle, beside one whose words cost five each."""
    block = np.arange(4, dtype=np.int32).reshape(1, 4, 1, 1)
    free = SecondWords(np.zeros(1, np.int32), block, 4, 0, once=1)
    dear = SecondWords(np.zeros(1, np.int32), block, 4, 5)
    plan = WordPlan({"dear": dear, "free": free}, one_term_cycles=100)
    gains = {"dear": np.full((1, 4, 1, 1), 9.0), "free": np.ones((1, 4, 1, 1))}
    choice = SecondChoice(plan, gains)
    for share, wanted in (
        (0.0, (0, 0)),
        (0.01, (0, 4)),
        (0.05, (1, 0)),
        (0.06, (1, 4)),
        (1.0, (4, 4)),
    ):
        counts = choice.counts(share)
        assert (counts["dear"], counts["free"]) == ((wanted[0],), (wanted[1],))
        assert plan.share(counts) <= share
