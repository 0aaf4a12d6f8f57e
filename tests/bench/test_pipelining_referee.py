"""The referee: its facts, what it takes out of a report, and how it counts."""

from __future__ import annotations

import subprocess
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
REPORT = (
    'var loopsJSON={};\nvar fileJSON=[{"path":"/x/main.cl", "content":"#include \\"p.h\\"\\012'
    "__kernel void k(__global int* restrict a, int n) {\\012"
    '  for (int i = 0; i < n; i++) {\\012    a[i] = STEP;\\012  }\\012}\\012"}, '
    '{"path":"/x/p.h", "content":"#define STEP 1\\012"}, {"path":"/x/none"}];\nvar alpha=1;'
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the benchmark by name."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: import_module(f"bench.pipelining.{name}")


def test_every_source_is_represented(bench: Any) -> None:
    facts, reports = bench("facts").read_facts(), bench("facts").read_reports()
    chosen = [fact for fact in facts if fact.chosen]
    assert len(chosen) >= 250 and len(facts) - len(chosen) >= 100
    for name in ("repository", "version"):
        everywhere = {getattr(report, name) for report in reports.values()}
        assert {getattr(reports[fact.report], name) for fact in chosen} == everywhere
    reasons = Counter(f.bottleneck.split(" |")[0] for f in chosen if f.verdict == "no")
    assert {"Out-of-order inner loop", "Divergent inner loop and...", "Pipelining disabled"} == set(
        reasons
    )
    assert len({(reports[f.report].repository, reports[f.report].path) for f in facts}) >= 30


def test_the_choice_is_the_rules(bench: Any) -> None:
    module = bench("facts")
    facts = module.read_facts()
    clusters = module.choose(facts, module.read_reports())
    assert [fact.chosen for fact in facts] == [fact.cluster in clusters for fact in facts]


def test_source_of_a_report(bench: Any, tmp_path: Path) -> None:
    reports = bench("facts").read_reports()
    report = next(iter(reports.values()))
    (tmp_path / f"{report.key}.js").write_text(REPORT, encoding="utf-8")
    source = bench("sources").read_source(tmp_path, report)
    assert source.text.split("\n")[0] == "#define STEP 1"
    line = next(n for n, text in enumerate(source.text.split("\n")) if "for" in text)
    assert source.places[line] == ("main.cl", 3)
    assert source.missing == ()


def test_copies_have_one_shape(bench: Any) -> None:
    from shiftforge.generator.rules.preprocess import preprocess

    def shape(text: str) -> str:
        return str(bench("shape").cluster(preprocess(text, {}).tokens, 1))

    first = shape("for (int i = 0; i < n; i++) { if (a[i]) b[i] = 1; else b[i] = 2; } x = 1;")
    assert first == shape("for (int k = 0; k < m; k++) { if (p[k]) q[k] = 1; else q[k] = 2; } y;")
    assert first != shape("for (int i = 0; i < n; i++) { if (a[i]) b[i] = 1; } x = 1;")


def test_counts(bench: Any) -> None:
    """A loop called 1 that was refused is found; a loop around loops may be called outer."""
    table = bench("table")
    by_verdict = {fact.verdict: fact for fact in bench("facts").read_facts()}
    pairs = [
        table.Pair(by_verdict[theirs], "17.1", ours, "")
        for theirs, ours in (("no", "1"), ("higher", "no"), ("1", "1"), ("1", "higher"))
    ]
    assert table.score(pairs) == table.Score(4, 1, 1, 2, 1, 2)
    assert table.confusion(pairs)["17.1"]["no", "1"] == 1


def test_fetch(bench: Any, tmp_path: Path) -> None:
    """From a repository of our own: the file of the commit, once."""
    import dataclasses

    origin = tmp_path / "origin" / "a+b"
    origin.mkdir(parents=True)

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words],
            cwd=origin, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    git("init", "--quiet")
    (origin / "report.js").write_text(REPORT, encoding="utf-8")
    git("add", "report.js")
    git("commit", "--quiet", "-m", "r")
    report = dataclasses.replace(
        next(iter(bench("facts").read_reports().values())),
        repository="a+b", path="report.js", commit=git("rev-parse", "HEAD"),
    )  # fmt: skip
    address = str(tmp_path / "origin" / "{repository}")
    (written,) = bench("sources").fetch([report], tmp_path / "to", address)
    assert written.read_text(encoding="utf-8") == REPORT
    assert bench("sources").fetch([report], tmp_path / "to", "nowhere") == [written]
