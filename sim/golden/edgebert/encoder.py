"""One ALBERT encoder layer on the unit, every stage's tensor under its name.

Stages are AF codes with an exponent bias of their own, but ``scores`` and ``ffn1``, which stay in
fixed point on their way to the special function unit. ``vt`` is V transposed: the product X Wv is
drained by columns (docs/EDGEBERT_UNIT.md), which changes the order of vectors and no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.sim.golden.edgebert.add import add_af
from shiftforge.sim.golden.edgebert.afcode import AF8, AfFormat, af_to_fixed, fixed_to_af
from shiftforge.sim.golden.edgebert.bitmask import Codes
from shiftforge.sim.golden.edgebert.fixed import Ints
from shiftforge.sim.golden.edgebert.gelu import gelu
from shiftforge.sim.golden.edgebert.layernorm import layer_norm, norm_constants
from shiftforge.sim.golden.edgebert.mac import AccMode, matmul_af, matmul_shift
from shiftforge.sim.golden.edgebert.post import post_fixed, shift_amount_af, shift_amount_shift
from shiftforge.sim.golden.edgebert.softmax import softmax_af, span_rows

__all__ = [
    "STAGES",
    "LayerWeights",
    "Linear",
    "Norm",
    "Unit",
    "encoder_layer",
    "linear",
]

CodeArray = NDArray[np.uint8]

STAGES = (
    "q", "k", "v", "vt", "scores", "probabilities", "context", "attention_output", "add1", "norm1",
    "ffn1", "gelu", "ffn2", "add2", "norm2",
)  # fmt: skip
"""Names of the tensors that a layer returns, in the order of computation."""
_BIASED = frozenset(STAGES) - {"vt", "scores", "ffn1"} | {"input"}


@dataclass(frozen=True)
class Unit:
    """n lanes, accumulator mode, F fraction bits, AF format.

    passes_terms: how QK^T and AV are formed: 0 on AF x AF lanes, 1 or 2 by mantissa-term passes.
    """

    n: int = 16
    mode: AccMode = "sat32"
    fraction: int = 10
    fmt: AfFormat = AF8
    passes_terms: int = 0


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear layer: codes (N, K) as stored (B transposed), bias (N,) int32 with F fraction bits.

    exponent: the exponent bias of AF weights, or z (N,) of SHIFT weights.
    """

    codes: CodeArray
    kind: Codes
    exponent: int | NDArray[Any]
    bias: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Norm:
    """gamma (H,) int16 with ``gamma_fraction`` bits, beta (H,) int32 with F fraction bits."""

    gamma: NDArray[Any]
    beta: NDArray[Any]
    gamma_fraction: int = 12
    epsilon: float | str = "1e-12"


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """spans: (heads, L) mask tables of 0..256 over \\|i - j\\|, or None for no mask.

    biases: the exponent bias of ``input`` and of every AF stage of ``STAGES`` but ``vt``.
    """

    heads: int
    q: Linear
    k: Linear
    v: Linear
    output: Linear
    norm1: Norm
    ffn1: Linear
    ffn2: Linear
    norm2: Norm
    biases: Mapping[str, int]
    spans: NDArray[Any] | None = None


def linear(x: CodeArray, x_bias: int, layer: Linear, unit: Unit) -> Ints:
    """Return t (M, N), 32-bit fixed point, of activations x (M, K) through a linear layer."""
    weights = layer.codes.T
    if layer.kind == "af":
        if not isinstance(layer.exponent, int):
            raise InputError(Problem("AF weights have one exponent bias"))
        acc = matmul_af(x, weights, unit.n, unit.mode, unit.fmt)
        shift: Any = shift_amount_af(x_bias, layer.exponent, unit.fraction, 0, unit.fmt)
    else:
        terms = 1 if layer.kind == "shift1" else 2
        acc = matmul_shift(x, weights, terms, unit.n, unit.mode, unit.fmt)
        shift = shift_amount_shift(x_bias, layer.exponent, unit.fraction, unit.fmt)
    return post_fixed(acc, shift, layer.bias)


def encoder_layer(
    x: CodeArray, layer: LayerWeights, unit: Unit, *, skip: bool = False
) -> dict[str, NDArray[Any]]:
    """Return every stage of one layer for the input codes x (L, H).

    skip: heads whose span mask is 0 throughout are not computed; their scores are given as 0.

    All L tokens are valid. Stages of attention heads, ``scores`` and ``probabilities``, have the
    shape (heads, L, L); ``vt`` (H, L); the rest (L, H) or, for ``ffn1`` and ``gelu``, (L, FFN).
    Raises InputError where the head width is no power of 4 or a bias is missing.
    """
    width = x.shape[1] // layer.heads
    half = (width.bit_length() - 1) // 2
    problems = [Problem(f"no exponent bias for {s}") for s in sorted(_BIASED - set(layer.biases))]
    if width * layer.heads != x.shape[1] or width != 1 << (2 * half):
        problems.append(
            Problem(f"head width {x.shape[1]}/{layer.heads}", "fold the scale; use a power of 4")
        )
    if problems:
        raise InputError(problems)
    bias, f, fmt = layer.biases, unit.fraction, unit.fmt
    out: dict[str, NDArray[Any]] = {}

    def convert(t: Ints, stage: str) -> CodeArray:
        out[stage] = fixed_to_af(t, f, bias[stage], fmt)
        return out[stage]

    q = convert(linear(x, bias["input"], layer.q, unit), "q")
    k = convert(linear(x, bias["input"], layer.k, unit), "k")
    v = convert(linear(x, bias["input"], layer.v, unit), "v")
    out["vt"] = np.ascontiguousarray(v.T)

    shift_qk = shift_amount_af(bias["q"], bias["k"], f, -half, fmt)
    shift_av = shift_amount_af(bias["probabilities"], bias["v"], f, 0, fmt)
    scores, probabilities, context = [], [], []
    for head in range(layer.heads):
        if skip and layer.spans is not None and not np.any(layer.spans[head]):
            scores.append(np.zeros((len(x), len(x)), dtype=np.int64))
            probabilities.append(np.zeros((len(x), len(x)), dtype=np.uint8))
            context.append(np.zeros((len(x), width), dtype=np.int64))
            continue
        part = slice(head * width, (head + 1) * width)
        acc = matmul_af(q[:, part], k[:, part].T, unit.n, unit.mode, fmt, unit.passes_terms)
        t = post_fixed(acc, shift_qk, 0)
        mask = None if layer.spans is None else span_rows(layer.spans[head], len(x), len(x))
        p = softmax_af(t, f, bias["probabilities"], mask, fmt)
        acc = matmul_af(p, out["vt"][part].T, unit.n, unit.mode, fmt, unit.passes_terms)
        scores.append(t)
        probabilities.append(p)
        context.append(post_fixed(acc, shift_av, 0))
    out["scores"], out["probabilities"] = np.stack(scores), np.stack(probabilities)
    c = convert(np.concatenate(context, axis=1), "context")

    o = convert(linear(c, bias["context"], layer.output, unit), "attention_output")
    out["add1"] = add_af(x, bias["input"], o, bias["attention_output"], bias["add1"], fmt)
    norm1 = convert(_norm(out["add1"], bias["add1"], layer.norm1, unit), "norm1")
    out["ffn1"] = linear(norm1, bias["norm1"], layer.ffn1, unit)
    g = convert(gelu(out["ffn1"], f), "gelu")
    y = convert(linear(g, bias["gelu"], layer.ffn2, unit), "ffn2")
    out["add2"] = add_af(norm1, bias["norm1"], y, bias["ffn2"], bias["add2"], fmt)
    convert(_norm(out["add2"], bias["add2"], layer.norm2, unit), "norm2")
    return {stage: out[stage] for stage in STAGES}


def _norm(codes: CodeArray, bias: int, norm: Norm, unit: Unit) -> Ints:
    constants = norm_constants(codes.shape[1], unit.fraction, norm.epsilon)
    x = af_to_fixed(codes, bias, unit.fraction, unit.fmt)
    return layer_norm(x, norm.gamma, norm.beta, norm.gamma_fraction, constants)
