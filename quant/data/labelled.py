"""Labelled pictures in memory: a data set's two splits, and parts of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.graph.types import Preprocess

__all__ = ["Dataset", "Labelled", "first_of", "split_off"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """images: uint8 (N, H, W, C) of one size, N >= 1; labels: int64 (N,), class indices."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split of the same size and classes; labels: the classes' names.

    flips: whether a mirrored picture is still one of its class (not so for digits).
    """

    name: str
    train: Labelled
    test: Labelled
    labels: tuple[str, ...]
    flips: bool = True

    @property
    def preprocess(self) -> Preprocess:
        """Pixels to -1..1: a signed 8-bit grid then holds all of them but 254 and 255 apart."""
        _, height, width, channels = self.train.images.shape
        half = (0.5,) * channels
        return Preprocess(channels, height, width, half, half)


def first_of(data: Labelled, limit: int | None) -> Labelled:
    """The first so many pictures; all of them for None."""
    return data if limit is None else Labelled(data.images[:limit], data.labels[:limit])


def split_off(data: Labelled, count: int, seed: int = 0) -> tuple[Labelled, Labelled]:
    """(the rest, ``count`` pictures for validation), drawn under the seed, each in its old order.

    Every class gives its share of the validation pictures, to within one picture.
    Raises InputError where either part would be empty.
    """
    if not 0 < count < len(data):
        raise InputError(
            Problem(f"{count} validation pictures of {len(data)}", "choose 1 to all but one")
        )
    rng = np.random.default_rng(seed)
    # Ordered by (rank within the class / size of the class): a prefix is stratified.
    place = np.empty(len(data), dtype=np.float64)
    for label in np.unique(data.labels):
        members = np.flatnonzero(data.labels == label)
        place[rng.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    chosen = np.sort(np.argsort(place, kind="stable")[:count])
    rest = np.setdiff1d(np.arange(len(data)), chosen)
    return (
        Labelled(data.images[rest], data.labels[rest]),
        Labelled(data.images[chosen], data.labels[chosen]),
    )
