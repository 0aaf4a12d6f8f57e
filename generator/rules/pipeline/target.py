"""For which compiler and device a verdict is meant."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT", "Target"]


@dataclass(frozen=True)
class Target:
    """aoc_version: as "17.1.1"; family: as in board files ("Arria 10", "Cyclone V", ...)."""

    aoc_version: str = "19.4"
    family: str = "Arria 10"

    @property
    def major(self) -> int:
        """The version's first number, such as 19."""
        head = self.aoc_version.strip().split(".")[0]
        return int(head) if head.isdigit() else 19

    @property
    def hard_float(self) -> bool:
        """Whether the device has floating-point adders that accumulate (hardened DSP blocks)."""
        return self.family in ("Arria 10", "Stratix 10", "Agilex")


DEFAULT = Target()
