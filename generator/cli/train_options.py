"""The options of ``shiftforge train`` for images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ImageOptions"]


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The options of ``shiftforge train`` for images; None where one was left out.

    Those with a default here, which is the command line's, are for ``--network`` alone. width is
    for the demonstration alone. seed is 0 or more; limit counts images of either split; resolution
    is a side in pixels; activation_bits is 2 to 8, or 0 for float; distil is a share, 0 to 1;
    board, units and pixels name the array of dtssq's second words.
    """

    output: Path
    network: str | None
    data: str | None
    scheme: str | None
    bits: int | None
    terms: int | None
    first_last: str | None
    epochs: int | None
    tune_epochs: int | None
    width: float | None
    resolution: int | None
    seed: int
    device: str | None
    limit: int | None
    resume: bool
    settings: Sequence[str] = ()
    overrides: Sequence[str] = ()
    activation_bits: int = 8
    rate: float | None = None
    tune_rate: float | None = None
    batch: int | None = None
    schedule: str | None = None
    start: Path | None = None
    final_epochs: int = 1
    distil: float = 0.0
    channels: int = 3
    board: str | None = None
    units: int | None = None
    pixels: int | None = None
