"""A trained classifier to the unit's integers: AF<8,3> or SHIFT weights, calibrated biases."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.embedding import EmbeddingTable
from shiftforge.quant.albert.network import (
    EMBEDDED,
    STAGED,
    IntegerAlbert,
    IntegerLinear,
    IntegerNorm,
    Weights,
)
from shiftforge.quant.albert.stages import LINEARS, NORMS, FloatNetwork, float_stages
from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, choose_bias, encode
from shiftforge.quant.formats.adaptivfloat_calibration import Method, calibrate_bias
from shiftforge.quant.formats.shift import codes_from_ints, levels
from shiftforge.quant.graph.types import ShiftFormat

__all__ = ["FRACTION", "convert", "shift_channels"]

FRACTION = 10
_LEAST_BIAS = -20  # a tensor of zeros would ask for less
_APART = 16  # exponent biases of the two operands of a sum
_FINER = 3

Floats = NDArray[np.float64]


def shift_channels(values: Floats, terms: int) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """SHIFT4 codes (N, K) and z (N,) of least squared error in each output channel."""
    fmt = ShiftFormat(4, terms, "S1" if terms == 1 else "S2")
    ranked = levels(fmt)
    middle = (ranked[1:] + ranked[:-1]) / 2
    peak = np.abs(values).max(axis=1)
    cover = np.ceil(np.log2(np.where(peak > 0, peak, 1) / ranked[-1])).astype(np.int64)
    best = np.zeros(values.shape, dtype=np.int64)
    z = cover.copy()
    least = np.full(len(values), np.inf)
    for finer in range(_FINER + 1):
        step = 2.0 ** (cover - finer)[:, None]
        chosen = ranked[np.searchsorted(middle, values / step)]
        error = np.square(chosen * step - values).sum(axis=1)
        better = error < least
        least[better], z[better] = error[better], (cover - finer)[better]
        best[better] = chosen[better]
    first, second = codes_from_ints(best, fmt)
    return first | (second << np.uint8(4)), z.astype(np.int8)


def _integer(values: Floats, bits: int, what: str) -> NDArray[np.int64]:
    whole = np.rint(values).astype(np.int64)
    if whole.size and (whole.min() < -(1 << (bits - 1)) or whole.max() >= 1 << (bits - 1)):
        raise InputError(Problem(f"{what} takes more than {bits} bits", "use a smaller network"))
    return whole


def _linear(network: FloatNetwork, name: str, weights: Weights) -> IntegerLinear:
    values = network.values[name]
    bias = _integer(network.values[name + ".bias"] * 2**FRACTION, 32, f"bias of {name}")
    if weights == "af":
        fmt = AdaptivFloatFormat()
        chosen = max(choose_bias(values, fmt), _LEAST_BIAS)
        codes = encode(values, fmt, chosen).astype(np.uint8)
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


def _near(biases: dict[str, int], a: str, b: str) -> None:
    """Raise the lower of two biases to what the unit can add."""
    for low, high in ((a, b), (b, a)):
        biases[low] = max(biases[low], biases[high] - _APART)


def _biases(
    network: FloatNetwork, texts: Sequence[NDArray[np.int64]], method: Method
) -> tuple[dict[str, int], list[dict[str, int]]]:
    fmt = AdaptivFloatFormat()
    seen = [float_stages(network, ids) for ids in texts]

    def chosen(values: Sequence[Floats]) -> int:
        return max(calibrate_bias(values, fmt, method), _LEAST_BIAS)

    first = {name: chosen([own[0][name] for own in seen]) for name in EMBEDDED}
    # The tables hold more than the calibration texts show.
    for name, table in (("word", network.values["word"]), ("place", _places(network))):
        first[name] = max(choose_bias(table, fmt), _LEAST_BIAS)
    _near(first, "word", "place")
    before = first["input"]
    layers = []
    for index in range(network.layers):
        own = {
            name: chosen([stages[1][index][name] for stages in seen])
            for name in STAGED
            if name != "input"
        }
        own["input"] = before
        # The input's bias is the layer before's: it is the other operand that yields.
        for kept, other in (("input", "attention_output"), ("norm1", "ffn2")):
            own[other] = max(own[other], own[kept] - _APART)
        layers.append(own)
        before = own["norm2"]
    return first, layers


def _places(network: FloatNetwork) -> Floats:
    """Embeddings (types, L, E) of every place: position plus token type."""
    both: Floats = network.values["position"][None] + network.values["type"][:, None]
    return both


def convert(
    network: FloatNetwork,
    texts: Sequence[NDArray[np.int64]],
    weights: Weights = "af",
    method: Method = "mse",
) -> IntegerAlbert:
    """The integer network of a float one.

    texts: token identities (L,) of calibration sentences, no longer than the network's length.
    weights: AF<8,3>, or SHIFT4 of one or two terms with an exponent a channel; embeddings and
    activations are AF<8,3> in any case. method: of choosing the activations' exponent biases.
    Raises InputError where the network does not fit the unit.
    """
    if not texts:
        raise InputError(Problem("no calibration texts", "give at least one"))
    first, layers = _biases(network, texts, method)
    fmt = AdaptivFloatFormat()
    made = IntegerAlbert(
        weights,
        network.heads,
        FRACTION,
        repr(network.epsilon),
        network.classes,
        EmbeddingTable.from_dense(
            encode(network.values["word"], fmt, first["word"]).astype(np.uint8), first["word"]
        ),
        encode(_places(network), fmt, first["place"]).astype(np.uint8),
        {name: _linear(network, name, weights) for name in ("mapping", *LINEARS)},
        {name: _norm(network, name) for name in ("embedding_norm", *NORMS)},
        tuple(_linear(network, f"ramp {i}", weights) for i in range(network.layers)),
        first,
        tuple(layers),
    )
    made.check()
    return made
