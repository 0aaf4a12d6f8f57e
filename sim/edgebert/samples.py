"""Texts of a project, ready to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from shiftforge.errors import Problem
from shiftforge.quant.text.inputs import Texts
from shiftforge.sim.edgebert.project import UnitProject
from shiftforge.sim.runner import Options

__all__ = ["TextOptions", "TextSamples"]


@dataclass(frozen=True)
class TextOptions(Options):
    """threshold: of the exit, in nats; None runs all layers. classifier: the trained folder that
    was quantised, for the checkpoint "float"."""

    threshold: float | None = field(
        default=None,
        metadata={
            "metavar": "NATS",
            "help": "A text classifier's: entropy at which a sentence leaves; all layers without "
            "it.",
        },
    )
    classifier: Path | None = field(
        default=None,
        metadata={
            "metavar": "DIR",
            "commands": ("compare", "evaluate"),
            "help": "A text classifier's: the trained folder, for the checkpoint float.",
        },
    )

    def problems(self) -> list[Problem]:
        """A threshold that the unit's register cannot hold."""
        if self.threshold is None or 0 <= self.threshold < 1 << 16:
            return []
        what = f"a threshold of {self.threshold:g} nats"
        remedy = "give 0 or more, such as 0.3; leave it out to run all layers"
        return [Problem(what, remedy, "--threshold")]


@dataclass(frozen=True, eq=False)
class TextSamples:
    """own: the project's parts. limit: the threshold with 16 fraction bits, as the unit has it."""

    own: UnitProject
    texts: Texts
    options: TextOptions
    limit: int | None

    def __len__(self) -> int:
        return len(self.texts)
