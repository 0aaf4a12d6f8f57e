"""A classifier with span masks, pruned weights and a pruned word table: reference, kernels, RTL."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from albert_cases import integer_case, optimised_case, optimised_float, sentences
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.quant.albert.network.integer import IntegerAlbert, Weights
from shiftforge.sim.edgebert.check import check_sentences, macs_of
from shiftforge.sim.edgebert.checkpoints import run_checkpoint
from shiftforge.sim.edgebert.compare import compare_checkpoints
from shiftforge.sim.edgebert.host import looked_up
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.rtl.encoder_run import simulate
from shiftforge.sim.edgebert.rtl.encoder_stages import read_stages
from shiftforge.sim.edgebert.sentence_golden import golden_sentence, word_rows
from shiftforge.sim.edgebert.sentence_image import network_image, write_sentence
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl
from shiftforge.sim.edgebert.sentence_trace import compare_sentences
from shiftforge.sim.golden.edgebert.softmax import span_table

LANES = 4
OFF = 1


def with_spans(network: IntegerAlbert, spans: NDArray[np.uint16] | None) -> IntegerAlbert:
    return replace(network, spans=spans)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_two_word_decoders_agree(seed: int) -> None:
    network = optimised_case(seed=seed)
    ids = np.arange(network.words.shape[0])
    assert np.array_equal(word_rows(network, ids), network.words.dense())
    assert np.array_equal(word_rows(network, ids[[3, 3, 0]]), looked_up(network, ids[[3, 3, 0]])[0])
    assert 0.39 < network.words.density < 0.41


def test_span_tables_are_the_units() -> None:
    spans = optimised_case().spans
    floats = optimised_float()
    assert spans is not None and floats.spans is not None
    for table, z in zip(spans, floats.spans, strict=True):
        assert np.array_equal(table, span_table(round(256 * float(z)), floats.ramp, 12))


def test_a_head_that_is_off_is_left_out_exactly() -> None:
    """Its context is 0 whether it is computed or not; the others see what their masks leave."""
    network, ids = optimised_case(), sentences()[2]
    unit = golden_unit(choose_unit(network, LANES))
    found = golden_sentence(network, ids, unit)
    assert found.skipped == (OFF,) == network.skipped
    stages = found.layers[0].stages
    assert not stages["context"][:, 16:32].any() and stages["context"][:, :16].any()
    apart = np.abs(np.arange(7)[:, None] - np.arange(7))
    assert not stages["probabilities"][2][apart > 2].any()
    assert stages["probabilities"][2][apart <= 1].all()
    # No mask at all is another network.
    other = golden_sentence(with_spans(network, None), ids, unit).layers[0].stages
    assert np.array_equal(other["q"], stages["q"])
    assert not np.array_equal(other["context"], stages["context"])


@pytest.mark.parametrize(
    ("device", "weights"),
    [
        ("pocl", "af"),
        *(
            pytest.param(device, weights, marks=pytest.mark.slow)
            for device in ("pocl", "intel-cpu", "intel-fpga-emu")
            for weights in ("af", "shift1", "shift2")
            if (device, weights) != ("pocl", "af")
        ),
    ],
)
def test_kernels_are_the_reference(device: str, weights: Weights) -> None:
    network, texts = optimised_case(weights), sentences()[1:3]
    unit = golden_unit(choose_unit(network, LANES))
    entropies = [golden_sentence(network, ids, unit).layers[0].entropy for ids in texts]
    nats = min(entropies) / 65536  # the one leaves early, the other later
    report = compare_checkpoints(network, texts, device, "golden", nats, LANES)
    assert not report.mismatches, report.first
    assert (report.labels, report.exits) == (1.0, 1.0) and report.values > 10000


@pytest.mark.parametrize(
    "weights", ["af", *(pytest.param(w, marks=pytest.mark.slow) for w in ("shift1", "shift2"))]
)
def test_the_rtl_is_the_reference_and_a_head_off_costs_nothing(weights: Weights) -> None:
    network = optimised_case(weights)
    texts = sentences()[1:3] if weights == "af" else sentences()
    report = check_sentences(network, texts, rtl=True, lanes=LANES)
    assert not report.mismatches, [row.first for row in report.sentences]
    assert {row.skipped for row in report.sentences} == {(OFF,)}
    design = choose_unit(network, LANES)
    ones = np.full((3, 12), 256, dtype=np.uint16)
    whole = ClassifierRtl(design, with_spans(network, ones)).run(texts[0])
    less = ClassifierRtl(design, network).run(texts[0])
    spent = sum(
        c.end - c.start
        for c in whole.commands
        if c.name.startswith(("scores", "context")) and str(OFF) in c.name
    )
    saved = whole.cycles - less.cycles
    print(f"{weights}: {whole.cycles} cycles, {saved} less with a head off, its commands {spent}")
    assert len(whole.commands) - len(less.commands) == 2 * 3
    assert saved > 0 and abs(saved - spent) < 0.1 * spent
    assert (report.sentences[0].commands, report.sentences[0].cycles) == (
        len(less.commands), less.cycles,
    )  # fmt: skip
    # Two products of L x L x 16 a layer fewer.
    tokens = len(texts[0])
    left_out = macs_of(with_spans(network, None), tokens, 3) - macs_of(network, tokens, 3)
    assert left_out == 3 * 2 * tokens**2 * 16
    assert report.sentences[0].macs == macs_of(network, tokens, 3)


def test_layers_that_share_their_memory_keep_a_head_off_at_zero() -> None:
    network, ids = optimised_case(), sentences()[1]
    design = choose_unit(network, LANES)
    want = golden_sentence(network, ids, golden_unit(design))
    plan = plan_sentence(design, network, len(ids), apart=False)
    image = network_image(plan, network)
    write_sentence(plan, image, *looked_up(network, ids))
    model = ClassifierRtl(design, network).model
    done = simulate(model, plan.program, image)
    lines = done.taps.split(b"\n")
    embedding = plan.tensors["embedding_norm"]
    taps = b"\n".join(lines[embedding.row_tiles * embedding.steps * LANES :])
    found = read_stages(plan.part(3), image, taps)[-1].stages
    for stage in ("context", "probabilities", "norm2"):
        assert np.array_equal(found[stage], want.layers[-1].stages[stage]), stage


def test_every_checkpoint_gives_the_same_sentence() -> None:
    network, texts = optimised_case(), sentences()[2:3]
    golden = run_checkpoint(network, texts, "golden", 0.0, LANES)
    rtl = run_checkpoint(network, texts, "rtl", 0.0, LANES)
    assert not compare_sentences(rtl[0], golden[0]).differences
    with pytest.raises(InputError, match="no checkpoint 'gpu'"):
        run_checkpoint(network, texts, "gpu")
    with pytest.raises(InputError, match="no sentences"):
        run_checkpoint(network, [], "golden")


def test_float_is_measured() -> None:
    network, floats = optimised_case(), optimised_float()
    report = compare_checkpoints(network, sentences(), "float", "golden", 0.5, LANES, floats=floats)
    assert (report.values, report.mismatches) == (0, 0) and len(report.sqnr) == 4
    assert report.sqnr[0]["word"] > 25 and report.sqnr[1]["q"] > 15
    assert report.sqnr[1]["probabilities"] > 10 and report.sqnr[3]["logits"] > 5
    assert report.labels >= 0.5 and report.exits >= 0.5
    # Another network's floats are far away.
    other = optimised_float(seed=3)
    far = compare_checkpoints(network, sentences(), "golden", "float", None, LANES, floats=other)
    assert far.sqnr[0]["word"] < 3 > far.sqnr[1]["q"]
    for a, b, said in (("float", "golden", "no float weights"), ("float", "float", "integers"),
                       ("gold", "golden", "no checkpoint")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            compare_checkpoints(network, sentences(), a, b)


def test_networks_without_spans_skip_nothing() -> None:
    network, ids = integer_case(), sentences()[2]
    design = choose_unit(network, LANES)
    assert network.skipped == () == golden_sentence(network, ids, golden_unit(design)).skipped
    plan = plan_sentence(design, network, len(ids))
    assert sum(c.head is not None for c in plan.program.commands) == 3 * 2 * 2
