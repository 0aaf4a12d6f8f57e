"""What the host of a unit does for a sentence: it looks up the codes of words and places, gives the
unit a threshold, and takes the label from the logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.network.integer import IntegerAlbert

__all__ = ["check_threshold", "check_tokens", "label_at", "looked_up"]

Codes = NDArray[np.uint8]


def check_tokens(
    network: IntegerAlbert, ids: NDArray[np.int64], types: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """The token types (L,), 0 by default. Raises InputError for tokens the network does not have,
    and for too many or none."""
    kinds = np.zeros(len(ids), dtype=np.int64) if types is None else types
    most = network.length
    problems = []
    if ids.ndim != 1 or not 1 <= len(ids) <= most:
        problems.append(Problem(f"{ids.shape} tokens", f"give 1 to {most}", "sentence"))
    elif ids.min() < 0 or ids.max() >= network.words.shape[0]:
        problems.append(Problem("a token is not in the vocabulary", "use its tokeniser"))
    if kinds.shape != ids.shape or (kinds.size and not 0 <= kinds.max() < len(network.place)):
        problems.append(Problem("token types", f"one a token, below {len(network.place)}"))
    if problems:
        raise InputError(problems)
    return kinds


def looked_up(
    network: IntegerAlbert, ids: NDArray[np.int64], types: NDArray[np.int64] | None = None
) -> tuple[Codes, Codes]:
    """The codes of words and places (L, E) of a sentence. Raises InputError."""
    kinds = check_tokens(network, ids, types)
    return network.words.rows(ids), network.place[kinds, np.arange(len(ids))]


def check_threshold(threshold: int | None) -> None:
    """Raise InputError for a threshold that the unit's register does not hold."""
    if threshold is not None and not 0 <= threshold < 1 << 32:
        remedy = "give an unsigned 32-bit number"
        raise InputError(Problem(f"threshold {threshold}", remedy, "threshold"))


def label_at(logits: Codes) -> int:
    """The class with the largest logit, AF<8,3> codes (classes,); the first of equals.

    Without the values: codes of one sign rise with the size of what they stand for, and 0x80 is
    zero as 0x00 is.
    """
    size = (logits & 0x7F).astype(np.int64)
    return int(np.argmax(np.where(logits >= 0x80, -size, size)))
