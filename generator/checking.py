"""What a check says of a network before it is calibrated: what runs where, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.shown import facts_html, table_html

__all__ = ["CheckReport", "CheckRow"]


@dataclass(frozen=True)
class CheckRow:
    """One node of a network, or one size of a text classifier.

    source: module path in the network. operator: what it computes, such as "conv 3x3, stride 2".
    shape: of its result. maps: where it runs, such as "depthwise"; None where it cannot, and then
    problems says why. detail: more of it, in words. kind: of operator, as the documentation's table
    has it; "" where there is none.
    """

    node: str
    source: str
    operator: str
    shape: tuple[int, ...]
    maps: str | None
    detail: str = ""
    problems: tuple[Problem, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class CheckReport:
    """Everything that a target knows of a network without its weights.

    kind: of the target. problems: all of them, those of rows and of the whole. notes: what a user
    should know although it is no problem. board: the name of the one it was planned on; figures:
    of that plan, all of them modelled.
    """

    kind: str
    network: str
    rows: tuple[CheckRow, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    board: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """The nodes, or what is wrong, in a notebook."""
        rows = [(row.node, row.source, row.operator, row.maps or "refused") for row in self.rows]
        found = table_html(self.network, ("node", "module", "operator", "runs as"), rows)
        if self.problems:
            told = [(p.where, p.what, p.remedy) for p in self.problems]
            found += table_html("problems", ("where", "what", "remedy"), told)
        return found + (facts_html(self.board, self.figures) if self.board else "")

    @property
    def maps(self) -> bool:
        """Whether all of it can run."""
        return not self.problems

    def kinds(self) -> list[tuple[str, int, int]]:
        """(kind of operator, nodes of it, those of them that run), in order of the first node."""
        found: dict[str, list[bool]] = {}
        for row in self.rows:
            if row.kind:
                found.setdefault(row.kind, []).append(row.maps is not None)
        return [(kind, len(own), sum(own)) for kind, own in found.items()]

    def stop(self) -> None:
        """Raise InputError with every problem; nothing where all maps."""
        if self.problems:
            raise InputError(self.problems)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form; "error" as every refused command has it, where there is one."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "network": self.network,
            "maps": self.maps,
            "nodes": [asdict(row) for row in self.rows],
            "notes": list(self.notes),
            "board": self.board,
            "modelled": dict(self.figures),
        }
        if self.problems:
            found["error"] = [asdict(problem) for problem in self.problems]
        return found
