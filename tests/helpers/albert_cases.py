"""Small random ALBERT classifiers and sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.albert.network.convert import convert
from shiftforge.quant.albert.network.integer import IntegerAlbert, Weights
from shiftforge.quant.albert.network.stages import LINEARS, NORMS, FloatNetwork

LENGTHS = (12, 10, 7, 12)


def float_case(seed: int = 0, classes: int = 5, heads: int = 2) -> FloatNetwork:
    """Heads of 16 columns, three layers, embeddings of 24 columns, up to 12 tokens."""
    rng = np.random.default_rng(seed)
    hidden, ffn, embedding, vocabulary = 16 * heads, 40, 24, 50
    sizes = dict.fromkeys(LINEARS, (hidden, hidden))
    sizes |= {"ffn1": (ffn, hidden), "ffn2": (hidden, ffn), "mapping": (hidden, embedding)}
    sizes |= {f"ramp {i}": (classes, hidden) for i in range(3)}
    values: dict[str, Any] = {
        "word": rng.normal(size=(vocabulary, embedding)),
        "position": 0.5 * rng.normal(size=(12, embedding)),
        "type": 0.3 * rng.normal(size=(2, embedding)),
    }
    for name, (rows, depth) in sizes.items():
        values[name] = rng.normal(size=(rows, depth)) / np.sqrt(depth)
        values[name + ".bias"] = 0.2 * rng.normal(size=rows)
    for name in ("embedding_norm", *NORMS):
        size = embedding if name == "embedding_norm" else hidden
        values[name + ".gamma"] = 1 + 0.2 * rng.normal(size=size)
        values[name + ".beta"] = 0.2 * rng.normal(size=size)
    return FloatNetwork(values, heads, 3, 1e-12, tuple("abcde"[:classes]))


def sentences(seed: int = 0) -> list[NDArray[np.int64]]:
    """Token identities of LENGTHS."""
    rng = np.random.default_rng(100 + seed)
    return [rng.integers(4, 50, length) for length in LENGTHS]


def integer_case(weights: Weights = "af", seed: int = 0) -> IntegerAlbert:
    """``float_case`` in integers, calibrated on its sentences."""
    return convert(float_case(seed), sentences(seed), weights)


def optimised_float(seed: int = 0) -> FloatNetwork:
    """Three heads: one without a limit, one off, one that sees the next two tokens in part; three
    of five weights and of five word values are zero."""
    network = float_case(seed, heads=3)
    pruned = dict(network.values)
    for name in ("word", "mapping", *LINEARS):
        values = network.values[name]
        pruned[name] = np.where(np.abs(values) > np.quantile(np.abs(values), 0.6), values, 0.0)
    return replace(network, values=pruned, spans=np.array([12.0, -4.0, -0.7]), ramp=3)


def optimised_case(weights: Weights = "af", seed: int = 0) -> IntegerAlbert:
    """``optimised_float`` in integers."""
    return convert(optimised_float(seed), sentences(seed), weights)
