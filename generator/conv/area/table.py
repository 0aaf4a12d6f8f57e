"""The area model's coefficients, from coefficients.toml, and the shapes of RAM blocks."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib.resources import files
from operator import getitem
from typing import Any

import numpy as np

from shiftforge.generator.conv.area.numbers import Figure, alms, divided, power_of_two

__all__ = ["Block", "coefficients", "cost", "mlab_alms", "sources"]

MLAB_BITS, MLAB_ALM = 20, 10
"""A memory of 32 words x 20 bits in ten ALMs."""


def mlab_alms(bits: Figure) -> Figure:
    """ALMs of a memory of 32 words or fewer in MLABs."""
    return divided(bits, MLAB_BITS) * MLAB_ALM


@dataclass(frozen=True)
class Block:
    """A board's RAM block. bits: of it. width: of its widest port.

    Narrower ports have twice the words, in five steps from 40 bits: 20, 10, 5, 2 and 1.
    """

    bits: int
    width: int

    def blocks(self, bits: Figure, words: Figure) -> Figure:
        """RAM blocks of a memory as the compiler's reports count them.

        The words are a power of two. Its blocks have the shape that holds them all, or the
        narrowest; so many lie side by side as the bits need.
        """
        deep = power_of_two(words)
        rows = self.bits // self.width
        found: Figure = 0
        for step in range(6):
            reach = rows << step
            narrow = divided(bits, self.width >> step) * divided(deep, reach)
            fits = deep <= reach if step < 5 else deep > rows << 4
            below = deep > (reach >> 1 if step else 0)
            found = np.where(fits & below, narrow, found)
        return found


def cost(name: str, beside: Figure = 0, **amounts: Figure) -> Figure:
    """ALMs of one item: ``luts`` and ``ff`` of a row, and of each amount its own.

    name: with dots where rows have parts. beside: ALMs of memory, whose registers are used, too.
    amounts: by the end of the coefficients' names: ``bit=8`` takes luts_bit (or alut_bit) and
    ff_bit eight times. Look-up tables of reports (alut) are half an ALM each.
    """
    row = reduce(getitem, name.split("."), coefficients())

    def total(kind: str) -> Figure:
        found = row.get(kind, 0)
        for end, amount in amounts.items():
            found = found + row.get(f"{kind}_{end}", 0) * amount
        return found

    return alms(beside + total("luts") + total("alut") / 2, total("ff"))


@cache
def coefficients() -> Mapping[str, Any]:
    """All rows by name."""
    path = files("shiftforge.generator.conv.area").joinpath("coefficients.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def sources(*names: str) -> str:
    """The sources of some rows, in words."""
    return "; ".join(dict.fromkeys(coefficients()[name]["source"] for name in names))
