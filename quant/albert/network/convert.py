"""A trained classifier to the unit's integers: AF<8,3> or SHIFT weights, calibrated biases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.albert.network.embedding import EmbeddingTable
from shiftforge.quant.albert.network.integer import (
    EMBEDDED,
    SPAN_ONE,
    STAGED,
    IntegerAlbert,
    IntegerLinear,
    IntegerNorm,
    Weights,
)
from shiftforge.quant.albert.network.stages import LINEARS, NORMS, FloatNetwork, float_stages
from shiftforge.quant.albert.network.weights import LEAST_BIAS, STORED, af_codes, shift_channels
from shiftforge.quant.formats.adaptivfloat import choose_bias, decode, encode
from shiftforge.quant.formats.adaptivfloat_calibration import Method, calibrate_bias

__all__ = ["FRACTION", "Biases", "calibrate", "convert", "coupled_biases", "mask_tables",
           "shift_channels", "zero_shares"]  # fmt: skip

FRACTION = 10
_APART = 16  # exponent biases of the two operands of a sum

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Biases:
    """Exponent biases of tensors: embedding, of EMBEDDED; layers, of STAGED by layer."""

    embedding: Mapping[str, int]
    layers: tuple[Mapping[str, int], ...]


def _integer(values: Floats, bits: int, what: str) -> NDArray[np.int64]:
    whole = np.rint(values).astype(np.int64)
    if whole.size and (whole.min() < -(1 << (bits - 1)) or whole.max() >= 1 << (bits - 1)):
        raise InputError(Problem(f"{what} takes more than {bits} bits", "use a smaller network"))
    return whole


def _linear(network: FloatNetwork, name: str, weights: Weights, bits: int) -> IntegerLinear:
    values = network.values[name]
    bias = _integer(network.values[name + ".bias"] * 2**FRACTION, 32, f"bias of {name}")
    if weights == "af":
        codes, chosen = af_codes(values, bits)
        exponent = np.array([chosen], dtype=np.int8)
    else:
        codes, exponent = shift_channels(values, 1 if weights == "shift1" else 2)
    return IntegerLinear(codes, exponent, bias.astype(np.int32))


def _norm(network: FloatNetwork, name: str) -> IntegerNorm:
    gamma, beta = (network.values[f"{name}.{part}"] for part in ("gamma", "beta"))
    top = max(float(np.abs(gamma).max()), 2.0**-14)
    fraction = min(max(14 - math.floor(math.log2(top)), 0), 15)
    while np.rint(np.abs(gamma).max() * 2**fraction) >= 1 << 15:
        fraction -= 1
    return IntegerNorm(
        _integer(gamma * 2**fraction, 16, f"gamma of {name}").astype(np.int16),
        _integer(beta * 2**FRACTION, 32, f"beta of {name}").astype(np.int32),
        fraction,
    )


def coupled_biases(
    first: Mapping[str, int],
    layers: Sequence[Mapping[str, int]],
    network: FloatNetwork,
    word_bias: int | None = None,
) -> Biases:
    """Biases chosen one by one, made such that the unit can add what it has to add.

    first: of EMBEDDED but ``word`` and ``place``, which follow from the tables' largest magnitudes.
    layers: of STAGED but ``input``, by layer. word_bias: see :func:`calibrate`. The operand that
    comes from outside a sum's own block keeps its bias, the other one is raised.
    Raises InputError where words and places cannot be added.
    """
    # The tables hold more than the calibration texts show, and are AF<8,3> in any case.
    word, place = (
        max(choose_bias(table, STORED), LEAST_BIAS)
        for table in (network.values["word"], _places(network))
    )
    word = word if word_bias is None else word_bias
    if place - word > _APART:
        what = f"exponent biases of words {word} and places {place}"
        remedy = f"no more than {_APART} apart: scale the word table up, or train the places again"
        raise InputError(Problem(what, remedy, "embeddings"))
    embedding = {**first, "word": word, "place": max(place, word - _APART)}
    before, out = embedding["input"], []
    for given in layers:
        # The input's bias is the layer before's.
        own = {**given, "input": before}
        for kept, other in (("input", "attention_output"), ("norm1", "ffn2")):
            own[other] = max(own[other], own[kept] - _APART)
        out.append(own)
        before = own["norm2"]
    return Biases(embedding, tuple(out))


def calibrate(
    network: FloatNetwork,
    texts: Sequence[NDArray[np.int64]],
    method: Method = "mse",
    *,
    word_bias: int | None = None,
) -> Biases:
    """Exponent biases of every tensor, chosen on calibration sentences (L,).

    word_bias: of a word table that is frozen; None takes the published bias of its largest
    magnitude. No other tensor raises it: the place table yields.
    Raises InputError for no texts, and where words and places cannot be added.
    """
    if not texts:
        raise InputError(Problem("no calibration texts", "give at least one"))
    seen = [float_stages(network, ids) for ids in texts]

    def chosen(values: Sequence[Floats]) -> int:
        return max(calibrate_bias(values, STORED, method), LEAST_BIAS)

    first = {
        name: chosen([own[0][name] for own in seen])
        for name in EMBEDDED
        if name not in ("word", "place")
    }
    layers = [
        {
            name: chosen([stages[1][index][name] for stages in seen])
            for name in STAGED
            if name != "input"
        }
        for index in range(network.layers)
    ]
    return coupled_biases(first, layers, network, word_bias)


def _places(network: FloatNetwork) -> Floats:
    """Embeddings (types, L, E) of every place: position plus token type."""
    both: Floats = network.values["position"][None] + network.values["type"][:, None]
    return both


def mask_tables(spans: ArrayLike, ramp: int, length: int) -> NDArray[np.uint16]:
    """Span masks (heads, length) over |i - j|, 8 fraction bits, 0..256.

    clamp(rhe((256 (R - x) + z8) / R), 0, 256) with z8 = rhe(256 z) (docs/EDGEBERT_UNIT.md 2.3).
    spans: z of each head, in tokens, -R or more. ramp: R, 1 or more. Raises InputError.
    """
    z = np.asarray(spans, dtype=np.float64)
    problems = Problems()
    if ramp < 1:
        problems.append(Problem(f"a ramp of {ramp} tokens", "use 1 or more", "spans"))
    if z.ndim != 1 or not np.isfinite(z).all():
        problems.append(Problem(f"spans {z}", "give a finite number a head", "spans"))
    problems.stop()
    top = np.int64(SPAN_ONE) * ramp
    z8 = np.rint(SPAN_ONE * np.clip(z, -ramp, length)).astype(np.int64)
    # Clamped before the division: what is left is 0 .. 256 R.
    scaled = np.clip(top - SPAN_ONE * np.arange(length) + z8[:, None], 0, top)
    down, rest = np.divmod(scaled, ramp)
    odd = down % 2
    # A rest above R/2 rounds up; of exactly R/2 only from an odd quotient.
    return np.asarray(down + (2 * rest + odd > ramp), dtype=np.uint16)


def _words(network: FloatNetwork, bias: int, frozen: bool) -> EmbeddingTable:
    values = network.values["word"]
    codes = encode(values, STORED, bias).astype(np.uint8)
    if frozen:
        off = int((decode(codes, STORED, bias) != values).sum())
        if off:
            what = f"{off} values of the word table are not AF<8,3> of exponent bias {bias}"
            raise InputError(Problem(what, "train with the word table frozen", "word"))
    return EmbeddingTable.from_dense(codes, bias)


def convert(
    network: FloatNetwork,
    texts: Sequence[NDArray[np.int64]],
    weights: Weights = "af",
    method: Method = "mse",
    bits: int = 8,
    *,
    word_bias: int | None = None,
    biases: Biases | None = None,
) -> IntegerAlbert:
    """The integer network of a float one.

    texts: token identities (L,) of calibration sentences, no longer than the network's length.
    weights: AF<bits,3> (4..8 bits, stored as AF<8,3>), or SHIFT4 of one or two terms with an
    exponent a channel; embeddings and activations are AF<8,3> in any case. method: of choosing the
    activations' exponent biases. word_bias: exponent bias of a frozen word table, whose values
    then have to be AF<8,3> of that bias. biases: to take instead of calibrating.
    Raises InputError where the network does not fit the unit.
    """
    chosen = biases or calibrate(network, texts, method, word_bias=word_bias)
    first = chosen.embedding
    spans = network.spans
    made = IntegerAlbert(
        weights,
        network.heads,
        FRACTION,
        repr(network.epsilon),
        network.classes,
        _words(network, first["word"], word_bias is not None),
        encode(_places(network), STORED, first["place"]).astype(np.uint8),
        {name: _linear(network, name, weights, bits) for name in ("mapping", *LINEARS)},
        {name: _norm(network, name) for name in ("embedding_norm", *NORMS)},
        tuple(_linear(network, f"ramp {i}", weights, bits) for i in range(network.layers)),
        dict(first),
        tuple(dict(own) for own in chosen.layers),
        None if spans is None else mask_tables(spans, network.ramp, network.length),
        bits if weights == "af" else 8,
    )
    made.check()
    return made


def zero_shares(network: IntegerAlbert) -> dict[str, float]:
    """Share of zero codes of the word table (``word``), of every matrix and of all matrices
    (``linears``)."""
    matrices = {name: linear.codes for name, linear in network.linears.items()}
    matrices |= {f"ramp {i}": ramp.codes for i, ramp in enumerate(network.ramps)}
    # 0x80 reads as zero as well, but is never written.
    shares = {name: float((codes == 0).mean()) for name, codes in matrices.items()}
    whole = sum(codes.size for codes in matrices.values())
    zeros = sum(int((codes == 0).sum()) for codes in matrices.values())
    return {"word": float((network.word == 0).mean()), "linears": zeros / whole, **shares}
