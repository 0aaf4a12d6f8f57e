"""What the benches of the special function unit share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.rtl_files import sources_below

SLOW = pytest.mark.slow


def planted(fault: tuple[str, str, str], config: SfuConfig) -> dict[str, str]:
    """The file with its fault; the text to replace occurs once."""
    name, right, wrong = fault
    text = render_sfu(config)[name]
    assert text.count(right) == 1
    return {name: text.replace(right, wrong)}


def same(got: NDArray[np.int64], want: NDArray[np.int64]) -> None:
    """Raises CheckFailed where results differ, are missing or nothing was compared."""
    if got.shape != want.shape or want.size == 0:
        raise CheckFailed(f"{got.shape} results differ from the expected {want.shape}")
    wrong = np.flatnonzero(got != want)
    if len(wrong):
        at = int(wrong[0])
        raise CheckFailed(f"{len(wrong)} differ; first {at}: {got.flat[at]} != {want.flat[at]}")


def used(text: dict[str, str], top: str) -> dict[str, str]:
    """The files below one module."""
    return {name: text[name] for name in sources_below(text, top)}


def vectors(row: NDArray[Any], lanes: int, padding: int) -> list[list[int]]:
    """A row cut into vectors of ``lanes``, the last one padded."""
    whole: list[list[int]] = (
        np.pad(row, (0, -len(row) % lanes), constant_values=padding).reshape(-1, lanes).tolist()
    )
    return whole
