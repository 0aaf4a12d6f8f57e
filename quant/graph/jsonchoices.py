"""Channel orders and variants in the model file, both halves.

An order is the array "order/<tensor>" and nothing else. Variant k has the arrays of
``write_weights`` under "variant/<k>/<conv>", and a place in the graph's list "variants".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.jsonweights import ARRAY_PARTS, Arrays, read_weights, write_weights
from shiftforge.quant.graph.types import Conv, Node, QuantizedModel, Variant
from shiftforge.quant.graph.verify_variants import MAX_VARIANTS

__all__ = ["read_orders", "read_variants", "write_choices"]

_ORDER, _VARIANT = "order/", "variant/"
_REMEDY = "make the model file anew"


def write_choices(model: QuantizedModel, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Put orders and variants beside the graph; returns what the graph says of variants."""
    for name, order in model.orders.items():
        arrays[f"{_ORDER}{name}"] = np.ascontiguousarray(order)
    variants = [
        {
            "second_terms": float(variant.second_terms),
            "sqnr_db": float(variant.sqnr_db),
            "convs": {
                name: write_weights(conv, f"{_VARIANT}{k}/{name}", arrays)
                for name, conv in variant.convs.items()
            },
        }
        for k, variant in enumerate(model.variants)
    ]
    return {"variants": variants} if variants else {}


def read_orders(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The orders by tensor, as they stand: `verify` judges them."""
    return {
        name.removeprefix(_ORDER): values
        for name, values in sorted(arrays.items())
        if name.startswith(_ORDER)
    }


def read_variants(
    top: Fields, nodes: tuple[Node, ...], arrays: Arrays, problems: list[Problem]
) -> tuple[Variant, ...]:
    """The variants of a graph whose own convolutions were read; every fault is noted."""
    listed = top.children("variants") if top.has("variants") else []
    if len(listed) > MAX_VARIANTS:
        top.note(f"{len(listed)} variants, {MAX_VARIANTS} at most")
        return ()
    convs = {node.name: node for node in nodes if isinstance(node, Conv)}
    stems = [f"{_VARIANT}{k}/{name}" for k in range(len(listed)) for name in convs]
    known = {f"{stem}.{part}" for stem in stems for part in ARRAY_PARTS}
    for name in sorted(arrays):
        if name.startswith(_VARIANT) and name not in known:
            problems.append(Problem(f"array {name!r} belongs to no variant", _REMEDY, "variants"))
    return tuple(
        Variant(
            f.real("second_terms"),
            f.real("sqnr_db"),
            _convs(f.child("convs"), f"{_VARIANT}{k}", convs, arrays, problems),
        )
        for k, f in enumerate(listed)
    )


def _convs(
    f: Fields, stem: str, convs: dict[str, Conv], arrays: Arrays, problems: list[Problem]
) -> dict[str, Conv]:
    found = {}
    for name in f.names():
        if name not in convs:
            f.note(f"{name!r} is no convolution of the network")
    for name, conv in convs.items():
        place = f"{f.where}, {name} ({conv.source})"
        own = read_weights(
            f.child(name), f"{stem}/{name}", conv.weight.shape, arrays, place, problems
        )
        if own is not None:
            found[name] = replace(conv, **vars(own))
    return found
