"""Arithmetic of the area model: every function takes integers or arrays of them, elementwise."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Figure", "alms", "divided", "power_of_two"]

Figure = Any
"""A number, or a numpy array of numbers: one model for a plan and for a search over many."""


def divided(amount: Figure, part: Figure) -> Figure:
    """``amount`` / ``part``, rounded up; integers of 0 or more by integers of 1 or more."""
    return -(-amount // part)


def power_of_two(n: Figure) -> Figure:
    """The next power of two from n on, 1 <= n <= 2^31."""
    low = np.asarray(n, np.int64) - 1
    for bits in (1, 2, 4, 8, 16):
        low = low | (low >> bits)
    return low + 1 if np.ndim(n) else int(low) + 1


def alms(luts: Figure, flip_flops: Figure) -> Figure:
    """ALMs of ``luts`` ALMs of look-up tables and of their flip-flops.

    An ALM has two outputs with a register each and two registers more. Registers beyond the two a
    look-up table's ALM go into ALMs of their own, four each. With half an ALM a look-up table that
    is (tables + flip-flops) / 4, which is what 15 designs of pc2/hpcc_fpga_eval took after place
    and route, to 4 % (bench/conv/area_packing.csv).
    """
    return luts + np.maximum(flip_flops - 2 * luts, 0) / 4
