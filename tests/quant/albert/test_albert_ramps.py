"""Off-ramps whose logits are, on average, those of the float network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from albert_cases import float_case, integer_case, sentences

from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.quant.albert.network.integer import IntegerAlbert, Weights
from shiftforge.quant.albert.network.ramps import corrected_ramps, dequantised, ramp_shifts
from shiftforge.quant.albert.network.stages import float_stages
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import golden_sentence, off_ramp
from shiftforge.sim.golden.edgebert.afcode import af_values
from shiftforge.sim.golden.edgebert.mac import shift_product

WEIGHTS = ("af", "shift1", "shift2")


def integer_shifts(network: IntegerAlbert) -> np.ndarray:
    """(layers, classes) mean logits of the integer reference less those of the float network."""
    unit = golden_unit(choose_unit(network, 4))
    apart = []
    for ids in sentences():
        _, want = float_stages(float_case(), ids)
        own = golden_sentence(network, ids, unit)
        rows = [layer.stages["norm2"][:1] for layer in own.layers]
        got = [off_ramp(network, i, row, unit)[0] / 2**unit.fraction for i, row in enumerate(rows)]
        apart.append([a - b["logits"][0] for a, b in zip(got, want, strict=True)])
    return np.mean(apart, axis=0)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_stand_for_what_the_unit_multiplies(weights: Weights) -> None:
    made = integer_case(weights)
    found = dequantised(float_case(), made).values
    for name in ("q", "ffn2", "mapping"):
        linear = made.linears[name]
        if weights == "af":
            want = af_values(linear.codes, int(linear.exponent[0]))
        else:
            # The product of a code whose integer is 1 with each weight.
            ones = np.full(linear.codes.shape, 0x10, dtype=np.uint8)
            unit = shift_product(ones, np.full_like(ones, 1), 1)
            terms = 1 if weights == "shift1" else 2
            ratio = shift_product(ones, linear.codes, terms) / unit
            want = ratio * 2.0 ** linear.exponent.astype(float)[:, None]
        assert np.array_equal(found[name], want)
        assert np.array_equal(found[name + ".bias"], linear.bias / 2**made.fraction)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_shift_is_that_of_the_integers_and_goes_away(weights: Weights) -> None:
    made, floats = integer_case(weights), float_case()
    before = integer_shifts(made)
    # Four sentences: single codes that round the other way in fixed point leave 0.05 and less.
    noise = 0.05
    apart = np.abs(ramp_shifts(floats, made, sentences()) - before).max()
    assert apart < max(noise, 0.3 * np.abs(before).max())
    after = np.abs(integer_shifts(corrected_ramps(floats, made, sentences())))
    assert after.max() < max(noise, 0.3 * np.abs(before).max())
    if weights != "af":
        assert after.mean() < 0.3 * np.abs(before).mean()


def test_a_planted_shift_is_taken_back_and_nothing_else_changes() -> None:
    made, floats = integer_case(), float_case()
    right = corrected_ramps(floats, made, sentences())
    moved = replace(
        made.ramps[1], bias=made.ramps[1].bias + np.array([700, 0, -90, 3, 0], dtype=np.int32)
    )
    planted = replace(made, ramps=(made.ramps[0], moved, *made.ramps[2:]))
    found = corrected_ramps(floats, planted, sentences())
    for own, want in zip(found.ramps, right.ramps, strict=True):
        assert np.abs(own.bias - want.bias).max() <= 1
        assert own.codes is not None and np.array_equal(own.codes, want.codes)
    assert found.linears is planted.linears and found.biases == planted.biases
