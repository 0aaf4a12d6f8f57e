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
    def version(self) -> tuple[int, ...]:
        """The version's numbers, such as (17, 1, 1)."""
        words = self.aoc_version.split()
        parts = words[0].split(".") if words else []
        return tuple(int(p) for p in parts if p.isdigit()) or (19, 4)

    @property
    def hard_float(self) -> bool:
        """Whether the device has floating-point adders that accumulate (hardened DSP blocks)."""
        return self.family in ("Arria 10", "Stratix 10", "Agilex")


DEFAULT = Target()
