"""Operands of one matrix product, as the RTL and the kernels take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ProductOperands"]


@dataclass(frozen=True, eq=False)
class ProductOperands:
    """a: (m, k) AF codes. b: (n, k) weight codes: AF, a SHIFT4 nibble, or two nibbles with the
    first term in the low one; AF codes of any unit where the product is one of two activations.
    shift: post-shifts (n,), -64..63. bias: (n,), int32."""

    a: NDArray[np.uint8]
    b: NDArray[np.uint8]
    shift: NDArray[np.integer[Any]]
    bias: NDArray[np.integer[Any]]
