"""Models that hold several choices of weights, with more second words the better their SQNR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.types import Conv, QuantizedModel, ShiftFormat, Variant
from shiftforge.quant.graph.variants import META_KEY

__all__ = ["shares_of"]


def shares_of(model: QuantizedModel, *told: tuple[float, float]) -> QuantizedModel:
    """A model that holds choices of (share, SQNR), the first one active: that share of each
    convolution's inputs has weights of two terms, all others one."""
    convs = model.conv_nodes()
    weights = [{n.name: replace(n, weight=_second_words(n, f)) for n in convs} for f, _ in told]
    first, *others = [(*own, w) for own, w in zip(told, weights, strict=True)]
    nodes = tuple(first[2].get(n.name, n) for n in model.nodes)
    variants = tuple(sorted((Variant(*own) for own in others), key=lambda v: v.second_terms))
    meta = {**model.meta, META_KEY: {"f": first[0], "sqnr_db": first[1]}}
    return replace(model, nodes=nodes, variants=variants, meta=meta)


def _second_words(conv: Conv, share: float) -> NDArray[np.int8]:
    found = np.sign(conv.weight)
    two = isinstance(conv.format, ShiftFormat) and conv.format.terms == 2
    inputs = round(share * found.shape[1]) if found.shape[1] > 1 and two else 0
    found[:, :inputs] = np.where(found[:, :inputs] != 0, 3, 0)
    return found
