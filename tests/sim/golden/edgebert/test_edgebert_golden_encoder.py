"""A whole encoder layer on the EdgeBERT unit against a float64 model of the network."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from edgebert_layers import Case, float_layer, mask_of, random_layer, real_stages, sqnr

from shiftforge.errors import InputError
from shiftforge.sim.golden.edgebert import encoder
from shiftforge.sim.golden.edgebert.bitmask import Codes
from shiftforge.sim.golden.edgebert.encoder import STAGES, Unit, encoder_layer

# Measured: 28.7 dB and more. Four mantissa bits alone give about 37 dB a rounding.
LEAST_DB = 26.0


def levels(case: Case, unit: Unit) -> dict[str, float]:
    stages = encoder_layer(case.x, case.layer, unit)
    got = real_stages(stages, case)
    spans = case.layer.spans
    mask = None if spans is None else mask_of(spans)
    true = float_layer(case.x_real, case.weights, case.layer.heads, mask)
    return {stage: sqnr(true[stage], got[stage]) for stage in STAGES}


@pytest.mark.parametrize("kind", ["af", "shift1", "shift2"])
@pytest.mark.parametrize("spans", [False, True], ids=["full", "spans"])
def test_every_stage_is_near_the_float_model(kind: Codes, spans: bool) -> None:
    case = random_layer(64, 4, 128, 24, kind, spans)
    figures = levels(case, Unit(n=16))
    print({k: round(v, 1) for k, v in figures.items()})
    assert min(figures.values()) > LEAST_DB


def test_ragged_sizes_do_not_depend_on_the_lanes() -> None:
    case = random_layer(36, 9, 50, 11)
    first = encoder_layer(case.x, case.layer, Unit(n=2))
    for unit in (Unit(n=32), Unit(n=8, mode="exact"), Unit(n=16, passes_terms=2)):
        other = encoder_layer(case.x, case.layer, unit)
        assert all(np.array_equal(first[stage], other[stage]) for stage in STAGES)
    assert np.array_equal(first["vt"], first["v"].T)
    assert tuple(first) == STAGES


def test_albert_base_layer_in_seconds() -> None:
    case = random_layer(768, 12, 3072, 128)
    started = time.monotonic()
    stages = encoder_layer(case.x, case.layer, Unit(n=16))
    assert time.monotonic() - started < 30
    true = float_layer(case.x_real, case.weights, 12, None)
    assert sqnr(true["norm2"], real_stages(stages, case)["norm2"]) > LEAST_DB
    assert stages["scores"].shape == (12, 128, 128) and stages["gelu"].shape == (128, 3072)


@pytest.mark.parametrize("fault", ["swap", "shift", "bias", "transpose", "residual"])
def test_planted_faults_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, unit = random_layer(64, 4, 128, 24), Unit(n=16)
    layer = case.layer
    if fault == "swap":
        n = layer.norm1
        layer = replace(layer, norm1=replace(n, gamma=4 * n.beta, beta=n.gamma // 4))
    elif fault == "bias":
        layer = replace(layer, ffn2=replace(layer.ffn2, bias=np.roll(layer.ffn2.bias, 1)))
    elif fault == "residual":
        layer = replace(layer, biases={**layer.biases, "add2": layer.biases["add2"] - 3})
    elif fault == "shift":
        right = encoder.shift_amount_af
        monkeypatch.setattr(encoder, "shift_amount_af", lambda *a: right(*a) + 1)
    else:
        layer = replace(layer, v=replace(layer.v, codes=layer.v.codes.T.copy()))
    figures = levels(replace(case, layer=layer), unit)
    assert min(figures.values()) < LEAST_DB - 5


def test_a_missing_bias_and_an_odd_head_width_are_refused() -> None:
    case = random_layer(36, 9, 50, 11)
    fewer = {k: v for k, v in case.layer.biases.items() if k not in ("gelu", "add1")}
    with pytest.raises(InputError) as caught:
        encoder_layer(case.x, replace(case.layer, biases=fewer, heads=6), Unit(n=4))
    assert len(caught.value.problems) == 3
