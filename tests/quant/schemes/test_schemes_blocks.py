"""Block masks: isotonic scores, prefixes, budgets of cycles, and the gradient of the threshold."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from shiftforge.quant.schemes.base import Site
from shiftforge.quant.schemes.blocks import BlockMask, Candidates, block_tightening
from shiftforge.quant.schemes.dtssq import DTSSQ, DtssqQuantiser
from shiftforge.quant.schemes.folded import ParametrisedWeight
from shiftforge.quant.schemes.isotonic import non_increasing
from shiftforge.quant.second_words import SecondWords

GENERATOR = np.random.default_rng


def words(out: int, ins: int, cycles: int, units: int = 4, taps: int = 3) -> SecondWords:
    """Pointwise: units outputs by taps inputs a word."""
    group = (np.arange(out) // units).astype(np.int32)
    block = np.broadcast_to((np.arange(ins) // taps)[None, :, None, None], (out, ins, 1, 1))
    return SecondWords(group, block.astype(np.int32), -(-ins // taps), cycles)


def pooled(scores: list[float]) -> list[float]:
    """Pool adjacent violators, as it is usually told."""
    pools: list[list[float]] = []
    for value in scores:
        pools.append([value])
        while len(pools) > 1 and np.mean(pools[-2]) < np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    return [float(np.mean(pool)) for pool in pools for _ in pool]


def layer(
    seed: int, out: int = 10, ins: int = 14, cycles: int = 3, unit: float = 4.0, total: int = 1000
) -> ParametrisedWeight:
    """A layer of DTSSQ that decides by block, as the training functions see it."""
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, ins, 1, 1, generator=draw)
    quantiser = DTSSQ(target=0.2, rescale=False, every=1).weight_quantiser(weight, f"layer{seed}")
    assert isinstance(quantiser, DtssqQuantiser)
    importance = torch.rand(weight.shape, generator=draw) + 0.01
    quantiser.take_words(BlockMask(words(out, ins, cycles), total, importance), unit)
    return ParametrisedWeight(weight, quantiser)


def held(site: Site) -> DtssqQuantiser:
    assert isinstance(site.quantiser, DtssqQuantiser)
    return site.quantiser


def two(site: Site) -> np.ndarray:
    """Weights of two terms, by their integers."""
    ints = np.abs(site.quantiser.integers(site.weight).numpy().astype(np.int64))  # type: ignore[operator]
    return (ints & (ints - 1)) != 0


@pytest.mark.parametrize("seed", range(20))
def test_isotonic_scores_are_pooled_violators(seed: int) -> None:
    scores = GENERATOR(seed).integers(0, 6, (7, 1 + seed % 9)).astype(np.float64)
    found = non_increasing(torch.from_numpy(scores)).numpy()
    for row, wanted in zip(found, scores, strict=True):
        np.testing.assert_allclose(row, pooled(list(wanted)), rtol=0, atol=1e-12)
    assert (np.diff(found, axis=1) <= 0).all()


def test_isotonic_scores_are_nearest_of_all_non_increasing_sequences() -> None:
    values = [0.0, 1.0, 2.0, 3.0]
    falling = [s for s in itertools.product(np.arange(0, 3.01, 0.25), repeat=4) if _falls(s)]
    for scores in itertools.product(values, repeat=4):
        found = non_increasing(torch.tensor([scores], dtype=torch.float64))[0].numpy()
        best = min(float(np.square(np.subtract(s, scores)).sum()) for s in falling)
        assert float(np.square(found - scores).sum()) <= best + 1e-12


def _falls(sequence: tuple[float, ...]) -> bool:
    return all(a >= b for a, b in itertools.pairwise(sequence))


def test_scores_are_weighted_means_over_all_places_of_a_word() -> None:
    own = words(6, 7, 1, units=4, taps=3)
    draw = GENERATOR(3)
    importance, square = draw.random((6, 7, 1, 1)), draw.random((6, 7, 1, 1))
    mask = BlockMask(own, 10, torch.from_numpy(importance))
    found = mask.scores(torch.from_numpy(square)).numpy()
    relative = importance / importance.mean()
    for group in range(2):
        inside = own.group[:, None, None, None] == group
        sums = [float((relative * square)[inside & (own.block == b)].sum()) for b in range(3)]
        np.testing.assert_allclose(found[group], pooled([s / 12 for s in sums]), rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_what_has_two_terms_is_a_prefix_of_every_group(seed: int) -> None:
    site = layer(seed, out=24, ins=20).site
    quantiser = held(site)
    assert quantiser.blocks is not None
    for t in (0.1, 1.0, 4.0, 10.0, 40.0):
        quantiser.unit.fill_(t)
        counts = quantiser.counts(site.weight)
        allowed = quantiser.blocks.words.allowed(counts)
        assert not (two(site) & ~allowed).any()
        # Within those words every second term that there is is taken.
        first, second, _ = quantiser.parts(site.weight)
        wanted = first + second * torch.from_numpy(allowed)
        assert torch.equal(quantiser.integers(site.weight), wanted)
        raw = quantiser.blocks.scores(quantiser.parts(site.weight)[2]) > t
        assert all(a >= int(b) for a, b in zip(counts, raw.sum(1), strict=True))
        assert 1 + np.count_nonzero(np.diff(counts)) <= 4


def test_free_words_are_all_taken_and_teach_nothing() -> None:
    parameter = layer(1, cycles=0, unit=1e6)
    site = parameter.site
    assert held(site).counts(site.weight) == (5, 5, 5)
    parameter().square().sum().backward()
    assert held(site).theta.grad is None
    assert held(site).candidates(site.weight).cycles(1.0) == 0


def test_what_free_words_add_once_counts_at_the_end() -> None:
    site, free = layer(0, cycles=1, total=100).site, layer(1, cycles=0, total=100).site
    blocks = held(free).blocks
    assert blocks is not None and blocks.once == 0
    blocks.words = replace(blocks.words, once=2)
    sites = {"a": site, "b": free}
    scheme = site.quantiser.scheme
    assert isinstance(scheme, DTSSQ)
    held(site).unit.fill_(1e-3)
    for quantiser in map(held, sites.values()):
        quantiser.budget.fill_(0.07)

    def cycles() -> int:
        found = [held(s).blocks for s in sites.values()]
        return sum(
            b.words.added_cycles(held(s).counts(s.weight))
            for b, s in zip(found, sites.values(), strict=True)
            if b is not None
        )

    scheme.tighten(sites)
    assert 7 < cycles() <= 9
    scheme.tighten(sites, last=True)
    assert cycles() <= 7
    blocks.closed = True
    assert held(free).counts(free.weight) == (0, 0, 0)


def test_the_threshold_descends_the_relaxed_objective() -> None:
    parameter = layer(2, unit=6.0)
    site, quantiser = parameter.site, held(parameter.site)
    slope = torch.randn(site.weight.shape, generator=torch.Generator().manual_seed(5))
    (parameter() * slope).sum().backward()
    assert quantiser.theta.grad is not None
    width = 1e-3
    values = []
    with torch.no_grad():
        start = quantiser.theta.clone()
        for step in (width, -width):
            # The relaxed mask's width is a constant of the step: it stays that of the start.
            scores = quantiser.scores(quantiser.parts(site.weight)[2])
            t0 = float(quantiser.unit * nn.functional.softplus(start))
            t = float(quantiser.unit * nn.functional.softplus(start + step))
            soft = (1 + torch.tanh((scores - t) / (quantiser.tau * t0))) / 2
            assert quantiser.blocks is not None
            _, second, _ = quantiser.parts(site.weight)
            change = second * quantiser.blocks.spread(soft) * quantiser.scale(site.weight)
            values.append(float((change.double() * slope).sum()))
    wanted = (values[0] - values[1]) / (2 * width) * quantiser.rate
    assert float(quantiser.theta.grad) == pytest.approx(wanted, rel=1e-3)


def candidates(seed: int, count: int = 3) -> list[Candidates]:
    draw = GENERATOR(seed)
    found = []
    for _ in range(count):
        out, ins = int(draw.integers(4, 30)), int(draw.integers(3, 13))
        own = words(out, ins, int(draw.integers(0, 4)))
        raw = torch.from_numpy(draw.random((own.groups, own.blocks)) * 3)
        found.append(Candidates(BlockMask(own, 100), non_increasing(raw)))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_thresholds_grow_by_the_least_factor_that_fits(seed: int) -> None:
    layers = candidates(seed)
    everything = sum(own.cycles(0.0) for own in layers)
    for share in (0.0, 0.1, 0.35, 0.7, 1.0):
        allowed = share * everything
        factor = block_tightening(layers, allowed)
        assert factor >= 1
        assert sum(own.cycles(factor) for own in layers) <= allowed + 1e-6
        if factor > 1:
            below = math.nextafter(factor, 0)
            assert sum(own.cycles(below) for own in layers) > allowed + 1e-6


def test_a_budget_of_cycles_is_met_from_below() -> None:
    parts = {f"layer{i}": layer(i, out=20, ins=30, cycles=1 + i, total=400) for i in range(4)}
    sites = {name: part.site for name, part in parts.items()}
    scheme = sites["layer0"].quantiser.scheme
    assert isinstance(scheme, DTSSQ)
    for quantiser in map(held, sites.values()):
        quantiser.unit.fill_(1e-3)

    def share() -> float:
        added = 0
        for site in sites.values():
            blocks = held(site).blocks
            assert blocks is not None
            added += blocks.words.added_cycles(held(site).counts(site.weight))
        return added / 400

    before = share()
    assert before > 0.9
    ratios = [float(held(s).threshold()) for s in sites.values()]
    for epoch, limit in enumerate((0.6, 0.2, 0.2, 0.2)):
        scheme.at_epoch(sites, epoch, 4)
        assert limit - 0.1 < share() <= limit + 1e-9
    after = [float(held(s).threshold()) for s in sites.values()]
    np.testing.assert_allclose(np.divide(after, ratios), after[0] / ratios[0], rtol=1e-5)
    for site in sites.values():  # what other schemes spend counts too
        blocks = held(site).blocks
        assert blocks is not None
        blocks.spent = 40
    scheme.tighten(sites)
    assert share() <= 0.1


def test_a_layer_without_words_has_no_counts() -> None:
    weight = torch.randn(4, 4, 1, 1)
    quantiser = DTSSQ().weight_quantiser(weight, "layer")
    assert isinstance(quantiser, DtssqQuantiser)
    with pytest.raises(TypeError, match="layer has no weight words"):
        quantiser.counts(weight)
    with pytest.raises(TypeError, match="layer has no weight words"):
        quantiser.candidates(weight)
