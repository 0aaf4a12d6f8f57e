"""A whole processing unit: the matrix unit and its special functions."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = ["UnitDesign"]

_SHARED = ("lanes", "af_bits", "exp_bits")


@dataclass(frozen=True)
class UnitDesign:
    """config: the matrix unit. sfu: its special functions; None for the matrix unit alone.

    Whether the two suit each other is told by ``problems``.
    """

    config: UnitConfig
    sfu: SfuConfig | None = None

    @property
    def functions(self) -> SfuConfig:
        """The special functions. Raises InputError where there are none."""
        if self.sfu is None:
            what = "the matrix unit alone has no special functions"
            raise InputError(Problem(what, "give an SfuConfig", "sfu"))
        return self.sfu

    def problems(self) -> list[Problem]:
        """Lanes and formats in which the two parts differ."""
        if self.sfu is None:
            return []
        return [
            Problem(
                f"{name} {getattr(self.config, name)} of the matrix unit and "
                f"{getattr(self.sfu, name)} of the function unit differ",
                "give both parts the same",
                name,
            )
            for name in _SHARED
            if getattr(self.config, name) != getattr(self.sfu, name)
        ]

    def check(self) -> None:
        """Raise InputError with all ``problems``."""
        if found := self.problems():
            raise InputError(found)
