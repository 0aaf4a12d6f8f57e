"""Off-ramps of an integer network whose logits are, on average, those of the float network.

Rounding shifts the logits of a layer, by class, and so the entropies that decide the exits. The
shift is measured on calibration texts: the float formulas with the integers' weights and every
stored tensor rounded to its AF<8,3> codes, beside the float network. The off-ramps' biases take it
back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.albert.network.integer import (
    EMBEDDED,
    STAGED,
    IntegerAlbert,
    IntegerLinear,
    Weights,
)
from shiftforge.quant.albert.network.stages import FloatNetwork, float_stages
from shiftforge.quant.albert.network.weights import STORED
from shiftforge.quant.formats.adaptivfloat import decode, encode
from shiftforge.quant.formats.shift import ints_from_codes
from shiftforge.quant.graph.types import ShiftFormat

__all__ = ["corrected_ramps", "dequantised", "ramp_shifts"]

Floats = NDArray[np.float64]


def _weights(linear: IntegerLinear, weights: Weights) -> Floats:
    """What a matrix's codes stand for."""
    if weights == "af":
        return np.asarray(decode(linear.codes, STORED, int(linear.exponent[0])), dtype=np.float64)
    terms = 1 if weights == "shift1" else 2
    first, second = linear.codes & np.uint8(15), linear.codes >> np.uint8(4)
    whole = ints_from_codes(first, second, ShiftFormat(4, terms, "S1" if terms == 1 else "S2"))
    return whole * 2.0 ** linear.exponent.astype(np.float64)[:, None]


def dequantised(network: FloatNetwork, made: IntegerAlbert) -> FloatNetwork:
    """The float network with the weights, biases and norms of the integers made from it."""
    values, one = dict(network.values), 2.0**made.fraction
    ramps = {f"ramp {index}": ramp for index, ramp in enumerate(made.ramps)}
    for name, linear in {**made.linears, **ramps}.items():
        values[name] = _weights(linear, made.weights)
        values[name + ".bias"] = linear.bias / one
    for name, norm in made.norms.items():
        values[name + ".gamma"] = norm.gamma / 2.0**norm.gamma_fraction
        values[name + ".beta"] = norm.beta / one
    return replace(network, values=values)


def ramp_shifts(
    network: FloatNetwork, made: IntegerAlbert, texts: Sequence[NDArray[np.int64]]
) -> Floats:
    """(layers, classes) mean logits of the rounded network less those of the float one."""

    def rounded(layer: int | None, name: str, values: Floats) -> Floats:
        known = EMBEDDED if layer is None else STAGED
        # The exit is decided on the logits before they become codes.
        if name not in known or name == "logits":
            return values
        bias = (made.embedding_biases if layer is None else made.biases[layer])[name]
        return np.asarray(decode(encode(values, STORED, bias), STORED, bias), dtype=np.float64)

    own = dequantised(network, made)
    total = np.zeros((network.layers, len(network.classes)))
    for ids in texts:
        _, got = float_stages(own, ids, rounded=rounded)
        _, want = float_stages(network, ids)
        total += [a["logits"][0] - b["logits"][0] for a, b in zip(got, want, strict=True)]
    return total / len(texts)


def corrected_ramps(
    network: FloatNetwork, made: IntegerAlbert, texts: Sequence[NDArray[np.int64]]
) -> IntegerAlbert:
    """The integers with biases of their off-ramps less ``ramp_shifts``, rounded half to even.

    texts: token identities (L,) of calibration sentences, at least one.
    """
    shifts = np.rint(ramp_shifts(network, made, texts) * 2**made.fraction).astype(np.int32)
    ramps = [
        replace(ramp, bias=ramp.bias - own) for ramp, own in zip(made.ramps, shifts, strict=True)
    ]
    corrected = replace(made, ramps=tuple(ramps))
    corrected.check()
    return corrected
