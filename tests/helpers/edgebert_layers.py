"""Random encoder layers and how near their codes come to the real values."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from shiftforge.sim.edgebert.rtl.random_encoder import (
    MATRICES,
    Case,
    Floats,
    af_encode,
    float_layer,
    mask_of,
    random_layer,
    shift_encode,
)
from shiftforge.sim.golden.edgebert.afcode import af_values

__all__ = [
    "MATRICES",
    "Case",
    "Floats",
    "af_encode",
    "float_layer",
    "mask_of",
    "random_layer",
    "real_stages",
    "shift_encode",
    "sqnr",
]


def real_stages(stages: dict[str, NDArray[Any]], case: Case) -> dict[str, Floats]:
    """The real values of every stage."""
    out = {}
    for name, value in stages.items():
        if name in ("scores", "ffn1"):
            out[name] = value / 1024.0
        else:
            out[name] = af_values(value, case.layer.biases["v" if name == "vt" else name])
    return out


def sqnr(true: Floats, got: Floats) -> float:
    """Signal to quantisation noise, dB."""
    noise = float(((true - got) ** 2).sum())
    return math.inf if noise == 0 else 10 * math.log10(float((true**2).sum()) / noise)
