"""Sentences of a classifier: reference, OpenCL kernels and RTL, every stage, and early exit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from albert_cases import float_case, integer_case, sentences

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.generator.edgebert.sentence_program import plan_commands
from shiftforge.quant.albert.network.integer import Weights
from shiftforge.quant.albert.network.stages import float_stages
from shiftforge.sim.edgebert.accuracy import exit_points, reference_outputs
from shiftforge.sim.edgebert.compare import compare_sentences
from shiftforge.sim.edgebert.host import label_at
from shiftforge.sim.edgebert.opencl.sentence_run import run_sentences
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import golden_sentence, label_of, threshold_of
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl
from shiftforge.sim.golden.edgebert.afcode import af_values

LANES = 4


def middle(entropies: list[int]) -> int:
    """A threshold that some of the sentences meet."""
    return sorted(entropies)[1]


@pytest.mark.parametrize("weights", ["af", "shift2"])
def test_the_integers_follow_the_formulas(weights: Weights) -> None:
    network, ids = integer_case(weights), sentences()[0]
    unit = golden_unit(choose_unit(network, LANES))
    found = golden_sentence(network, ids, unit)
    first, layers = float_stages(float_case(), ids)
    got = af_values(found.embedding["input"], network.embedding_biases["input"])
    assert np.corrcoef(got.ravel(), first["input"].ravel())[0, 1] > 0.995
    for own, want, bias in zip(found.layers, layers, network.biases, strict=True):
        got = af_values(own.stages["norm2"], bias["norm2"])
        assert np.corrcoef(got.ravel(), want["norm2"].ravel())[0, 1] > 0.98
        z = want["logits"][0]
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        assert abs(own.entropy / 65536 + (p * np.log(p)).sum()) < 0.15


def test_exits_end_a_sentence_and_count() -> None:
    network = integer_case()
    unit = golden_unit(choose_unit(network, LANES))
    outputs = reference_outputs(network, sentences(), unit)
    threshold = middle(outputs.entropies[:, 0].tolist())
    for ids, own in zip(sentences(), outputs.entropies, strict=True):
        found = golden_sentence(network, ids, unit, threshold)
        leaves = np.flatnonzero(own <= threshold)
        assert found.exit_layer == (int(leaves[0]) + 1 if len(leaves) else 3)
        assert [layer.entropy for layer in found.layers] == own[: found.exit_layer].tolist()
    wanted = outputs.labels[:, -1]
    points = exit_points(outputs, wanted, [0.0, 9.0])
    assert (points[0].accuracy, points[0].layer, points[1].layer) == (1.0, 3.0, 1.0)
    assert points[1].accuracy == outputs.accuracy(wanted)[0]


@pytest.mark.slow
@pytest.mark.parametrize("device", ["pocl", "intel-cpu", "intel-fpga-emu"])
@pytest.mark.parametrize("weights", ["af", "shift1", "shift2"])
def test_kernels_are_the_reference(device: str, weights: Weights) -> None:
    network, texts = integer_case(weights), sentences()
    design = choose_unit(network, LANES)
    unit = golden_unit(design)
    limit = middle([golden_sentence(network, t, unit).layers[0].entropy for t in texts])
    wanted = [golden_sentence(network, t, unit, limit) for t in texts]
    assert len({s.exit_layer for s in wanted}) > 1
    found = run_sentences(design, device, network, unit, texts, limit)
    for got, want in zip(found.sentences, wanted, strict=True):
        compared = compare_sentences(got, want)
        assert not compared.differences and compared.values > 1000


def test_the_rtl_is_the_reference_and_exits_early() -> None:
    network, texts = integer_case(), sentences()
    design = choose_unit(network, LANES)
    unit = golden_unit(design)
    limit = middle([golden_sentence(network, t, unit).layers[0].entropy for t in texts])
    whole, exits = ClassifierRtl(design, network), ClassifierRtl(design, network, limit)
    layers = set()
    for ids in texts:
        early, late = exits.run(ids), whole.run(ids)
        want = golden_sentence(network, ids, unit, limit)
        for got, wanted in ((early, want), (late, golden_sentence(network, ids, unit))):
            compared = compare_sentences(got.sentence, wanted)
            assert not compared.differences, compared.differences[0]
        layers.add(want.exit_layer)
        assert late.sentence.exit_layer == 3
        if want.exit_layer < 3:
            assert early.cycles < late.cycles * (want.exit_layer + 0.5) / 3
        else:
            assert early.cycles == late.cycles
        assert early.cycles >= early.ideal_cycles > 0
    assert 1 in layers and len(layers) > 1


def test_planted_faults_are_located() -> None:
    """What the RTL is given differs from what the reference is given."""
    network, ids = integer_case(), sentences()[1]
    design = choose_unit(network, LANES)
    unit = golden_unit(design)
    golden = golden_sentence(network, ids, unit)
    limit = golden.layers[0].entropy
    norm = network.norms["norm2"]
    q = network.linears["q"]
    swapped = np.concatenate([q.codes[16:], q.codes[:16]])
    cases = [
        ("norm2", 0, {"norms": {**network.norms, "norm2": replace(norm, gamma=norm.gamma[::-1])}}),
        ("q", 0, {"linears": {**network.linears, "q": replace(q, codes=swapped)}}),
        ("logits", 0, {"ramps": (network.ramps[1], *network.ramps[1:])}),
        ("embedding_norm", None, {"norms": {**network.norms, "embedding_norm":
         replace(network.norms["embedding_norm"],
                 beta=network.norms["embedding_norm"].beta[::-1])}}),
    ]  # fmt: skip
    for stage, layer, changes in cases:
        wrong = ClassifierRtl(design, replace(network, **changes))  # type: ignore[arg-type]
        found = compare_sentences(wrong.run(ids).sentence, golden).differences
        assert (found[0].stage, found[0].layer) == (stage, layer)
    # One layer late: a comparison that is strict where the unit's is not.
    late = ClassifierRtl(design, network, limit - 1).run(ids).sentence
    found = compare_sentences(late, golden_sentence(network, ids, unit, limit)).differences
    assert found[0].stage == "exit" and late.exit_layer > 1


def test_programs_that_do_not_fit() -> None:
    network = integer_case()
    design = choose_unit(network, LANES)
    plan = plan_sentence(design, network, 12, 0)
    stops = [c.registers["stop"] for c in plan.program.commands]
    assert [s for s in stops if s] == [2, 2, 1] and stops[-1] == 1
    none = plan_sentence(design, network, 12)
    assert [c.registers["stop"] for c in none.program.commands if c.registers["stop"]] == [1]
    shape, layers = plan.program.shape, [at.numbers for at in plan.program.layers]
    with pytest.raises(InputError, match="1 classes"):
        plan_commands(design, shape, layers, replace(plan.numbers, classes=1))
    with pytest.raises(InputError, match="threshold -1"):
        plan_commands(design, shape, layers, replace(plan.numbers, threshold=-1))
    with pytest.raises(InputError, match="2 off-ramps for 3 layers"):
        plan_commands(design, shape, layers, replace(plan.numbers, logits=[0, 0]))
    with pytest.raises(InputError, match="shift2 weights on a unit of af"):
        plan_sentence(design, integer_case("shift2"), 12)
    with pytest.raises(InputError, match="not in the vocabulary"):
        golden_sentence(network, np.array([99]), golden_unit(design))
    with pytest.raises(InputError, match="1 to 12"):
        golden_sentence(network, np.arange(13), golden_unit(design))


@pytest.mark.parametrize("threshold", [-1, 1 << 32])
def test_kernels_refuse_a_threshold_that_the_unit_cannot_hold(threshold: int, lowered: str) -> None:
    """It would wrap: -1 would let every sentence exit after its first layer."""
    network = integer_case()
    design = choose_unit(network, LANES)
    unit = golden_unit(design)
    with pytest.raises(InputError, match=f"threshold {threshold}"):
        run_sentences(design, lowered, network, unit, sentences()[:1], threshold)


def test_the_hosts_label_is_the_references() -> None:
    others = (0, 1, 16, 64, 127, 128, 129, 144, 200, 255)
    pairs = [np.array([a, b], dtype=np.uint8) for a in range(256) for b in others]
    assert [label_at(p) for p in pairs] == [label_of(p) for p in pairs]
    assert label_at(np.array([0x90, 0x80, 0x00], dtype=np.uint8)) == 1
    assert label_at(np.array([0x10, 0x7F, 0xFF, 0x7F], dtype=np.uint8)) == 1


def test_thresholds_have_16_fraction_bits() -> None:
    assert threshold_of(0.5) == 32768
