"""Cycles of a sentence: its length decides them, its words hardly, the weights' zeros a little.

Operands outside are stored sparse, so that their beats depend on values. What a length takes may
stand for other sentences of that length and network, not for other networks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from albert_cases import integer_case, optimised_case, sentences

from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl, RtlSentence

LANES = 4


def rtl(network: IntegerAlbert) -> ClassifierRtl:
    return ClassifierRtl(choose_unit(network, LANES), network)


def steps(run: RtlSentence) -> list[tuple[str, int]]:
    """Array cycles of each command."""
    return [(c.name, c.busy) for c in run.commands]


def test_sentences_of_a_length_take_nearly_the_same_cycles() -> None:
    unit = rtl(optimised_case())
    others = np.random.default_rng(5).integers(0, 50, (2, 12))
    runs = [unit.run(ids) for ids in (np.full(12, 3), np.arange(12), *others)]
    assert len({tuple(steps(run)) for run in runs}) == 1
    cycles = [run.cycles for run in runs]
    assert max(cycles) < 1.001 * min(cycles)
    assert max(run.reads for run in runs) > min(run.reads for run in runs)


def test_longer_sentences_take_more_cycles() -> None:
    unit = rtl(integer_case())
    ends = [unit.run(np.arange(tokens)).cycles for tokens in (3, 7, 12)]
    assert ends == sorted(set(ends))


def test_pruned_weights_take_fewer_beats_and_no_more_cycles() -> None:
    network, ids = optimised_case(), sentences()[0]
    dense = replace(
        network,
        linears={n: replace(v, codes=np.full_like(v.codes, 7)) for n, v in network.linears.items()},
    )
    pruned, full = rtl(network).run(ids), rtl(dense).run(ids)
    assert steps(pruned) == steps(full)
    assert pruned.reads < full.reads and pruned.cycles < full.cycles
