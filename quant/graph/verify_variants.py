"""The specification of variants: other weights, each of them as valid as the nodes' own."""

from __future__ import annotations

import math
from dataclasses import fields

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Conv, QuantizedModel, Variant
from shiftforge.quant.graph.variants import META_KEY, own_share
from shiftforge.quant.graph.verify_conv import check_conv

__all__ = ["MAX_VARIANTS", "check_variants"]

MAX_VARIANTS = 16

_OWN = ("weight", "z", "bias", "format", "acc_bits", "multiplier", "shift")
_SHARED = tuple(f.name for f in fields(Conv) if f.name not in _OWN)
_REMEDY = "quantise the network again"


def check_variants(model: QuantizedModel, sound: set[str]) -> list[Problem]:
    """What is wrong with a model's variants, and with what its meta says of its own share.

    Their shares ascend, and none is that of the nodes' own weights. Each holds every convolution of
    the network once, with the shape, wiring and kind of requantisation that the network's has.

    sound: tensors whose fields can be relied upon; convolutions at others are left out.
    """
    try:
        own = own_share(model)
    except InputError as error:
        return list(error.problems)
    if not model.variants:
        return []
    if len(model.variants) > MAX_VARIANTS:
        what = f"{len(model.variants)} variants, {MAX_VARIANTS} at most"
        return [Problem(what, _REMEDY, "variants")]
    problems = []
    if own is None:
        what = f"there are variants, and {META_KEY!r} says nothing of the nodes' own weights"
        problems.append(Problem(what, _REMEDY, "meta"))
    last = -math.inf
    for k, variant in enumerate(model.variants):
        where, texts = f"variant {k}", []
        if not (math.isfinite(variant.second_terms) and variant.second_terms >= 0):
            texts.append(f"its share {variant.second_terms} is no number >= 0")
        elif variant.second_terms <= last:
            texts.append(f"its share {variant.second_terms:g} is not above the one before")
        elif own is not None and variant.second_terms == own.second_terms:
            texts.append(f"its share {variant.second_terms:g} is that of the nodes' own weights")
        if not math.isfinite(variant.sqnr_db):
            texts.append(f"its SQNR {variant.sqnr_db} is not finite")
        last = variant.second_terms
        problems += [Problem(text, _REMEDY, where) for text in texts]
        problems += _convs(variant, model, sound, where)
    return problems


def _convs(variant: Variant, model: QuantizedModel, sound: set[str], where: str) -> list[Problem]:
    convs = {conv.name: conv for conv in model.conv_nodes()}
    problems = [
        Problem(f"has weights for {name!r}, which is no convolution", _REMEDY, where)
        for name in sorted(variant.convs.keys() - convs.keys())
    ]
    for name, conv in convs.items():
        own = variant.convs.get(name)
        place = f"{where}, {name} ({conv.source})"
        if own is None:
            problems.append(Problem("the convolution has no weights there", _REMEDY, place))
            continue
        texts = [
            f"{field} is {getattr(own, field)!r}, the network's is {getattr(conv, field)!r}"
            for field in _SHARED
            if getattr(own, field) != getattr(conv, field)
        ]
        if own.weight.shape != conv.weight.shape:
            texts.append(f"weight is {own.weight.shape}, the network's is {conv.weight.shape}")
        if (own.multiplier is None) != (conv.multiplier is None):
            texts.append("is requantised in another way than the network's")
        if not texts and {conv.input, conv.output} <= sound:
            texts = check_conv(own, model.tensors[conv.input], model.tensors[conv.output])
        problems += [Problem(text, "", place) for text in texts]
    return problems
