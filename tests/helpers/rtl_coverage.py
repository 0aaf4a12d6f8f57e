"""Functional coverage: which of the cases that matter a stream of operands has brought up.

Points are counted from the stimulus and from golden's intermediate values, so that they hold for
any bench that drives the stream and compares its results. A point of the post-processing or of the
conversion is named by what golden does there (EDGEBERT_UNIT.md, 1.3, 1.5 and 1.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.golden.edgebert.afcode import AfFormat, af_fields, signed_value
from shiftforge.sim.golden.edgebert.fixed import bit_length, saturate, shift_round
from shiftforge.sim.golden.edgebert.mac import shift_values

Codes: TypeAlias = NDArray[Any]
Marks: TypeAlias = dict[str, Any]
INT32 = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True)
class Coverage:
    """hits: how often each point came up, 0 where it did not."""

    hits: Mapping[str, int]

    def __add__(self, other: Coverage) -> Coverage:
        """Both streams together."""
        names = dict.fromkeys([*self.hits, *other.hits])
        return Coverage({n: self.hits.get(n, 0) + other.hits.get(n, 0) for n in names})

    @property
    def missing(self) -> tuple[str, ...]:
        """The points that did not come up."""
        return tuple(name for name, count in self.hits.items() if count == 0)

    def table(self) -> str:
        """Markdown: a line a point."""
        lines = [f"| {name} | {count} |" for name, count in self.hits.items()]
        return "\n".join(["| Point | Hits |", "|---|---|", *lines, ""])

    def require(self) -> int:
        """The number of points; raises CheckFailed with those that did not come up."""
        if not self.hits:
            raise CheckFailed("coverage: no points")
        if self.missing:
            raise CheckFailed(
                f"coverage: {len(self.missing)} of {len(self.hits)} points not hit: "
                + "; ".join(self.missing)
            )
        return len(self.hits)


@dataclass(frozen=True)
class ColumnPost:
    """Post-processing of a column: shift -64..63, bias int32, ReLU, F, output exponent bias."""

    shift: int
    bias: int
    relu: bool
    frac: int
    out_bias: int


def _count(marks: Marks) -> Coverage:
    return Coverage({name: int(np.count_nonzero(found)) for name, found in marks.items()})


def mask_coverage(codes: Codes, zero_bits: int, name: str) -> Coverage:
    """Mask patterns and zeros of vectors of codes (vectors, lanes).

    zero_bits: bits of a code that are all 0 in a zero (for AF, all but the sign).
    """
    lanes = codes.shape[1]
    held = (codes & zero_bits) != 0
    index, count = np.arange(lanes), held.sum(axis=1)
    marks: Marks = {f"{name} mask empty": count == 0, f"{name} mask full": count == lanes}
    for lane in range(lanes):
        marks[f"{name} mask of lane {lane} alone"] = (count == 1) & held[:, lane]
    for phase, word in enumerate(("even", "odd")):
        marks[f"{name} mask of {word} lanes"] = (held == (index % 2 == phase)).all(axis=1)
    marks[f"{name} zero, positive"] = codes == 0
    marks[f"{name} zero, negative"] = ~held & (codes != 0)
    return _count(marks)


def _exponents(config: UnitConfig, a: Codes, b: Codes) -> Marks:
    """Every sum and difference of exponents that meet in a lane, both factors not zero."""
    fmt = AfFormat(config.af_bits, config.exp_bits)
    _, size, left = af_fields(a, fmt)
    top, marks = fmt.exp_top, {}
    if config.weights == "af":
        _, other, right = af_fields(b, fmt)
        pairs = [("", right, (size != 0) & (other != 0), 0, top)]
    else:
        pairs = []
        for term in range(config.terms):
            code = (b.astype(np.int64) >> (4 * term)) & 7
            pairs.append((f"term {term}: ", code, (size != 0) & (code != 0), 1, 7))
    for prefix, right, live, low, high in pairs:
        for total in range(low, top + high + 1):
            marks[f"{prefix}exponent sum {total}"] = live & (left + right == total)
        for apart in range(-high, top - low + 1):
            marks[f"{prefix}exponent difference {apart}"] = live & (left - right == apart)
    return marks


def _accumulate(config: UnitConfig, a: Codes, b: Codes) -> tuple[NDArray[np.int64], Marks]:
    fmt = AfFormat(config.af_bits, config.exp_bits)
    right = signed_value(b, fmt) if config.weights == "af" else shift_values(b, config.terms)
    tree = (signed_value(a, fmt) * right).sum(axis=2)
    acc = np.zeros(len(tree), dtype=np.int64)
    high = low = 0
    for step in range(tree.shape[1]):
        acc = acc + tree[:, step]
        if config.accumulator == "sat32":
            high, low = high + (acc > INT32[1]).sum(), low + (acc < INT32[0]).sum()
            acc = np.clip(acc, *INT32)
    if config.accumulator != "sat32":
        return acc, {}
    return acc, {"accumulator saturates high": [1] * high, "accumulator saturates low": [1] * low}


def _post(acc: NDArray[np.int64], p: ColumnPost) -> tuple[NDArray[np.int64], Marks]:
    down = min(max(p.shift, 0), 62)
    floor, whole = acc >> down, 1 << down
    twice, odd = 2 * (acc - (floor << down)), (floor & 1) == 1
    positive, every = p.shift > 0, np.ones(acc.shape, dtype=bool)
    shifted = shift_round(acc, p.shift)
    # Before saturation; |acc| > 2^31 saturates by itself.
    raised = np.clip(acc, -(1 << 31), 1 << 31) << min(-p.shift, 31) if p.shift < 0 else shifted
    t = saturate(shifted, 32)
    biased = t + p.bias
    fixed = saturate(biased, 32)
    marks = {
        "shift left": every & (p.shift < 0),
        "shift by 0": every & (p.shift == 0),
        "shift right": every & positive,
        "shift: nothing is dropped": positive & (twice == 0),
        "shift: below a half": positive & (twice > 0) & (twice < whole),
        "shift: tie, down to even": positive & (twice == whole) & ~odd,
        "shift: tie, up to even": positive & (twice == whole) & odd,
        "shift: above a half": positive & (twice > whole),
        "shift saturates high": raised > INT32[1],
        "shift saturates low": raised < INT32[0],
        "bias saturates high": biased > INT32[1],
        "bias saturates low": biased < INT32[0],
        "ReLU off, negative": (not p.relu) & (fixed < 0),
        "ReLU on, negative": p.relu & (fixed < 0),
        "ReLU on, positive": p.relu & (fixed > 0),
    }
    return np.maximum(fixed, 0) if p.relu else fixed, marks


def _convert(t: NDArray[np.int64], p: ColumnPost, fmt: AfFormat) -> Marks:
    """The branches of 1.6, in its order."""
    m, u, one = fmt.man_bits, np.abs(t), p.out_bias + p.frac
    # Both sides times 2^(m + 1), and times 2^-one where that is negative.
    least = ((1 << m) + 1) << min(max(one, 0), 40)
    scaled = (u << (m + 1)) << min(max(-one, 0), 20)
    zero, smallest = scaled <= least, (scaled > least) & (scaled < 2 * least)
    rest = ~zero & ~smallest
    place = np.maximum(bit_length(u) - 1, 0)
    down = np.maximum(place - m, 0)
    floor = (u << np.maximum(m - place, 0)) >> down
    dropped = u - ((u >> down) << down)
    half = np.where(down > 0, (np.int64(1) << down) >> 1, -1)
    up = (dropped > half) & (down > 0) | (dropped == half) & ((floor & 1) == 1)
    carry = rest & up & (floor == (2 << m) - 1)
    k = place - one
    over, top = k > fmt.exp_top, fmt.exp_top
    normal = rest & ~over & ~(carry & (k == top))
    marks: Marks = {
        "conversion: 0": u == 0,
        "conversion: to zero": zero & (u != 0) & (scaled < least),
        "conversion: tie to zero": zero & (u != 0) & (scaled == least),
        "conversion: smallest value": smallest,
        "conversion: positive": normal & (t > 0),
        "conversion: negative": normal & (t < 0),
        "conversion: tie, down to even": normal & (dropped == half) & ~up,
        "conversion: tie, up to even": normal & (dropped == half) & up,
        "conversion: carry": normal & carry,
        "conversion: carry past the largest": carry & (k == top),
        "conversion: past the largest": rest & over,
        "conversion: largest negative": rest & over & (t < 0),
    }
    for exponent in range(top + 1):
        marks[f"conversion: exponent {exponent}"] = normal & (k + carry == exponent)
    return marks


def column_coverage(config: UnitConfig, a: Codes, b: Codes, post: ColumnPost) -> Coverage:
    """Points of sums in one column; a, b: (sums, steps, lanes) codes, no mantissa-term passes."""
    lanes = config.lanes
    sign = (1 << (config.af_bits - 1)) - 1
    weight = sign if config.weights == "af" else 0x77
    acc, sums = _accumulate(config, a, b)
    fixed, posted = _post(acc, post)
    converted = _convert(fixed, post, AfFormat(config.af_bits, config.exp_bits))
    return (
        mask_coverage(a.reshape(-1, lanes), sign, "A")
        + mask_coverage(b.reshape(-1, lanes), weight, "B")
        + _count({**_exponents(config, a, b), **sums, **posted, **converted})
    )
