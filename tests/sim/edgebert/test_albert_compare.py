"""Planted faults in what the RTL is given: caught, and located by layer, stage, head and place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from albert_cases import optimised_case, sentences
from numpy.typing import ArrayLike, NDArray

from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.quant.albert.network.embedding import EmbeddingTable
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import Sentence, golden_sentence
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl
from shiftforge.sim.edgebert.sentence_trace import compare_sentences
from shiftforge.sim.trace import Divergence

LANES = 4
WIDTH = 16
NETWORK = optimised_case()
IDS = sentences()[1]
UNITS = choose_unit(NETWORK, LANES)


def on_rtl(network: IntegerAlbert, threshold: int | None = None) -> Sentence:
    return ClassifierRtl(UNITS, network, threshold).run(IDS).sentence


def reference(threshold: int | None = None) -> Sentence:
    return golden_sentence(NETWORK, IDS, golden_unit(UNITS), threshold)


def first_difference(network: IntegerAlbert) -> Divergence:
    return compare_sentences(on_rtl(network), reference()).differences[0]


def spans(change: Callable[[NDArray[np.uint16]], Any]) -> dict[str, Any]:
    assert NETWORK.spans is not None
    table = NETWORK.spans.copy()
    change(table)
    return {"spans": table}


def shifted(table: NDArray[np.uint16]) -> None:
    table[2] = np.concatenate([table[2][:1], table[2][:-1]])


def mask_of_another(table: NDArray[np.uint16]) -> None:
    table[2] = table[0]


def off_instead(table: NDArray[np.uint16]) -> None:
    table[[0, 1]] = table[[1, 0]]


def stale_gamma() -> dict[str, Any]:
    norms = dict(NETWORK.norms)
    source = norms["norm1"]
    norms["norm2"] = replace(
        norms["norm2"], gamma=source.gamma, gamma_fraction=source.gamma_fraction
    )
    return {"norms": norms}


def heads_swapped(name: str, axis: int) -> dict[str, Any]:
    linear = NETWORK.linears[name]
    order = np.r_[2 * WIDTH : 3 * WIDTH, WIDTH : 2 * WIDTH, 0:WIDTH]
    codes = np.take(linear.codes, order, axis=axis)
    return {"linears": {**NETWORK.linears, name: replace(linear, codes=codes)}}


def another_ramp() -> dict[str, Any]:
    ramps = NETWORK.ramps
    return {"ramps": (ramps[0], ramps[0], ramps[2])}


CASES = {
    "mask one place late": (spans(shifted), 0, "probabilities", (2,), "head 2, row 0, column 1"),
    "mask of another head": (spans(mask_of_another), 0, "probabilities", (2,), "head 2, row 0"),
    "mask of a head that is off": (spans(off_instead), 0, "skipped heads", (0, 1), "head 0"),
    "stale gamma": (stale_gamma(), 0, "norm2", (), "row 0, column"),
    "swapped heads of q": (heads_swapped("q", 0), 0, "q", (0, 2), "head 0, row 0, column"),
    "swapped heads of v": (heads_swapped("v", 0), 0, "v", (0, 2), "head 0, row 0, column"),
    "swapped heads of context": (heads_swapped("output", 1), 0, "attention_output", (), "row 0"),
    "off-ramp of another layer": (another_ramp(), 1, "logits", (), "column"),
}


def test_without_a_fault_nothing_differs() -> None:
    compared = compare_sentences(on_rtl(NETWORK), reference())
    assert not compared.differences
    # Scores and probabilities of the head that is off are not counted.
    want = reference()
    whole = sum(
        values.size
        for values in (*want.embedding.values(), *want.layers[0].stages.values())
    )  # fmt: skip
    whole += sum(v.size for layer in want.layers[1:] for v in layer.stages.values())
    whole += 3 * (5 + 2) + 3 + 2  # logits, entropies and exits; skipped heads; exit layer, label
    assert compared.values == whole - 3 * 2 * len(IDS) ** 2


@pytest.mark.parametrize("fault", list(CASES))
def test_a_fault_is_located(fault: str) -> None:
    changes, layer, stage, heads, place = CASES[fault]
    found = first_difference(replace(NETWORK, **changes))
    assert (found.layer, found.stage, found.groups) == (layer, stage, heads)
    assert f"layer {layer}, {stage}" in str(found) and place in str(found)
    assert found.got != found.want


def test_an_exit_one_layer_late_is_located() -> None:
    """The unit's comparison is not strict; a strict one stays a layer longer."""
    limit = reference().layers[0].entropy
    late = on_rtl(NETWORK, limit - 1)
    found = compare_sentences(late, reference(limit)).differences
    assert late.exit_layer > 1 == reference(limit).exit_layer
    assert (found[0].stage, found[0].layer) == ("exit", 0)
    assert str(found[0]) == "layer 0, exit: 0, expected 1"
    assert f"exit layer: {late.exit_layer}, expected 1" in str(found[1])


@pytest.mark.parametrize("fault", ["row", "value"])
def test_a_wrong_word_row_is_located(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host takes the next word's row, or reads every row from one value too far on."""
    rows = EmbeddingTable.rows

    def next_row(self: EmbeddingTable, ids: ArrayLike) -> NDArray[np.uint8]:
        return rows(self, np.asarray(ids) - 1)

    def next_value(self: EmbeddingTable, ids: ArrayLike) -> NDArray[np.uint8]:
        return rows(replace(self, values=np.roll(self.values, -1)), ids)

    want = reference()
    monkeypatch.setattr(EmbeddingTable, "rows", next_row if fault == "row" else next_value)
    found = compare_sentences(on_rtl(NETWORK), want).differences[0]
    assert (found.layer, found.stage, found.groups) == (None, "word", ())
    assert "embeddings, word: " in str(found) and "the first at row 0, column" in str(found)
    # The reference does not read through the faulty decoder.
    again = compare_sentences(reference(), want)
    assert not again.differences
