"""Shapes of loops that Intel's compiler was seen to answer, as small kernels of our own.

In ``shapes/*.cl`` a remark ``// aoc: ANSWER [REPORT KERNEL:LINE]`` stands at each loop whose shape
the compiler answered: 1, outer (at least 1, around a rolled loop), higher, or no (not pipelined).
The head of a file names repository, commit and path of each report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.generator.rules.pipeline import loop_table
from shiftforge.generator.rules.pipeline.target import Target

ROOT = Path(__file__).parents[3]
SHAPES = sorted((Path(__file__).parent / "shapes").glob("*.cl"))
_REMARK = re.compile(r"// aoc: (\w+) \[(\w+) (\w+):(\d+)\]$")
_REPORT = re.compile(
    r"// ([0-9a-f]{12}): (\S+)\n//   at ([0-9a-f]{40}), aoc (.*)\n((?://   .*\n)+)"
)


@dataclass(frozen=True)
class Seen:
    """One remark and where it stands."""

    line: int
    answer: str
    report: str
    kernel: str
    their_line: int


def seen(path: Path) -> list[Seen]:
    """The remarks of a file."""
    found = [
        (number, _REMARK.search(line)) for number, line in enumerate(path.open(encoding="utf-8"), 1)
    ]
    return [Seen(n, m[1], m[2], m[3], int(m[4])) for n, m in found if m is not None]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package that holds the compiler's answers."""
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_our_answer_is_the_compilers(path: Path, bench: Any) -> None:
    """Ours, loop by loop, for the version and device of the report."""
    table = bench("bench.pipelining.table")
    reports = bench("bench.pipelining.facts").read_reports()
    text = path.read_text(encoding="utf-8")
    ours: dict[tuple[Target, int], set[str]] = {}
    for target in {reports[remark.report].target for remark in seen(path)}:
        for entry, answer in table.answers(loop_table(text, target=target)):
            ours.setdefault((target, entry.line), set()).add(answer)
    answers = [(r, ours.get((reports[r.report].target, r.line))) for r in seen(path)]
    assert [(r, found) for r, found in answers if found != {r.answer}] == []


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_answers_are_facts(path: Path, bench: Any) -> None:
    """Each remark's answer, and each report at the head, are those of the facts' tables."""
    facts = bench("bench.pipelining.facts")
    answers: dict[tuple[str, str, int], set[str]] = {}
    for fact in facts.read_facts():
        answers.setdefault((fact.report, fact.kernel, fact.line), set()).add(fact.verdict)
    remarks = seen(path)
    assert remarks
    for remark in remarks:
        place = (remark.report, remark.kernel, remark.their_line)
        assert answers.get(place) == {remark.answer}, remark
    named = {
        m[1]: (m[2], m[3], m[4], re.sub(r"\n?//   |\n", "", m[5]))
        for m in _REPORT.finditer(path.read_text(encoding="utf-8"))
    }
    reports = facts.read_reports()
    for key in {remark.report for remark in remarks}:
        report = reports[key]
        assert named[key] == (report.repository, report.commit, report.version, report.path)
