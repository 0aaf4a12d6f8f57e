"""Random encoder layers for the EdgeBERT unit: weights, their codes, and the float64 model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, af_values, fixed_to_af
from shiftforge.sim.golden.edgebert.bitmask import Codes
from shiftforge.sim.golden.edgebert.encoder import STAGES, LayerWeights, Linear, Norm
from shiftforge.sim.golden.edgebert.mac import shift_values
from shiftforge.sim.golden.edgebert.softmax import span_table

__all__ = [
    "FRACTION",
    "MATRICES",
    "Case",
    "Floats",
    "af_encode",
    "float_layer",
    "mask_of",
    "random_layer",
    "random_layers",
    "shift_encode",
]

Floats = NDArray[np.float64]
MATRICES = ("q", "k", "v", "output", "ffn1", "ffn2")
FRACTION = 10
GAMMA_FRACTION = 12
FINE = 26  # fraction bits from which reals are encoded
LEAST_BIAS = -20


def _top_bias(values: Floats, fmt: AfFormat) -> int:
    """The exponent bias with which the largest value is just covered."""
    return math.floor(math.log2(float(np.abs(values).max()))) - fmt.exp_top


def af_encode(values: Floats, fmt: AfFormat = AF8) -> tuple[NDArray[np.uint8], int]:
    """Codes and exponent bias that covers the largest value."""
    bias = _top_bias(values, fmt)
    return fixed_to_af(np.rint(values * 2**FINE).astype(np.int64), FINE, bias, fmt), bias


def shift_encode(values: Floats, terms: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Nearest SHIFT codes (N, K) and z (N,)."""
    levels = shift_values(np.arange(16**terms), terms)
    order = np.argsort(levels, kind="stable")
    ranked = levels[order].astype(np.float64)
    top = np.abs(values).max(axis=1)
    z = np.ceil(np.log2(top / (64 * terms))).astype(np.int64)
    scaled = values / 2.0 ** z[:, None]
    middle = (ranked[1:] + ranked[:-1]) / 2
    return order[np.searchsorted(middle, scaled)].astype(np.uint8), z


@dataclass(frozen=True, eq=False)
class Case:
    """A layer in codes, its input codes, and the real values that they stand for."""

    x: NDArray[np.uint8]
    layer: LayerWeights
    weights: dict[str, Floats]
    x_real: Floats


def float_layer(x: Floats, w: dict[str, Any], heads: int, mask: Floats | None) -> dict[str, Floats]:
    """Every stage of the layer in float64, from the formulas of the network."""

    def norm(v: Floats, name: str) -> Floats:
        deviation = np.sqrt(v.var(axis=1, keepdims=True) + 1e-12)
        y: Floats = (v - v.mean(axis=1, keepdims=True)) / deviation
        y = y * w[name + ".g"] + w[name + ".b"]
        return y

    def dense(v: Floats, name: str) -> Floats:
        y: Floats = v @ w[name].T + w[name + ".bias"]
        return y

    out = {name: dense(x, name) for name in ("q", "k", "v")}
    out["vt"] = out["v"].T
    length, width = len(x), x.shape[1] // heads
    q, k, v = (out[s].reshape(length, heads, width).transpose(1, 0, 2) for s in "qkv")
    out["scores"] = q @ k.transpose(0, 2, 1) / math.sqrt(width)
    e = np.exp(out["scores"] - out["scores"].max(axis=2, keepdims=True))
    out["probabilities"] = e / e.sum(axis=2, keepdims=True) * (1.0 if mask is None else mask)
    out["context"] = (out["probabilities"] @ v).transpose(1, 0, 2).reshape(length, -1)
    out["attention_output"] = dense(out["context"], "output")
    out["add1"] = x + out["attention_output"]
    out["norm1"] = norm(out["add1"], "norm1")
    out["ffn1"] = y = dense(out["norm1"], "ffn1")
    out["gelu"] = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
    out["ffn2"] = dense(out["gelu"], "ffn2")
    out["add2"] = out["norm1"] + out["ffn2"]
    out["norm2"] = norm(out["add2"], "norm2")
    return {stage: out[stage] for stage in STAGES}


def random_layer(
    hidden: int,
    heads: int,
    ffn: int,
    length: int,
    kind: Codes = "af",
    spans: bool = False,
    *,
    seed: int | None = None,
    fmt: AfFormat = AF8,
) -> Case:
    """A random layer; exponent biases from the float64 model of its own quantised weights.

    spans: each head has a mask, of a span that grows with the head. seed: by default of the sizes.
    """
    rng = np.random.default_rng(hidden + length if seed is None else seed)
    shapes = dict.fromkeys(("q", "k", "v", "output"), (hidden, hidden))
    shapes |= {"ffn1": (ffn, hidden), "ffn2": (hidden, ffn)}
    real: dict[str, Any] = {}
    linears: dict[str, Linear] = {}
    for name in MATRICES:
        rows, depth = shapes[name]
        w = rng.normal(size=(rows, depth)) * 1.2 / math.sqrt(depth)
        bias = np.rint(rng.normal(size=rows) * 0.2 * 2**FRACTION).astype(np.int64)
        if kind == "af":
            codes, b = af_encode(w, fmt)
            exponent: Any = b
            real[name] = af_values(codes, b, fmt)
        else:
            terms = 1 if kind == "shift1" else 2
            codes, exponent = shift_encode(w, terms)
            real[name] = shift_values(codes, terms) * 2.0 ** exponent[:, None]
        real[name + ".bias"] = bias / 2**FRACTION
        linears[name] = Linear(codes, kind, exponent, bias)
    norms = {}
    for name in ("norm1", "norm2"):
        gamma = np.rint((1 + 0.3 * rng.normal(size=hidden)) * 2**GAMMA_FRACTION).astype(np.int64)
        beta = np.rint(rng.normal(size=hidden) * 0.3 * 2**FRACTION).astype(np.int64)
        real[name + ".g"], real[name + ".b"] = gamma / 2**GAMMA_FRACTION, beta / 2**FRACTION
        norms[name] = Norm(gamma, beta, GAMMA_FRACTION)
    tables = np.stack([span_table(256 * 4 * h, 8, length) for h in range(heads)]) if spans else None
    x, x_bias = af_encode(rng.normal(size=(length, hidden)), fmt)
    x_real = af_values(x, x_bias, fmt)
    stages = float_layer(x_real, real, heads, None if tables is None else mask_of(tables))
    biases = {s: max(_top_bias(v, fmt), LEAST_BIAS) for s, v in stages.items()}
    layer = LayerWeights(
        heads,
        linears["q"],
        linears["k"],
        linears["v"],
        linears["output"],
        norms["norm1"],
        linears["ffn1"],
        linears["ffn2"],
        norms["norm2"],
        biases | {"input": x_bias},
        tables,
    )
    return Case(x, layer, real, x_real)


def random_layers(case: Case, count: int, fmt: AfFormat = AF8) -> tuple[LayerWeights, ...]:
    """The layer of a case ``count`` times in a row: weights, norms and masks are shared, exponent
    biases are each layer's own, from the float64 model of what the layers before it give.

    The first one is the case's own.
    """
    mask = None if case.layer.spans is None else mask_of(case.layer.spans)
    layers, x = [case.layer], case.x_real
    for index in range(count):
        stages = float_layer(x, case.weights, case.layer.heads, mask)
        x = stages["norm2"]
        if index == 0:
            continue
        biases = {s: max(_top_bias(v, fmt), LEAST_BIAS) for s, v in stages.items()}
        before = layers[-1].biases["norm2"]
        layers.append(replace(case.layer, biases=biases | {"input": before}))
    return tuple(layers)


def mask_of(tables: NDArray[Any]) -> Floats:
    """Span masks (heads, L, L) as real values."""
    length = tables.shape[1]
    apart = np.abs(np.arange(length)[:, None] - np.arange(length)[None, :])
    mask: Floats = tables[:, apart] / 256.0
    return mask
