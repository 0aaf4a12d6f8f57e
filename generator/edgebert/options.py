"""What a user may choose of the EdgeBERT unit."""

from __future__ import annotations

from dataclasses import dataclass, field

from shiftforge.errors import Problem

__all__ = ["LANES", "Options"]

LANES = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Options:
    """lanes: n of the n x n unit."""

    lanes: int = field(default=16, metadata={"help": "A text classifier's: n of the n x n unit."})

    def problems(self) -> list[Problem]:
        """What no network makes possible."""
        if self.lanes in LANES:
            return []
        what = f"{self.lanes} lanes are not offered"
        return [Problem(what, f"choose one of {', '.join(map(str, LANES))}", "lanes")]
