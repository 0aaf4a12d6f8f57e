"""What runs of a generated project give: a checkpoint's, a device's, and pairs compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shiftforge.shown import facts_html, table_html
from shiftforge.sim.trace import Comparison, Divergence, Trace

__all__ = ["Emulation", "Pair", "Run", "Table", "exact_pair"]


@dataclass(frozen=True, eq=False)
class Run:
    """What came out at a checkpoint.

    trace: in the order of computation; without ``every_stage`` the outputs alone. result: the
    runner's own form of it. facts: figures of the run, such as platform and seconds. faults: of
    samples that did not end, or left nothing that can be compared; they count as one value each.
    """

    at: str
    trace: Trace
    result: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Divergence, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table for people."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, eq=False)
class Emulation:
    """A device's run held against the reference.

    samples: how many. checked: what was compared, in words. elements: integers that were compared;
    mismatches: those that differ; divergence: the first. outputs: of the samples, in the runner's
    form. facts: figures of the run (platform, seconds_per_sample, ...) by name.
    """

    device: str
    samples: int
    checked: str
    elements: int
    mismatches: int
    divergence: Divergence | None
    outputs: Any
    facts: Mapping[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """The figures, in a notebook."""
        return facts_html(f"{self.samples:,} samples on {self.device}", self.to_dict())

    @property
    def bit_exact(self) -> bool:
        """Whether every compared integer equals the reference's."""
        return self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form, without the outputs."""
        return {
            "device": self.device,
            "samples": self.samples,
            "checked": self.checked,
            "elements": self.elements,
            "mismatches": self.mismatches,
            "bit_exact": self.bit_exact,
            "divergence": self.divergence.to_dict() if self.divergence else None,
            **self.facts,
        }


@dataclass(frozen=True, eq=False)
class Pair:
    """Two checkpoints side by side.

    expected_exact: whether any difference is a fault. values: compared; mismatches: those that
    differ. figures: more, by name, as JSON has them. tables: for people, stage by stage.
    """

    a: str
    b: str
    samples: int
    expected_exact: bool
    values: int
    mismatches: int
    divergence: Divergence | None
    figures: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()

    def _repr_html_(self) -> str:
        """The figures and the tables, in a notebook."""
        whole = facts_html(f"{self.a} against {self.b}", self.to_dict())
        return whole + "".join(table_html(t.title, t.columns, t.rows) for t in self.tables)

    @property
    def passed(self) -> bool:
        """False where the two had to be equal and are not."""
        return not self.expected_exact or self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {
            "from": self.a,
            "to": self.b,
            "samples": self.samples,
            "expected_exact": self.expected_exact,
            "bit_exact": self.mismatches == 0,
            "values": self.values,
            "mismatches": self.mismatches,
            "divergence": self.divergence.to_dict() if self.divergence else None,
            **self.figures,
        }


def exact_pair(
    a: str, b: str, samples: int, found: Comparison, figures: Mapping[str, Any] | None = None
) -> Pair:
    """A pair of checkpoints that hold the same integers."""
    first = found.differences[0] if found.differences else None
    return Pair(a, b, samples, True, found.values, found.mismatches, first, figures or {})
