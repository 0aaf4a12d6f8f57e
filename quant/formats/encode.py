"""Real weights onto integer levels: per-channel scale exponent, linear-nearest and log rounding."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.formats import shift, uniform
from shiftforge.quant.graph.types import ShiftFormat, WeightFormat

__all__ = ["choose_exponent", "encode", "format_levels", "log_round", "nearest"]

# Coarser and finer scales tried around the one whose top level just covers the largest weight.
_COARSER, _FINER = 1, 4


def format_levels(fmt: WeightFormat) -> NDArray[np.int64]:
    """The representable integer weights of any weight format, ascending."""
    return shift.levels(fmt) if isinstance(fmt, ShiftFormat) else uniform.levels(fmt)


def _magnitudes(levels: ArrayLike) -> NDArray[np.float64]:
    """The levels >= 0 of a symmetric set that holds 0. Raises ValueError for any other set."""
    ordered = np.unique(np.asarray(levels, dtype=np.float64))
    if ordered.size < 3 or not np.array_equal(ordered, -ordered[::-1]) or 0 not in ordered:
        raise ValueError("levels must be symmetric about 0, hold 0 and at least one other value")
    return ordered[ordered >= 0]


def nearest(v: ArrayLike, levels: ArrayLike) -> NDArray[np.int64]:
    """Nearest level of each real value in units of the scale; ties go to the smaller magnitude.

    levels: integers symmetric about 0. Values beyond the largest level saturate.
    """
    magnitudes = _magnitudes(levels)
    return np.asarray(_nearest(np.asarray(v, dtype=np.float64), magnitudes), dtype=np.int64)


def _nearest(v: NDArray[np.float64], magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    # side="left": a value equal to a middle keeps the lower index, the smaller magnitude.
    found = magnitudes[np.searchsorted(middles, np.abs(v), side="left")]
    return np.asarray(np.copysign(found, v), dtype=np.float64)


def log_round(v: ArrayLike, fmt: ShiftFormat) -> NDArray[np.int64]:
    """The DTSSQ paper's rounding (Eq. 2-4, residual of Eq. 5 and 7 for the second term).

    v: real weights in units of the scale. One term is ``sign(v) * 2**P`` with
    ``P = clip(round(log2 |v|), lo, E - 1)``, and 0 where the rounded exponent is below lo = 0. The
    second term rounds the residual the same way, its exponent kept below the first one's.
    Returns representable integers (``codes_from_ints`` writes their canonical form).
    """
    values = np.asarray(v, dtype=np.float64)
    top = shift.exponent_count(fmt) - 1
    first, exponent = _log_term(values, np.full(values.shape, top))
    if fmt.terms == 2:
        second, _ = _log_term(values - first, exponent - 1)
        first = first + np.where(first == 0, 0, second)
    return first.astype(np.int64)


def _log_term(
    v: NDArray[np.float64], top: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    with np.errstate(divide="ignore"):
        exponent = np.rint(np.log2(np.abs(v)))
    alive = (exponent >= 0) & (top >= 0)
    clipped = np.clip(np.where(alive, exponent, 0), 0, np.maximum(top, 0)).astype(np.int64)
    return np.where(alive, np.copysign(np.ldexp(1.0, clipped), v), 0.0), clipped


def choose_exponent(
    w: ArrayLike,
    levels: ArrayLike,
    coarse: ArrayLike | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.int8]:
    """Per-channel power-of-two scale exponent z of least squared error, int8 (O,).

    w: real weights (O, ...). levels: representable integers, symmetric about 0. Tried are the
    exponent at which the largest level just covers the channel's largest weight, one coarser and
    four finer (which saturate); of equal errors the coarser scale wins. A channel of zeros takes
    the finest exponent of the other channels, so that it never widens their spread.
    allowed: bool, of w's shape: the weights that may take all levels; others take those of
    ``coarse``, fewer of them, alone.
    Raises InputError for weights that are not finite, or whose exponent leaves int8.
    """
    weights = np.asarray(w, dtype=np.float64)
    rows = weights.reshape(weights.shape[0], -1)
    if not np.isfinite(rows).all():
        raise InputError(Problem("weights hold NaN or infinity", "train or load the network again"))
    magnitudes = _magnitudes(levels)
    peak = np.abs(rows).max(axis=1, initial=0.0)
    alive = peak > 0
    few = magnitudes if coarse is None else _magnitudes(coarse)
    marked = None if allowed is None else np.asarray(allowed).reshape(rows.shape)
    top = magnitudes[-1] if marked is None else np.where(marked.any(1), magnitudes[-1], few[-1])
    cover = np.ceil(np.log2(np.where(alive, peak, 1.0) / top)).astype(np.int64)
    best = cover + _COARSER
    least = np.full(rows.shape[0], np.inf)
    for step in range(_COARSER, -_FINER - 1, -1):
        z = (cover + step)[:, None]
        scaled = np.ldexp(rows, -z)
        near = _nearest(scaled, magnitudes)
        if marked is not None:
            near = np.where(marked, near, _nearest(scaled, few))
        error = np.square(rows - np.ldexp(near, z)).sum(axis=1)
        better = error < least
        best, least = np.where(better, cover + step, best), np.where(better, error, least)
    best = np.where(alive, best, best[alive].min() if alive.any() else 0)
    if np.any((best < -128) | (best > 127)):
        raise InputError(
            Problem(
                "a channel's weights need a scale exponent outside [-128, 127]",
                "rescale the network's weights",
            )
        )
    return best.astype(np.int8)


def encode(
    w: ArrayLike,
    z: NDArray[np.int8],
    fmt: WeightFormat,
    rounding: Literal["nearest", "log"] = "nearest",
) -> NDArray[np.int8]:
    """Integer weights (O, ...) of real weights at scale exponents z (O,): w ~ w_int * 2**z.

    Shift formats round to the linearly nearest level (ties to the smaller magnitude) or by the
    paper's log rounding; uniform formats round half to even. All saturate.
    """
    weights = np.asarray(w, dtype=np.float64)
    if not np.isfinite(weights).all():
        raise InputError(Problem("weights hold NaN or infinity", "train or load the network again"))
    column = np.asarray(z, dtype=np.int64).reshape((-1,) + (1,) * (weights.ndim - 1))
    scaled = np.ldexp(weights, -column)
    if not isinstance(fmt, ShiftFormat):
        return uniform.round_to_levels(scaled, fmt)
    if rounding == "log":
        shift.tables(fmt)  # refuses an impossible format
        return log_round(scaled, fmt).astype(np.int8)
    return nearest(scaled, shift.levels(fmt)).astype(np.int8)
