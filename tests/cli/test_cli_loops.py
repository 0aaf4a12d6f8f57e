"""``shiftforge loops``: exit codes, the table, the document, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aoc_reports import FORMS, Kernel, Row, project, script

from shiftforge.cli.main import run

LOOPS = [
    {"kernel": "conv", "loop": "a.cl:9", "trip_count": "layers", "ii": None, "limit": "drain"},
    {"kernel": "conv", "loop": "a.cl:12", "trip_count": 4700, "ii": 1, "limit": "one a clock",
     "more": [1]},
]  # fmt: skip
PLAN = {"latencies": {"conv": 60, "channel": 3}, "area": {"alm": 60, "dsp": 24, "ram_blocks": 23}}
CONV = Kernel("conv", (Row(9, "n/a", 5, inside=(Row(12, "~1", 60),)),))
SLOW = replace(CONV, loops=(Row(9, "n/a", 5, inside=(Row(12, "6", 90, reason="of x"),)),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path / "project", LOOPS, PLAN)


def report(folder: Path, form: str, *kernels: Kernel) -> str:
    path = folder / "report_data.js"
    path.write_text(script(form, kernels))
    return str(path)


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_table_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["loops", str(folder)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "a.cl" in line]
    assert lines == [
        ["conv", "a.cl:9", "layers", "not", "pipelined", "drain"],
        ["conv", "a.cl:12", "4,700", "1", "one", "a", "clock"],
    ]
    assert run(["loops", str(folder), "--json"]) == 0
    assert document(capsys) == {"project": str(folder), "loops": LOOPS}


@pytest.mark.parametrize("form", FORMS)
def test_a_report_that_agrees(
    form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["loops", str(folder), "--aoc", report(tmp_path, form, CONV)]
    assert run(given) == 0
    told = capsys.readouterr().out
    assert "agrees" in told and "WORSE" not in told and "Differences" not in told
    assert run([*given, "--json"]) == 0
    found = document(capsys)
    assert found["differences"] == [] and not found["contradicts"]
    assert found["report"]["format"] == form[0]
    assert [row["ii_text"] for row in found["report"]["loops"]] == ["n/a", "~1"]


@pytest.mark.parametrize("form", FORMS)
def test_a_report_that_contradicts(
    form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["loops", str(folder), "--aoc", report(tmp_path, form, SLOW)]
    assert run(given) == 1
    told = capsys.readouterr()
    assert "conv a.cl:12 has II 6 where ours has 1 (of x)" in told.err
    assert "takes 90 cycles where the plan has 60" in told.out and "WORSE" in told.out
    assert run([*given, "--json"]) == 1
    found = document(capsys)
    assert [(d["kind"], d["loop"], d["worse"]) for d in found["differences"]] == [
        ("ii", "a.cl:12", True),
        ("latency", "cycles", False),
    ]


def test_many_contradictions_are_counted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = replace(CONV, loops=(*CONV.loops, *(Row(100 + n, "2") for n in range(8))))
    assert run(["loops", str(folder), "--aoc", report(tmp_path, "C", kernel)]) == 1
    told = capsys.readouterr()
    assert told.out.count("is in the report alone") == 8 and "and 3 more" in told.err


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<html></html>", "line 1 is no assignment of data"),
        ("var loopsJSON={};", "columns: Field required"),
        ("var loopsJSON={", "begins a value that has no end"),
        ("", "holds no table of loops"),
    ],
)
def test_a_file_that_is_no_report(
    text: str, what: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.js"
    path.write_text(text)
    assert run(["loops", str(folder), "--aoc", str(path), "--json"]) == 2
    told = capsys.readouterr()
    assert what in told.err and "reports/lib/report_data.js" in told.err
    assert any(what in problem["what"] for problem in json.loads(told.out)["error"])


def test_the_report_of_another_design(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = report(tmp_path, "B", Kernel("vector_add", (Row(3),)))
    assert run(["loops", str(folder), "--aoc", other]) == 2
    assert "another design: its kernels are vector_add, ours conv" in capsys.readouterr().err


def test_everything_wrong_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path / "p", [{"kernel": 1}])
    assert run(["loops", str(folder), "--aoc", str(tmp_path / "missing.js")]) == 2
    told = capsys.readouterr().err
    assert "loops.0.kernel" in told and "there is no such file" in told


def test_folders_that_have_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["loops", str(tmp_path / "missing")]) == 2
    assert run(["loops", str(tmp_path)]) == 2
    assert "no shiftforge.json" in capsys.readouterr().err
    folder = project(tmp_path / "p", LOOPS)
    (folder / "loops.json").unlink()
    assert run(["loops", str(folder), "--edited"]) == 2
    assert "no loop table (loops.json)" in capsys.readouterr().err


def test_an_edited_table_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "loops.json").write_text(json.dumps(LOOPS[:1]))
    assert run(["loops", str(folder)]) == 2
    assert "loops.json: is not what was generated" in capsys.readouterr().err
    assert run(["loops", str(folder), "--edited"]) == 0
    assert "warning" in capsys.readouterr().err
