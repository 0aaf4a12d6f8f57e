"""Scales that a quantised source brings with it: grids of maps and exponents of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.types import Grid

__all__ = ["NOTHING_STORED", "Stored"]


@dataclass(frozen=True, eq=False)
class Stored:
    """grids: by tensor, those whose scale is a power of two. exponents: by convolution, z (O,) of
    weights that are whole multiples of 2**z. left: scales that are none, with the reason.
    """

    grids: Mapping[str, Grid] = field(default_factory=dict)
    exponents: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether the source has scales at all."""
        return bool(self.grids or self.exponents or self.left)


NOTHING_STORED = Stored()
