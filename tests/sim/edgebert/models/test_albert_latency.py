"""Sentence-level latency and energy: the modes, targets, and faults that the check must find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from albert_cases import integer_case, sentences
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.edgebert.energy.dvfs import Transition, alpha_power_table
from shiftforge.generator.edgebert.energy.energy import SentenceCost, UnitPower, Work, layer_works
from shiftforge.generator.edgebert.energy.unit_energy import HOROWITZ_45
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.quant.albert.exits.predictor import ExitTable, entropy_range, row_of, row_scale
from shiftforge.sim.edgebert.models import latency
from shiftforge.sim.edgebert.models.latency import (
    Outcome,
    Platform,
    Texts,
    compare_modes,
    early_exit,
    full_depth,
    latency_aware,
    longest_us,
    profile_for,
    saving,
    summarise,
)
from shiftforge.sim.edgebert.models.latency_check import check_outcomes
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl
from shiftforge.sim.golden.edgebert.dvfs import choose

LAYERS, ROWS, THRESHOLD = 6, 100, 20_000
VOLTS = alpha_power_table()
POWER = UnitPower(cycle_nj=0.1, leakage_mw=12.0, nominal=VOLTS.nominal.voltage)
PLATFORM = Platform(POWER, VOLTS)
FREE = Platform(POWER, VOLTS, Transition(0, 0, 0))


def profile(cycles: int) -> tuple[Work, ...]:
    """Layers of about so many cycles; the first has the embeddings."""
    layer = Work(cycles, 0.04 * cycles, 0.03 * cycles, 0.01 * cycles, 0.01 * cycles, 0.0, 9000.0)
    first = layer + Work(cycles // 5, 10.0, 20.0, 5.0, 2.0, 700.0, 50.0)
    return (first, layer, replace(layer, cycles=cycles + 7), *[layer] * (LAYERS - 3))


def texts(count: int = 200, seed: int = 0) -> Texts:
    """Entropies that fall at a rate of the sentence's own."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, entropy_range(5), count)
    rate = rng.uniform(0.3, 0.95, count)
    entropies = (first[:, None] * rate[:, None] ** np.arange(LAYERS)).astype(np.int64)
    labels = rng.integers(0, 5, (count, LAYERS))
    profiles = [profile(int(c)) for c in rng.choice([20_000, 50_000, 90_000], count)]
    return Texts(entropies, labels, rng.integers(0, 5, count), profiles)


def guess() -> ExitTable:
    """Later exits for higher entropies."""
    layers = np.linspace(2, LAYERS, ROWS).astype(np.uint8)
    return ExitTable(layers, row_scale(entropy_range(5), ROWS), THRESHOLD, LAYERS)


def exits(own: Texts) -> NDArray[np.int64]:
    """The layer at which each sentence leaves without a target."""
    leaves = own.entropies <= THRESHOLD
    leaves[:, -1] = True
    return leaves.argmax(axis=1) + 1


def oracle() -> tuple[Texts, ExitTable]:
    """Sentences, one a row of a table that is right about each."""
    table = guess()
    pool = texts(600, 5)
    rows = row_of(pool.entropies[:, 0], ROWS, table.scale)
    keep = [int(np.flatnonzero(rows == r)[0]) for r in range(ROWS) if (rows == r).any()]
    own = Texts(
        pool.entropies[keep], pool.labels[keep], pool.wanted[keep],
        [pool.profiles[i] for i in keep],
    )  # fmt: skip
    right = table.rows.copy()
    right[rows[keep]] = np.maximum(exits(own), 2)
    return own, replace(table, rows=right)


@pytest.mark.parametrize("factor", [0.3, 1.0, 1.5, 3.0])
@pytest.mark.parametrize(
    "platform", [PLATFORM, replace(PLATFORM, power=replace(POWER, supply=0.9))]
)
def test_the_rules_hold(factor: float, platform: Platform) -> None:
    own = texts()
    target = factor * longest_us(own, platform)
    found = latency_aware(own, platform, guess(), target)
    check_outcomes(found, own, platform, guess(), target)
    assert any(o.late for o in found) == (factor < 1)
    if factor >= 1.5:
        assert {o.point for o in found} >= {0, VOLTS.last} and not any(o.late for o in found)


def test_the_point_is_the_units() -> None:
    own, table = texts(300, 3), guess()
    for factor in (0.4, 1.0, 1.4):
        target = round(factor * longest_us(own, FREE), 3)
        for index, outcome in enumerate(latency_aware(own, FREE, table, target)):
            works = own.profiles[index]
            # 1 GHz: 1000 cycles a us.
            unit = choose(
                int(own.entropies[index, 0]), THRESHOLD, table.rows.tolist(), table.scale, LAYERS,
                max(w.cycles for w in works[1:]), round(target * 1000) - works[0].cycles,
                list(VOLTS.steps),
            )  # fmt: skip
            assert outcome.predicted == unit.layer and outcome.point == unit.point
            if unit.layer > 1:
                assert outcome.late == unit.late


def test_a_right_prediction_never_misses_a_target_that_can_be_met() -> None:
    own, table = oracle()
    base = full_depth(own, PLATFORM)
    early = early_exit(own, PLATFORM, THRESHOLD)
    target = longest_us(own, PLATFORM)
    aware = latency_aware(own, PLATFORM, table, target)
    check_outcomes(aware, own, PLATFORM, table, target)
    for index, (a, b, c) in enumerate(zip(base, early, aware, strict=True)):
        assert c.layer == b.layer == exits(own)[index] and c.label == b.label
        assert c.cost.time_us <= target * (1 + 1e-9) and not c.late
        assert c.cost.total <= b.cost.total * (1 + 1e-9) <= a.cost.total * (1 + 1e-8)
    rows = compare_modes(own, PLATFORM, table, [target, 2 * target])
    assert [row.mode for row in rows] == ["all layers", "early exit", *["latency aware"] * 2]
    assert (
        rows[1].accuracy == rows[2].accuracy
        and rows[2].met == {target: 1}
        and rows[3].met == {2 * target: 1}
    )
    assert rows[0].met == rows[1].met == {target: 1, 2 * target: 1}
    assert rows[2].layer == rows[1].layer and rows[2].predicted == rows[2].layer
    total, unit = saving(rows[0], rows[3])
    assert unit > total > 1 and saving(rows[0], rows[0]) == (1, 1)
    assert rows[3].energy <= rows[2].energy < rows[1].energy < rows[0].energy
    assert sum(rows[2].parts.values()) == pytest.approx(rows[2].energy)


def test_a_longer_target_never_costs_more_of_the_unit_than_leakage() -> None:
    own, table = texts(), guess()
    base = longest_us(own, FREE)
    rows = compare_modes(own, FREE, table, [f * base for f in (1, 1.25, 1.5, 2, 4)])[2:]
    dynamic = [row.unit - row.parts["leakage"] for row in rows]
    assert dynamic == sorted(dynamic, reverse=True)
    assert [row.latency_us for row in rows] == sorted(row.latency_us for row in rows)
    assert rows[0].latency_us > 0 and all(row.met == {row.target_us: 1} for row in rows)
    # At the lowest point nothing changes any more.
    assert len({round(row.unit, 6) for row in rows[-2:]}) == 1


def test_a_target_that_none_meets_runs_at_the_nominal_point() -> None:
    own, table = texts(), guess()
    found = latency_aware(own, PLATFORM, table, 1e-3)
    assert all(o.late and o.point == VOLTS.last for o in found)
    result = summarise("latency aware", found, own, PLATFORM, target_us=1e-3)
    assert result.met == {1e-3: 0} and result.late == 1 and result.parts["switching"] == 0


def test_switching_is_not_taken_where_there_is_no_time_for_it() -> None:
    own, table = texts(), replace(guess(), rows=np.full(ROWS, LAYERS, np.uint8))
    target = longest_us(own, PLATFORM)
    index = int(np.argmax([p[1].cycles for p in own.profiles]))
    tight = replace(
        own, entropies=np.full((1, LAYERS), 60_000), labels=own.labels[:1], wanted=own.wanted[:1],
        profiles=[own.profiles[index][:1] + (own.profiles[index][1],) * (LAYERS - 1)],
    )  # fmt: skip
    exact = longest_us(tight, PLATFORM)
    (found,) = latency_aware(tight, PLATFORM, table, exact)
    assert found.point == VOLTS.last and not found.late and exact <= target
    check_outcomes([found], tight, PLATFORM, table, exact)


def wrong_layer(o: Outcome) -> Outcome:
    return replace(o, predicted=(o.predicted or 0) + 1)


def unscaled(o: Outcome) -> Outcome:
    """The array's energy of the later layers as at the nominal voltage."""
    return replace(o, cost=replace(o.cost, array=o.cost.array * 1.5))


def linear(o: Outcome) -> Outcome:
    return replace(o, cost=replace(o.cost, clock=o.cost.clock * 0.9))


def free_leakage(o: Outcome) -> Outcome:
    return replace(o, cost=replace(o.cost, leakage=0.0))


def idle_without_leakage(o: Outcome) -> Outcome:
    """While voltage and clock change."""
    wait = PLATFORM.transition.settle_us + PLATFORM.transition.lock_us
    return replace(o, cost=replace(o.cost, leakage=o.cost.leakage - POWER.leakage_mw * wait))


def too_slow(o: Outcome) -> Outcome:
    return replace(o, cost=replace(o.cost, time_us=o.cost.time_us + 1))


def too_fast(o: Outcome) -> Outcome:
    return replace(o, point=o.point + 1)


def wrong_label(o: Outcome) -> Outcome:
    return replace(o, label=o.label + 1)


def later(o: Outcome) -> Outcome:
    return replace(o, layer=o.layer + 1)


def blamed(o: Outcome) -> Outcome:
    return replace(o, late=True)


FAULTS = {
    wrong_layer: "the table says", unscaled: "array is", linear: "clock is",
    free_leakage: "leakage is", idle_without_leakage: "leakage is", too_slow: "time_us is",
    too_fast: "the one below is in time", wrong_label: "label",
    later: "the entropies say", blamed: "called late",
}  # fmt: skip


@pytest.mark.parametrize("fault", list(FAULTS), ids=lambda f: f.__name__)
def test_a_wrong_outcome_is_found(fault: object) -> None:
    own, table = texts(), guess()
    target = 1.2 * longest_us(own, PLATFORM)
    found = list(latency_aware(own, PLATFORM, table, target))
    index = next(
        i for i, o in enumerate(found) if o.predicted != 1 and 0 < o.point < VOLTS.last - 1
    )
    found[index] = fault(found[index])  # type: ignore[operator]
    with pytest.raises(CheckFailed, match=rf"sentence {index}: .*{FAULTS[fault]}"):  # type: ignore[index]
        check_outcomes(found, own, PLATFORM, table, target)


def test_a_fault_in_the_run_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    own, table = texts(), guess()
    target = 1.5 * longest_us(own, PLATFORM)

    def flat(work: Work, power: UnitPower, point: object) -> SentenceCost:
        """No V^2."""
        hz = point.frequency  # type: ignore[attr-defined]
        return SentenceCost(work.cycles / hz * 1e6, work.array, work.buffers, work.functions)

    honest, predict = latency.cost_at, latency.predict
    monkeypatch.setattr(latency, "cost_at", flat)
    with pytest.raises(CheckFailed, match="clock is"):
        check_outcomes(latency_aware(own, PLATFORM, table, target), own, PLATFORM, table, target)
    monkeypatch.setattr(latency, "cost_at", honest)
    monkeypatch.setattr(latency, "predict", lambda t, h: np.maximum(predict(t, h) - 1, 1))
    with pytest.raises(CheckFailed, match="the table says"):
        check_outcomes(latency_aware(own, PLATFORM, table, target), own, PLATFORM, table, target)


def test_profiles_of_unmeasured_lengths_are_those_of_longer_ones() -> None:
    measured = {16: profile(1000), 64: profile(5000), 128: profile(12_000)}
    assert profile_for(17, measured) is measured[64] and profile_for(16, measured) is measured[16]
    with pytest.raises(InputError, match="129 tokens"):
        profile_for(129, measured)


def test_bad_input_is_named() -> None:
    own, table = texts(5), guess()
    with pytest.raises(InputError, match="4 layers"):
        latency_aware(own, PLATFORM, ExitTable(np.array([2], np.uint8), 1, 1, 4), 1.0)
    with pytest.raises(InputError, match="target"):
        latency_aware(own, PLATFORM, table, 0.0)
    changes = (
        {"labels": own.labels[:, :2]}, {"profiles": own.profiles[:2]},
        {"entropies": own.entropies[0]}, {"entropies": own.entropies - 10**6},
    )  # fmt: skip
    for change in changes:
        with pytest.raises(InputError):
            replace(own, **change)
    with pytest.raises(CheckFailed, match="0 outcomes"):
        check_outcomes([], own, PLATFORM, table, 1.0)


@pytest.mark.slow
def test_counters_of_the_rtl_make_a_profile() -> None:
    network, ids = integer_case(), sentences()[0]
    design = choose_unit(network, 4)
    config = design.config
    unit = ClassifierRtl(design, network, longest=max(len(own) for own in sentences()))
    run = unit.run(ids)
    commands = plan_sentence(design, network, len(ids)).program.commands
    works = layer_works(
        config, HOROWITZ_45, commands, run.commands, (run.reads, run.writes)
    )  # fmt: skip
    dense = layer_works(config, HOROWITZ_45, commands, run.commands)
    assert len(works) == network.layers and sum(w.cycles for w in works) == run.cycles
    assert sum(c.busy for c in run.commands) == run.ideal_cycles
    # Every beat of the run, and no more than dense operands take.
    pj = (run.reads + run.writes) * config.lanes * HOROWITZ_45.external_byte
    assert 1000 * sum(w.external + w.embeddings for w in works) == pytest.approx(pj)
    for own, most in zip(works, dense, strict=True):
        assert own.external <= most.external and own.array == most.array
