"""Choices of second words: one network with several shares of them, one of which is active."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Conv, QuantizedModel, Variant

__all__ = ["META_KEY", "OwnShare", "own_share", "shares", "with_variant"]

META_KEY = "second_terms"
"""Of a model's meta: {"f": share of the nodes' own weights, "sqnr_db": of the output, ...}."""


@dataclass(frozen=True)
class OwnShare:
    """Share and SQNR of a model's own weights, as ``Variant`` has them."""

    second_terms: float
    sqnr_db: float


def own_share(model: QuantizedModel) -> OwnShare | None:
    """What the meta says of the nodes' own weights; None where it says nothing of second words.

    Raises InputError where that is no mapping with finite numbers "f" >= 0 and "sqnr_db".
    """
    told = model.meta.get(META_KEY)
    if told is None:
        return None
    held = told if isinstance(told, Mapping) else {}
    f, sqnr = _real(held.get("f")), _real(held.get("sqnr_db"))
    if f is None or sqnr is None or f < 0:
        what = f'{META_KEY!r} has no share "f" >= 0 with its "sqnr_db", or no numbers there'
        raise InputError(Problem(what, "quantise the network again", "meta"))
    return OwnShare(f, sqnr)


def shares(model: QuantizedModel) -> tuple[float, ...]:
    """The shares that ``with_variant`` can choose of, ascending. Raises as ``own_share``."""
    own = own_share(model)
    found = [v.second_terms for v in model.variants]
    return tuple(sorted(found if own is None else [*found, own.second_terms]))


def with_variant(model: QuantizedModel, second_terms: float) -> QuantizedModel:
    """The model with that choice active whose share is the largest of those up to the given one.

    What was active before becomes a variant, so that all choices remain; the meta's "f", "sqnr_db"
    and "second_term_cycles" speak of what is active now, and nothing else of the model changes. The
    model must be valid. Raises InputError where it has no choice with so small a share, or none at
    all.
    """
    own = own_share(model)
    if own is None:
        what = "the model records no share of second words, so that there is no choice"
        raise InputError(Problem(what, "quantise the network with second words", model.name))
    fitting = [f for f in shares(model) if f <= second_terms]
    if not fitting:
        told = ", ".join(f"{f:g}" for f in shares(model))
        what = f"no weights with a share of second words up to {second_terms:g}; there are {told}"
        raise InputError(Problem(what, "choose one of these", model.name))
    if own.second_terms == fitting[-1]:
        return model
    chosen = next(v for v in model.variants if v.second_terms == fitting[-1])
    before = Variant(
        own.second_terms, own.sqnr_db, {conv.name: conv for conv in model.conv_nodes()}
    )
    kept = [v for v in model.variants if v is not chosen]
    told = model.meta[META_KEY]
    meta: dict[str, Any] = {**told, "f": chosen.second_terms, "sqnr_db": chosen.sqnr_db}
    one_term = told.get("one_term_cycles")
    if "second_term_cycles" in told and isinstance(one_term, int) and 0 < one_term < 1 << 62:
        meta["second_term_cycles"] = round(min(chosen.second_terms, 1e9) * one_term)
    return replace(
        model,
        nodes=tuple(chosen.convs[n.name] if isinstance(n, Conv) else n for n in model.nodes),
        variants=tuple(sorted([*kept, before], key=lambda v: v.second_terms)),
        meta={**model.meta, META_KEY: meta},
    )


def _real(value: Any) -> float | None:
    """A finite number, or None; integers in JSON may be too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) >= 1 << 62:
        return None
    return float(value) if math.isfinite(value) else None
