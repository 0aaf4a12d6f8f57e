"""What Intel's compiler said of rolled loops in public kernels, and which of them are looked at."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Literal, TypeAlias

from shiftforge.files import read_text
from shiftforge.generator.rules.pipeline.target import Target

__all__ = ["FACTS", "REPORTS", "Fact", "Report", "Verdict", "choose", "read_facts", "read_reports"]

FACTS = Path(__file__).with_name("facts.csv")
REPORTS = Path(__file__).with_name("reports.csv")

Verdict: TypeAlias = Literal["1", "outer", "higher", "no"]
"""1: an iteration a cycle. outer: pipelined, with a rolled loop inside, so that the interval is at
least one. higher: pipelined at an interval above one. no: not pipelined."""


@dataclass(frozen=True)
class Report:
    """One compiler report: where it is, what compiled and for what.

    defines: NAME=VALUE words, those of the command line in the report; where a report has no
    command line, those of the same project's other reports.
    """

    key: str
    repository: str
    path: str
    commit: str
    version: str
    device: str
    defines: str

    @property
    def target(self) -> Target:
        """Compiler and device family, for our own analysis."""
        return Target(self.version.split()[0], " ".join(self.device.split(",")[0].split()[:2]))

    @property
    def named(self) -> dict[str, str]:
        """The defines as a mapping."""
        pairs = (word.partition("=") for word in self.defines.split())
        return {name: value or "1" for name, _, value in pairs}


@dataclass(frozen=True)
class Fact:
    """What a report says of one rolled loop of a single work-item kernel.

    file, line: where the loop stands in the source inside the report. reported: the place that the
    compiler gave, where that is another one. kind: loop, or partially unrolled with its factor.
    rolled_below: rolled loops inside it in the compiler's list. pipelined, ii, bottleneck: its
    words, the last cut at 300 characters. cluster: digest of the loop's shape (``shape.py``).
    chosen: whether it is looked at; the others are only counted.
    """

    report: str
    kernel: str
    file: str
    line: int
    reported: str
    kind: str
    rolled_below: int
    pipelined: str
    ii: str
    bottleneck: str
    cluster: str
    chosen: bool

    @property
    def verdict(self) -> Verdict:
        """The compiler's answer in four words."""
        if self.pipelined != "Yes":
            return "no"
        interval = int(self.ii.lstrip("~>="))
        if interval > 1:
            return "higher"
        # 16.x prints plain 1 for a loop around loops.
        return "outer" if self.ii.startswith(">") or self.rolled_below else "1"


def read_reports(path: Path = REPORTS) -> dict[str, Report]:
    """By key. Raises InputError where the file cannot be read."""
    rows = csv.DictReader(StringIO(read_text(path)))
    return {row["key"]: Report(**row) for row in rows}


def read_facts(path: Path = FACTS) -> tuple[Fact, ...]:
    """In the file's order. Raises InputError where it cannot be read."""
    return tuple(
        Fact(
            **{name: row[name] for name in _TEXTS},
            line=int(row["line"]),
            rolled_below=int(row["rolled_below"]),
            chosen=row["chosen"] == "yes",
        )
        for row in csv.DictReader(StringIO(read_text(path)))
    )


_TEXTS = (
    "report",
    "kernel",
    "file",
    "reported",
    "kind",
    "pipelined",
    "ii",
    "bottleneck",
    "cluster",
)


def choose(facts: Sequence[Fact], reports: dict[str, Report]) -> frozenset[str]:
    """The clusters that are looked at; loops of one shape are never on both sides.

    A stratum is a repository, a compiler version and a verdict. In each, clusters in the order of
    SHA-256 of their digests are taken until three fifths of its loops are: so every stratum is
    represented, and one of a single cluster is looked at as a whole.
    """
    strata: dict[tuple[str, str, str], dict[str, int]] = {}
    for fact in facts:
        report = reports[fact.report]
        counts = strata.setdefault((report.repository, report.version, fact.verdict), {})
        counts[fact.cluster] = counts.get(fact.cluster, 0) + 1
    return frozenset(
        cluster for stratum in sorted(strata) for cluster in _three_fifths(strata[stratum])
    )


def _three_fifths(counts: dict[str, int]) -> Iterable[str]:
    taken, wanted = 0, 0.6 * sum(counts.values())
    for cluster in sorted(counts, key=lambda c: hashlib.sha256(c.encode()).hexdigest()):
        if taken >= wanted:
            return
        taken += counts[cluster]
        yield cluster
