"""Ours beside the compiler's: one loop at a time, then the confusion table by compiler version."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bench.pipelining.facts import Fact, Report, Verdict
from bench.pipelining.sources import read_source
from shiftforge.generator.rules.pipeline import LoopEntry, loop_table
from shiftforge.generator.rules.statements import ParseError

__all__ = ["OURS", "THEIRS", "Ours", "Pair", "Score", "answers", "compare", "confusion", "score"]

Ours: TypeAlias = Verdict | Literal["absent"]
"""absent: our table has no such loop, as we take it for unrolled or never reached."""

THEIRS: tuple[Verdict, ...] = ("1", "outer", "higher", "no")
_Found: TypeAlias = dict[tuple[str, str, int], list[tuple[Verdict, str]]]
"""Answer and limit of our copies of a loop, by kernel, file and line."""
OURS: tuple[Ours, ...] = ("1", "outer", "higher", "no", "absent")
_SEVERITY: dict[Ours, int] = {"absent": -1, "1": 0, "outer": 1, "higher": 2, "no": 3}
# Compute units of one kernel are named NAME_0_0_0, NAME_1_0_0, ...
_UNIT = re.compile(r"_\d+_\d+_\d+$")


@dataclass(frozen=True)
class Pair:
    """One loop: what the compiler said and what we say. limit: our words."""

    fact: Fact
    version: str
    ours: Ours
    limit: str

    @property
    def false_one(self) -> bool:
        """Called pipelined at 1 (or at least 1), which the compiler refused or gave more."""
        return self.ours in ("1", "outer") and self.fact.verdict in ("higher", "no")

    @property
    def plain_one(self) -> bool:
        """Whether the compiler wrote an interval of 1 or ~1."""
        return self.fact.pipelined == "Yes" and self.fact.ii in ("1", "~1")

    @property
    def called_one(self) -> bool:
        """Whether we say so too; a loop around rolled loops counts as our "outer"."""
        return self.ours == "1" or (self.ours == "outer" and self.fact.verdict == "outer")


@dataclass(frozen=True)
class Score:
    """false_ones, refused or higher: of how many; ones called so: of how many; equal: of all."""

    loops: int
    equal: int
    false_ones: int
    slower: int
    ones_called: int
    ones: int


def answers(entries: Sequence[LoopEntry]) -> list[tuple[LoopEntry, Verdict]]:
    """Each entry of our table with its answer in the compiler's four words.

    An entry with deeper ones behind it is a loop around loops.
    """
    following = [*entries[1:], None]
    return [
        (entry, _answer(entry, after is not None and _inside(after, entry)))
        for entry, after in zip(entries, following, strict=True)
    ]


def _inside(entry: LoopEntry, around: LoopEntry) -> bool:
    return entry.kernel == around.kernel and entry.depth > around.depth


def _answer(entry: LoopEntry, around_loops: bool) -> Verdict:
    if not entry.pipelined:
        return "no"
    if entry.ii is None or entry.ii > 1:
        return "higher"
    return "outer" if around_loops else "1"


def compare(
    facts: Sequence[Fact], reports: Mapping[str, Report], folder: Path
) -> Iterable[tuple[Report, list[Pair]]]:
    """For each report with facts: its loops beside ours. Raises InputError for a missing file."""
    for report in reports.values():
        here = [fact for fact in facts if fact.report == report.key]
        if not here:
            continue
        source = read_source(folder, report)
        try:
            entries = loop_table(source.text, defines=report.named, target=report.target)
        except ParseError as error:
            entries = ()
            print(f"{report.key} is not read: {source.places[error.line - 1]}: {error.message}")
        found: _Found = {}
        for entry, ours in answers(entries):
            place = (entry.kernel, *source.places[entry.line - 1])
            found.setdefault(place, []).append((ours, entry.limit))
        yield report, [pair for group in _groups(here) for pair in _pair(group, found, report)]


def _groups(facts: Iterable[Fact]) -> Iterable[list[Fact]]:
    """Facts of one place together: a function used twice has its loops twice."""
    groups: dict[tuple[str, str, int], list[Fact]] = {}
    for fact in facts:
        groups.setdefault((fact.kernel, fact.file, fact.line), []).append(fact)
    return groups.values()


def _pair(facts: list[Fact], found: _Found, report: Report) -> Iterable[Pair]:
    """Where our copies of a loop differ in number from theirs, the most severe of ours counts."""
    first = facts[0]
    kernels = (first.kernel, _UNIT.sub("", first.kernel))
    entries = next((e for k in kernels if (e := found.get((k, first.file, first.line)))), [])
    ranked = sorted(entries, key=lambda entry: _SEVERITY[entry[0]])
    for at, fact in enumerate(sorted(facts, key=lambda fact: _SEVERITY[fact.verdict])):
        if not ranked:
            yield Pair(fact, report.version, "absent", "not in our table")
        else:
            ours, limit = ranked[at] if len(ranked) == len(facts) else ranked[-1]
            yield Pair(fact, report.version, ours, limit)


def confusion(pairs: Iterable[Pair]) -> dict[str, Counter[tuple[Verdict, Ours]]]:
    """How often each pair of answers stands beside each other, by compiler version."""
    counts: dict[str, Counter[tuple[Verdict, Ours]]] = {}
    for pair in pairs:
        counts.setdefault(pair.version, Counter())[pair.fact.verdict, pair.ours] += 1
    return dict(sorted(counts.items()))


def score(pairs: Sequence[Pair]) -> Score:
    """The two targets' counts."""
    ones = [pair for pair in pairs if pair.plain_one]
    return Score(
        len(pairs),
        sum(pair.ours == pair.fact.verdict for pair in pairs),
        sum(pair.false_one for pair in pairs),
        sum(pair.fact.verdict in ("higher", "no") for pair in pairs),
        sum(pair.called_one for pair in ones),
        len(ones),
    )
