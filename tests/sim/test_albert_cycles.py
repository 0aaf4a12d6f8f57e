"""Cycles of a sentence depend on its length alone: whatever it says, and whatever the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from albert_cases import integer_case, sentences

from shiftforge.sim.albert.check import units_for
from shiftforge.sim.albert.cycles import commands_by_length
from shiftforge.sim.albert.rtl import ClassifierRtl


@pytest.mark.slow
def test_cycles_are_those_of_any_sentence_of_the_length() -> None:
    network = integer_case()
    texts = sentences()
    found = commands_by_length(network, [len(ids) for ids in texts])
    config, sfu = units_for(network)
    unit = ClassifierRtl(config, sfu, network, None)
    for ids in texts:
        assert unit.run(ids).commands == found[len(ids)]
    # Other weights, all of them equal: the same cycles.
    flat = replace(
        network,
        linears={n: replace(v, codes=np.full_like(v.codes, 7)) for n, v in network.linears.items()},
    )
    assert commands_by_length(flat, [7])[7] == found[7]


@pytest.mark.slow
def test_longer_sentences_take_more_cycles() -> None:
    found = commands_by_length(integer_case(), [3, 12, 7])
    ends = [found[n][-1].end for n in (3, 7, 12)]
    assert ends == sorted(ends)
    assert list(found) == [3, 7, 12]
