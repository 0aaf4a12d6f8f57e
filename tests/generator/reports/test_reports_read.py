"""One report in every format is the same report; damaged ones are refused with all problems."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aoc_reports import FORMS, Kernel, Row, parts, script, write_json_parts

from shiftforge.errors import InputError
from shiftforge.generator.reports.read import read_report
from shiftforge.generator.reports.types import AocArea, AocReport, Form, Kind

CONV = Kernel(
    "conv",
    (
        Row(
            100,
            "n/a",
            7,
            reason="Out-of-order inner loop",
            inside=(
                Row(110, "~1", 55, inside=(Row(112, name="Fully unrolled loop"),)),
                Row(130, "17", 29, reason="Data dependency"),
            ),
        ),
    ),
    (1000.5, 2000, 30, 4.5),
)
LOADER = Kernel("loader", (Row(20, ">=1", 5, inside=(Row(21, "~1", 210),)),), load=180)


def read(folder: Path, text: str) -> AocReport:
    path = folder / "report_data.js"
    path.write_text(text)
    return read_report(path)


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_report(form: str, tmp_path: Path) -> None:
    report = read(tmp_path, script(form, [CONV, LOADER]))
    assert report.form is Form[form[0]]
    assert report.kernels == ("conv", "loader")
    told = [
        (x.kernel, x.title, x.kind, x.depth, x.pipelined, x.interval, x.latency, x.innermost)
        for x in report.loops
    ]
    rolled = Kind.ROLLED
    assert told == [
        ("conv", "accelerator.cl:100", rolled, 0, False, "n/a", 7, False),
        ("conv", "accelerator.cl:110", rolled, 1, True, "~1", 55, True),
        ("conv", "accelerator.cl:112", Kind.UNROLLED, 2, None, "n/a", None, True),
        ("conv", "accelerator.cl:130", rolled, 1, True, "17", 29, True),
        ("loader", "accelerator.cl:20", rolled, 0, True, ">=1", 5, False),
        ("loader", "accelerator.cl:21", rolled, 1, True, "~1", 210, True),
    ]
    assert report.loops[0].reason == "Out-of-order inner loop"
    assert report.area.kernels == (
        AocArea("conv", 1000.5, 2000, 30, 4.5),
        AocArea("loader", 100, 200, 3, 4),
    )
    assert report.area.channels == AocArea("channels", 20, 20, 20, 20)
    assert report.area.total == AocArea("total", 2120.5, 3220, 1053, 1028.5)
    assert report.load_latency == {"loader": 180}
    assert report.version == ("" if form == "A" else parts(form, [])["info"]["rows"][0]["data"][0])


@pytest.mark.parametrize("form", FORMS)
def test_json_files_are_read_as_the_script(form: str, tmp_path: Path) -> None:
    loops = write_json_parts(tmp_path / "json", form, [CONV, LOADER])
    assert read_report(loops) == read(tmp_path, script(form, [CONV, LOADER]))


def test_a_report_is_found_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "reports/lib").mkdir(parents=True)
    wanted = read(tmp_path / "reports/lib", script("B", [CONV]))
    (tmp_path / "reports/report.html").write_text("<html>")
    for path in (tmp_path, tmp_path / "reports", tmp_path / "reports/report.html"):
        assert read_report(path) == wanted
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no report"):
        read_report(empty)


@pytest.mark.parametrize("form", FORMS)
def test_partly_unrolled_loops_are_loops(form: str, tmp_path: Path) -> None:
    dotted = form in ("B", "C")
    block = "conv.B1" if dotted else "Blockconv1"
    row = replace(Row(9, "~2", 31), name=f"4X Partially unrolled {block}")
    (loop,) = read(tmp_path, script(form, [Kernel("conv", (row,))])).loops
    assert (loop.kind, loop.name, loop.interval) == (Kind.ROLLED, block, "~2")
    assert (loop.kernel, loop.latency) == ("conv", 31)


@pytest.mark.parametrize("form", FORMS)
def test_a_report_without_places_or_loops(form: str, tmp_path: Path) -> None:
    report = read(tmp_path, script(form, [Kernel("conv", (Row(None, "2"),))]))
    assert (report.loops[0].places, report.loops[0].ii) == ((), 2)
    assert read(tmp_path, script(form, [])).loops == ()


def test_texts_of_a_report_are_printable(tmp_path: Path) -> None:
    row = Row(1, "n/a", reason="\x1b[2J\u202e" + "x" * 5000)
    (loop,) = read(tmp_path, script("C", [Kernel("co\x1bnv", (row,))])).loops
    assert loop.kernel == "co?nv" and loop.reason.isprintable() and len(loop.reason) <= 400


def test_thousands_of_loops(tmp_path: Path) -> None:
    kernels = [Kernel(f"k{n}", tuple(Row(m, "1") for m in range(1, 101))) for n in range(100)]
    assert len(read(tmp_path, script("C", kernels)).loops) == 10_000


def damaged(form: str, part: str, path: tuple[Any, ...], value: Any) -> str:
    """A report's script with one value replaced."""
    found = json.loads(json.dumps(parts(form, [CONV, LOADER])))
    inner = found[part]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return script(form, [CONV, LOADER], **{part: found[part]})


TREE = ("children", 0, "children", 0)


@pytest.mark.parametrize(
    ("form", "part", "path", "value", "what"),
    [
        ("C", "loops", ("columns",), 3, "columns"),
        ("C", "loops", (*TREE, "data"), ["Maybe", "1", ""], "pipelined 'Maybe'"),
        ("C", "loops", (*TREE, "data"), ["Yes", "fast", ""], "II 'fast'"),
        ("B", "loops", (*TREE, "data"), ["Yes", "9" * 40, ""], "which aoc does not write"),
        ("B", "loops", (*TREE, "data"), [], "which aoc does not write"),
        ("B", "loops", (*TREE, "name"), None, "children.0.children.0.name"),
        ("C", "loops", (*TREE, "debug", 0, 0, "line"), -4, "line"),
        ("C", "loops", (*TREE, "debug", 0, 0, "line"), "4", "line"),
        ("A", "loops", ("functions", 1, "data"), ["Yes", "", ""], "II ''"),
        ("A", "loops", ("functions",), {}, "functions"),
        ("B0", "loops", ("functions", 2, "debug"), 7, "functions.2.debug"),
        ("B", "area", ("columns",), ["", "ALUTs"], "has no FFs, RAMs, DSPs of conv"),
        ("C", "area", ("children",), "x", "children"),
        ("A", "area", ("functions", 0, "resources", 0, "data"), ["x"], "data.0"),
        ("B", "mav", ("nodes",), [3], "nodes.0"),
        ("C", "info", ("rows",), [{"name": "AOC Version"}], "rows.0.data"),
    ],
)
def test_a_damaged_part_is_named(
    form: str, part: str, path: tuple[Any, ...], value: Any, what: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, damaged(form, part, path, value))
    told = [str(problem) for problem in caught.value.problems]
    assert any(what in text and f"{part}JSON" in text for text in told), told
    assert all(problem.remedy for problem in caught.value.problems)


def test_every_problem_of_a_report_is_told(tmp_path: Path) -> None:
    text = script("C", [CONV], area={"columns": 1}, mav=[], info={"rows": 0})
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    told = "\n".join(str(problem) for problem in caught.value.problems)
    assert all(part in told for part in ("areaJSON", "mavJSON", "infoJSON"))


@pytest.mark.parametrize("form", FORMS)
def test_a_report_cut_short_anywhere_is_refused(form: str, tmp_path: Path) -> None:
    text = script(form, [CONV])
    end = text.index("var fileJSON")
    first = text.index(";\n\nvar ")
    for length in range(3, first, max(1, first // 40)):
        with pytest.raises(InputError):
            read(tmp_path, text[:length])
    read(tmp_path, text[:end])


@pytest.mark.parametrize(
    "text", ["", "var areaJSON={};", "var loopsJSON=[];", "var loopsJSON=null"]
)
def test_a_script_without_loops_is_no_report(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no table of loops"):
        read(tmp_path, text)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_report(tmp_path / "missing.js")
    (tmp_path / "bytes.js").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_report(tmp_path / "bytes.js")
    long = tmp_path / "long.js"
    with long.open("wb") as stream:
        stream.truncate(65 << 20)
    with pytest.raises(InputError, match="at most"):
        read_report(long)
    for name in ("loops", "area"):
        (tmp_path / f"{name}.json").write_text("{")
    with pytest.raises(InputError) as caught:
        read_report(tmp_path / "loops.json")
    assert len(caught.value.problems) == 2
