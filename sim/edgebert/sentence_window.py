"""Where in a sentence's program something went wrong: commands, and the cycles that they took."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shiftforge.generator.edgebert.command import Command
from shiftforge.generator.edgebert.sentence_program import EMBEDDED
from shiftforge.sim.edgebert.rtl.encoder_run import COMMAND, FIGURE, FIRST_CYCLE, STEPS
from shiftforge.sim.trace import Divergence

__all__ = ["SentenceFault", "spans_of", "stop_of", "window_of"]

Span = tuple[int, int]

_TIME = re.compile(r"^\[(\d+)\] %(?:Fatal|Error)", re.MULTILINE)
_SLACK = 4  # a command that has taken so many times its ideal cycles is at a halt
_SETUP = 2000  # cycles that no command exceeds besides


@dataclass(frozen=True, kw_only=True)
class SentenceFault(Divergence):
    """A sentence whose program did not end, or whose tensors cannot be read.

    what: why. window: the cycles of the layer up to there.
    """

    what: str
    window: Span

    def __str__(self) -> str:
        return f"{self.label}: {self.what}"

    def to_dict(self) -> dict[str, Any]:
        """See ``Divergence``; ``fault`` says why."""
        return {**super().to_dict(), "fault": self.what}


def spans_of(log: str) -> list[Span]:
    """Start and end of each command that a log tells of; an end is the next one's start."""
    found: list[Span] = []
    end = 0
    for _, text in COMMAND.findall(log):
        start, end = end, end + int(dict(FIGURE.findall(text))["cycles"])
        found.append((start, end))
    return found


def _layer_of(command: Command) -> int | None:
    """None where the command belongs to the embeddings."""
    return None if command.name in EMBEDDED else command.layer


def window_of(
    commands: Sequence[Command], spans: Sequence[Span], layer: int | None, stage: str,
    head: int | None = None,
) -> Span:  # fmt: skip
    """Cycles from the start of a layer's first command to the end of the one that computes a stage.

    spans: of the commands that ran, from the first on. layer: None of the embeddings. The layer's
    end for what no command of it computes; of a head's stage its own command.
    """
    ran = list(zip(commands, spans, strict=False))
    own = [(c, span) for c, span in ran if _layer_of(c) == layer] or ran
    makers = [(c, span) for c, span in own if stage in c.stages]
    exact = [span for c, span in makers if head is None or c.head == head]
    last = exact[0] if head is not None and exact else (makers or own)[-1][1]
    return own[0][1][0], last[1]


def stop_of(commands: Sequence[Command], log: str) -> tuple[int | None, str, Span]:
    """Layer and label of the command under way when a program stopped, and the cycles to look at:
    from the layer's start to the assertion that ended it, or to where the command had long been at
    a halt."""
    spans = spans_of(log)
    at = min(len(spans), len(commands) - 1)
    command, layer = commands[at], _layer_of(commands[at])
    began = spans[-1][1] if spans else 0
    first = next((s for c, s in zip(commands, spans, strict=False) if _layer_of(c) == layer), None)
    start = began if first is None else first[0]
    failed = _TIME.search(log)
    if failed is not None:
        return layer, command.label, (start, int(failed[1]) // STEPS - FIRST_CYCLE)
    return layer, command.label, (start, began + _SLACK * command.ideal_cycles + _SETUP)
