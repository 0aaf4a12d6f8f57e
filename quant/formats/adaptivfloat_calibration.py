"""Exponent biases of activations, from values that a calibration run saw.

Weights take the bias of their largest magnitude; activations have outliers, for which a smaller
bias (a finer bottom, a lower top that saturates) can be the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from shiftforge.errors import Problem, Problems
from shiftforge.quant.formats.adaptivfloat import (
    MIN_BIAS,
    AdaptivFloatFormat,
    BiasRegister,
    bias_of_peak,
    decode,
    encode,
    finite,
)

__all__ = ["METHODS", "Method", "calibrate_bias"]

Method: TypeAlias = Literal["max", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("max", "percentile", "mse")

# Biases tried below the one of the largest magnitude; each halves the range. No larger one can have
# a smaller error: it only makes small values coarser.
_FINER = 4


def calibrate_bias(
    batches: Sequence[ArrayLike],
    fmt: AdaptivFloatFormat,
    method: Method = "mse",
    *,
    percentile: float = 99.99,
    register: BiasRegister | None = None,
) -> int:
    """The exponent bias of one tensor from the values it took.

    batches: real values, each of any shape. "max" is the published rule over all of them;
    "percentile" the same rule for the smallest magnitude that at least that share (0 < percentile
    <= 100) of the values other than zero does not exceed (zeros are exact under every bias); "mse"
    the bias of least squared error, the larger of equals. With a register the bias is one that it
    can hold (BiasRegister.fit). Nothing but zeros gives MIN_BIAS, or the register's lowest.
    Raises InputError for no batches, NaN or infinity, an unknown method, a percentile out of range,
    and values too large for any bias or for the register.
    """
    problems = Problems()
    if method not in METHODS:
        problems.append(Problem(f"unknown method {method!r}", "use one of " + ", ".join(METHODS)))
    if not 0 < percentile <= 100:
        problems.append(Problem(f"percentile {percentile}", "use one above 0 and up to 100"))
    if len(batches) == 0:
        problems.append(Problem("no values to calibrate from", "give at least one batch"))
    problems.stop()
    if method == "percentile":
        bias = bias_of_peak(_binade(batches, percentile / 100), fmt)
    else:
        bias = bias_of_peak(max(float(np.abs(finite(b)).max(initial=0.0)) for b in batches), fmt)
    if method == "mse":
        bias = _least_error(batches, fmt, bias)
    return bias if register is None else register.fit(bias)


def _binade(batches: Sequence[ArrayLike], share: float) -> float:
    """2**floor(log2 v) of the quantile v of the magnitudes other than zero; 0 if all are zero."""
    lowest, highest = -1074, 1023  # exponents of float64
    counts = np.zeros(highest - lowest + 1, dtype=np.int64)
    for batch in batches:
        real = finite(batch)
        exponent = np.frexp(real[real != 0])[1].astype(np.int64) - 1
        counts += np.bincount(exponent - lowest, minlength=counts.size)
    total = int(counts.sum())
    if total == 0:
        return 0.0
    place = int(np.searchsorted(np.cumsum(counts), share * total, side="left"))
    return float(np.ldexp(1.0, place + lowest))


def _least_error(batches: Sequence[ArrayLike], fmt: AdaptivFloatFormat, cover: int) -> int:
    candidates = range(cover, max(cover - _FINER, MIN_BIAS) - 1, -1)
    errors = np.zeros(len(candidates))
    for batch in batches:
        real = finite(batch)
        for k, bias in enumerate(candidates):
            errors[k] += np.square(decode(encode(real, fmt, bias), fmt, bias) - real).sum()
    return candidates[int(np.argmin(errors))]  # the first of equals
