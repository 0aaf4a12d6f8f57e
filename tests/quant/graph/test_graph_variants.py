"""Variants: each as valid as the nodes' own weights, chosen by share, and none is ever lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from random_networks import random_frames, with_random_variants

from shiftforge.errors import InputError
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import Conv, QuantizedModel, ShiftFormat, Variant
from shiftforge.quant.graph.variants import own_share, shares, with_variant
from shiftforge.quant.graph.verify import verify
from shiftforge.sim.golden.conv.network import run_golden

BARE = random_model(1, ModelOptions(height=9, width=8))
SHARES = (0.0, 0.04, 0.25)
MODEL = with_random_variants(BARE, 1, SHARES, 0.1)
FRAMES = random_frames(MODEL, 0)


def weights_of(convs: dict[str, Conv]) -> dict[str, bytes]:
    return {name: conv.weight.tobytes() + conv.bias.tobytes() for name, conv in convs.items()}


def choices(model: QuantizedModel) -> dict[float, dict[str, bytes]]:
    """All weights by share, those of the nodes among them."""
    own = own_share(model)
    assert own is not None
    found = {v.second_terms: weights_of(dict(v.convs)) for v in model.variants}
    return found | {own.second_terms: weights_of({c.name: c for c in model.conv_nodes()})}


def test_the_helper_makes_valid_models() -> None:
    verify(MODEL)
    assert shares(MODEL) == (0.0, 0.04, 0.1, 0.25)
    assert len(choices(MODEL)) == 4
    assert len({str(sorted(own.items())) for own in choices(MODEL).values()}) == 4
    assert shares(BARE) == () and own_share(BARE) is None


@pytest.mark.parametrize(
    ("given", "share"), [(0.0, 0.0), (0.03, 0.0), (0.04, 0.04), (0.1, 0.1), (0.2, 0.1), (9, 0.25)]
)
def test_the_largest_share_up_to_the_given_one_is_chosen(given: float, share: float) -> None:
    chosen = with_variant(MODEL, given)
    verify(chosen)
    assert choices(chosen) == choices(MODEL)
    assert shares(chosen) == shares(MODEL)
    own = own_share(chosen)
    assert own is not None and (own.second_terms, own.sqnr_db) == (share, 20 + share)
    assert chosen.meta["second_terms"]["array"] == {"units": 16}
    assert weights_of({c.name: c for c in chosen.conv_nodes()}) == choices(MODEL)[share]
    assert (chosen is MODEL) == (share == 0.1)
    # There and back again: the model as it was.
    back = with_variant(chosen, 0.1)
    assert back.meta == MODEL.meta
    assert [v.second_terms for v in back.variants] == [v.second_terms for v in MODEL.variants]
    assert choices(back) == choices(MODEL)


def test_a_variant_computes_with_its_own_weights() -> None:
    chosen = with_variant(MODEL, 0.0)
    convs = MODEL.variants[0].convs
    by_hand = replace(
        MODEL, nodes=tuple(convs[n.name] if isinstance(n, Conv) else n for n in MODEL.nodes)
    )
    want, got, own = (run_golden(m, FRAMES)[m.output] for m in (by_hand, chosen, MODEL))
    assert np.array_equal(got, want)
    assert not np.array_equal(got, own)


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(InputError, match="records no share of second words"):
        with_variant(BARE, 0.1)
    above = replace(MODEL, variants=MODEL.variants[1:])
    with pytest.raises(InputError, match=r"up to 0.01; there are 0.04, 0.1, 0.25"):
        with_variant(above, 0.01)
    with pytest.raises(InputError, match="up to nan"):
        with_variant(MODEL, float("nan"))


def variant(k: int, **change: Any) -> QuantizedModel:
    own = replace(MODEL.variants[k], **change)
    return replace(MODEL, variants=(*MODEL.variants[:k], own, *MODEL.variants[k + 1 :]))


def conv(name: str, **change: Any) -> QuantizedModel:
    convs = MODEL.variants[1].convs
    return variant(1, convs={**convs, name: replace(convs[name], **change)})


def meta(told: Any) -> QuantizedModel:
    return replace(MODEL, meta={"second_terms": told})


HEAD = MODEL.variants[1].convs["head"]
MANY = tuple(replace(MODEL.variants[0], second_terms=float(k + 1)) for k in range(17))

FAULTS: dict[str, tuple[Callable[[], QuantizedModel], str]] = {
    "unknown": (
        lambda: variant(1, convs={**MODEL.variants[1].convs, "x": HEAD}),
        "variant 1: has weights for 'x', which is no convolution"),
    "missing": (
        lambda: variant(
            2, convs={k: v for k, v in MODEL.variants[2].convs.items() if k != "head"}),
        r"variant 2, head \(example.head\): the convolution has no weights there"),
    "wiring": (
        lambda: conv("head", input="t.ex2"),
        r"variant 1, head .*: input is 't.ex2', the network's is 't.pw2'"),
    "clamp": (lambda: conv("head", hi=3), "variant 1, head .*: hi is 3"),
    "shape": (lambda: conv("head", weight=HEAD.weight[:, 1:]), r"weight is \(33, 9, 1, 1\)"),
    "requantisation": (
        lambda: conv("head", multiplier=np.ones(33, np.int64), shift=np.ones(33, np.int64)),
        "is requantised in another way"),
    "value": (
        lambda: conv("head", format=ShiftFormat(4, 1, "S1")),
        r"variant 1, head .*weights are no values of the format"),
    "accumulator": (
        lambda: conv("head", acc_bits=np.full(33, 4, np.uint8)),
        r"variant 1, head .*: acc_bits 4 of channel 0 is too small"),
    "exponent": (lambda: conv("head", z=np.full(33, -90, np.int8)), "weight exponent -90"),
    "share below 0": (lambda: variant(0, second_terms=-0.1), "variant 0: its share -0.1 is no"),
    "share NaN": (lambda: variant(0, second_terms=float("nan")), "its share nan is no number"),
    "twice": (
        lambda: variant(1, second_terms=0.0), "variant 1: its share 0 is not above the one before"),
    "descending": (lambda: replace(MODEL, variants=MODEL.variants[::-1]), "is not above"),
    "own": (lambda: variant(1, second_terms=0.1), "its share 0.1 is that of the nodes' own"),
    "SQNR": (lambda: variant(1, sqnr_db=float("inf")), "its SQNR inf is not finite"),
    "many": (lambda: replace(MODEL, variants=MANY), "variants: 17 variants, 16 at most"),
    "no meta": (lambda: replace(MODEL, meta={}), "'second_terms' says nothing of the nodes' own"),
    "meta text": (lambda: meta("0.1"), "'second_terms' has no share"),
    "meta list": (lambda: meta([]), "'second_terms' has no share"),
    "meta share": (lambda: meta({"f": "0.1", "sqnr_db": 1.0}), "'second_terms' has no share"),
    "meta sign": (lambda: meta({"f": -1, "sqnr_db": 1.0}), "'second_terms' has no share"),
    "meta huge": (lambda: meta({"f": 10**400, "sqnr_db": 1.0}), "'second_terms' has no share"),
    "meta flag": (lambda: meta({"f": True, "sqnr_db": 1.0}), "'second_terms' has no share"),
    "meta SQNR": (lambda: meta({"f": 0.1}), "'second_terms' has no share"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_named(fault: str) -> None:
    plant, message = FAULTS[fault]
    with pytest.raises(InputError, match=message):
        verify(plant())


def test_sixteen_variants_are_valid() -> None:
    verify(replace(MODEL, variants=MANY[:16]))


def test_multiplier_requantisation_may_differ_in_its_numbers() -> None:
    model = random_model(2, ModelOptions(height=9, width=8, requant="multiplier"))
    convs = {
        c.name: c if c.multiplier is None else replace(c, multiplier=c.multiplier + 1)
        for c in model.conv_nodes()
    }
    assert any(convs[c.name] is not c for c in model.conv_nodes())
    told = {"second_terms": {"f": 0.5, "sqnr_db": 9.0}}
    verify(replace(model, variants=(Variant(0.1, 8.0, convs),), meta=told))
