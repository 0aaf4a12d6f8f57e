"""What a user may choose of the EdgeBERT unit."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """lanes: n of the n x n unit."""

    lanes: int = field(default=16, metadata={"help": "A text classifier's: n of the n x n unit."})
