"""Comparison of a product's codes: first difference in the order of computation, never nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed

__all__ = ["check_codes"]


def check_codes(got: NDArray[np.uint8], want: NDArray[Any], lanes: int) -> int:
    """The number of equal codes; got and want are (m, n).

    Raises CheckFailed with the number of differences and the first one (row tile, column tile,
    row and lane in it), or where the shapes differ or nothing was compared.
    """
    if got.shape != want.shape:
        raise CheckFailed(f"results of shape {got.shape}, expected {want.shape}")
    if got.size == 0:
        raise CheckFailed("nothing was compared")
    rows, columns = np.nonzero(got != want)
    if len(rows) == 0:
        return int(got.size)
    order = np.lexsort((columns, rows, columns // lanes, rows // lanes))
    row, column = int(rows[order[0]]), int(columns[order[0]])
    raise CheckFailed(
        f"{len(rows)} of {got.size} codes differ; first in row tile {row // lanes}, column tile "
        f"{column // lanes}, row {row % lanes}, lane {column % lanes}: "
        f"0x{int(got[row, column]):02x}, expected 0x{int(want[row, column]):02x}"
    )
