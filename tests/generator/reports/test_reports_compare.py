"""Planted differences between a report and a project's table, each seen and located."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aoc_reports import FORMS, Kernel, Row, project, script

from shiftforge.errors import InputError
from shiftforge.generator.reports.compare import Comparison, compare_report
from shiftforge.generator.reports.ours import read_ours
from shiftforge.generator.reports.read import read_report

LAYER = {"kernel": "conv", "loop": "accelerator.cl:100", "trip_count": 53, "ii": None, "limit": ""}
BODY = {**LAYER, "loop": "accelerator.cl:110", "trip_count": "n", "ii": 1}
LOAD = {**BODY, "kernel": "loader", "loop": "accelerator.cl:21", "trip_count": 7}
LOOPS = [LAYER, BODY, LOAD]
PLAN: dict[str, Any] = {
    "latencies": {"conv": 55, "loader": 20, "channel": 3, "reentry": 7, "global_load": 180},
    "area": {"alm": 510, "dsp": 28, "ram_blocks": 53},
    "network": "not looked at",
}
BODY_ROW = Row(110, "~1", 55)
LAYER_ROW = Row(100, "n/a", 7, inside=(BODY_ROW,))
CONV = Kernel("conv", (LAYER_ROW,), (900, 2000, 30, 4))
LOADER = Kernel("loader", (Row(21, "~1", 200),), load=180)


def compared(
    folder: Path, kernels: list[Kernel], form: str = "C", loops: Any = LOOPS, plan: Any = PLAN
) -> Comparison:
    path = folder / "report_data.js"
    path.write_text(script(form, kernels))
    return compare_report(read_ours(project(folder / "p", loops, plan)), read_report(path), "r.js")


def conv(*rows: Row) -> list[Kernel]:
    return [replace(CONV, loops=rows), LOADER]


@pytest.mark.parametrize("form", FORMS)
def test_a_report_that_agrees(form: str, tmp_path: Path) -> None:
    found = compared(tmp_path, [CONV, LOADER], form)
    assert found.differences == () and not found.contradicts
    assert [row.verdict for row in found.rows] == ["agrees"] * 3
    numbers = {figure.of: (figure.report, figure.plan) for figure in found.latencies}
    assert numbers == {
        "conv": (55, 55),
        "loader": (200, 200),
        "channel": (None, 3),
        "reentry": (7, 7),
        "global_load": (180, 180),
    }
    design = {f.name: (f.report, f.plan) for f in found.area if f.of == "design"}
    assert design == {"ALM": (510, 510), "FF": (2220, None), "RAM": (53, 53), "DSP": (28, 28)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("rows", "kind", "loop", "what", "worse"),
    [
        ([replace(LAYER_ROW, inside=(Row(110, "6", 55, reason="memory dependency"),))],
         "ii", "accelerator.cl:110", "has II 6 where ours has 1 (memory dependency)", True),
        ([replace(LAYER_ROW, inside=(Row(110, "~2", 55),))],
         "ii", "accelerator.cl:110", "has II ~2 where ours has 1", True),
        ([replace(LAYER_ROW, inside=(Row(110, ">=1", 55),))],
         "ii", "accelerator.cl:110", "has II >=1 where ours has 1", True),
        ([replace(LAYER_ROW, inside=(Row(110, "n/a", 55, reason="unresolvable exit"),))],
         "not pipelined", "accelerator.cl:110",
         "is not pipelined where ours has II 1 (unresolvable exit)", True),
        ([replace(LAYER_ROW, ii=">=1")],
         "pipelined", "accelerator.cl:100", "is pipelined, II >=1, where ours is not", False),
        ([replace(LAYER_ROW, inside=(Row(110, name="Fully unrolled loop"), Row(110, "1", 55)))],
         "", "", "", False),
        ([LAYER_ROW, Row(140, "n/a", 3, reason="serial")],
         "extra", "accelerator.cl:140", "is in the report alone, not pipelined (serial)", True),
        ([LAYER_ROW, Row(140, "3", 3)],
         "extra", "accelerator.cl:140", "is in the report alone, pipelined, II 3", True),
        ([LAYER_ROW, Row(140, "1", 3)],
         "extra", "accelerator.cl:140", "is in the report alone, pipelined, II 1", False),
        ([replace(LAYER_ROW, inside=(Row(110, "4", 55), BODY_ROW))],
         "ii", "accelerator.cl:110", "has II 4 where ours has 1", True),
    ],
)  # fmt: skip
def test_a_planted_difference_is_located(
    form: str, rows: list[Row], kind: str, loop: str, what: str, worse: bool, tmp_path: Path
) -> None:
    found = compared(tmp_path, conv(*rows), form)
    assert found.contradicts == worse
    told = [d for d in found.differences if d.kind not in ("latency", "area")]
    if not kind:
        assert told == []
        return
    assert [(d.kind, d.kernel, d.loop, d.what, d.worse) for d in told] == [
        (kind, "conv", loop, what, worse)
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_loop_that_the_report_lacks(form: str, tmp_path: Path) -> None:
    found = compared(tmp_path, conv(replace(LAYER_ROW, inside=())), form)
    (told,) = [d for d in found.differences if d.kind == "missing"]
    assert (told.kernel, told.loop, told.worse) == ("conv", "accelerator.cl:110", False)
    assert found.rows[1].aoc is None


@pytest.mark.parametrize("name", ["Fully unrolled loop", "Coalesced loop"])
def test_a_loop_that_is_none_in_the_report(name: str, tmp_path: Path) -> None:
    found = compared(tmp_path, conv(replace(LAYER_ROW, inside=(Row(110, name=name),))))
    (told,) = [d for d in found.differences if d.kind == "not rolled"]
    assert name.split()[0].lower() in told.what and not told.worse


def test_an_interval_better_than_ours_is_named(tmp_path: Path) -> None:
    loops = [LAYER, {**BODY, "ii": 4}, LOAD]
    (told,) = compared(tmp_path, [CONV, LOADER], loops=loops).differences
    assert (told.kind, told.worse) == ("ii", False) and "better" in told.what


@pytest.mark.parametrize("form", FORMS)
def test_without_places_loops_are_matched_in_order(form: str, tmp_path: Path) -> None:
    bare = Row(None, "n/a", 7, inside=(Row(None, "5", 55),))
    found = compared(tmp_path, [replace(CONV, loops=(bare,)), LOADER], form)
    worse = [d for d in found.differences if d.worse]
    assert [(d.loop, d.what) for d in worse] == [
        ("accelerator.cl:110", "has II 5 where ours has 1")
    ]


def test_without_places_and_order_both_sides_are_named(tmp_path: Path) -> None:
    kernels = [replace(CONV, loops=(Row(None, "1", 55),)), Kernel("loader")]
    found = compared(tmp_path, kernels)
    kinds = sorted(d.kind for d in found.differences if d.kind in ("missing", "extra"))
    assert kinds == ["extra", "missing", "missing", "missing"]
    assert any("debug information" in d.what for d in found.differences)


def test_loops_by_the_name_of_their_block(tmp_path: Path) -> None:
    loops = [{**BODY, "loop": "conv.B2"}, LOAD]
    found = compared(tmp_path, conv(replace(LAYER_ROW, inside=(Row(110, "3"),))), loops=loops)
    assert [d.loop for d in found.differences if d.kind == "ii"] == ["conv.B2"]


def test_loops_of_a_function_that_is_called_twice(tmp_path: Path) -> None:
    slow = {**BODY, "loop": "f:110", "ii": 4}
    rows = (BODY_ROW, Row(110, "4", 55))
    assert compared(tmp_path, conv(*rows), loops=[BODY, slow, LOAD]).differences == ()
    found = compared(tmp_path, conv(*reversed(rows)), loops=[BODY, slow, LOAD])
    assert [(d.loop, d.worse) for d in found.differences if d.kind == "ii"] == [
        ("accelerator.cl:110", True),
        ("f:110", False),
    ]


def test_a_loop_that_ours_has_around_a_rolled_one(tmp_path: Path) -> None:
    kernels = conv(replace(LAYER_ROW, ii=">=1"))
    loops = [{**LAYER, "ii": 1, "at_least": True}, BODY, LOAD]
    assert compared(tmp_path, kernels, loops=loops).differences == ()
    found = compared(tmp_path, [CONV, LOADER], loops=loops)
    assert [d.what for d in found.differences if d.worse] == [
        "is not pipelined where ours has II >=1"
    ]


def test_kernels_of_one_side_alone(tmp_path: Path) -> None:
    found = compared(tmp_path, [CONV, Kernel("another")])
    told = [(d.kernel, d.what) for d in found.differences if d.kind == "kernel"]
    assert told == [("loader", "is not in the report"), ("another", "is in the report alone")]


def test_a_report_of_another_design_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another design: its kernels are vector_add"):
        compared(tmp_path, [Kernel("vector_add", (Row(110),))])


@pytest.mark.parametrize(
    ("kernels", "of", "what"),
    [
        (conv(replace(LAYER_ROW, inside=(Row(110, "1", 90),))),
         "conv", "takes 90 cycles where the plan has 55: longer"),
        (conv(replace(LAYER_ROW, latency=30)),
         "reentry", "takes 30 cycles where the plan has 7: longer"),
        ([CONV, replace(LOADER, load=500)],
         "global_load", "takes 500 cycles where the plan has 180: longer"),
        ([CONV, replace(LOADER, loops=(Row(21, "1", 190),))],
         "loader", "takes 190 cycles where the plan has 200: shorter"),
    ],
)  # fmt: skip
def test_latencies_that_differ(kernels: list[Kernel], of: str, what: str, tmp_path: Path) -> None:
    found = compared(tmp_path, kernels)
    assert [(d.kernel, d.what) for d in found.differences if d.kind == "latency"] == [(of, what)]
    assert not found.contradicts


@pytest.mark.parametrize("form", FORMS)
def test_areas_that_differ(form: str, tmp_path: Path) -> None:
    plan = {"area": {**PLAN["area"], "alm": 300, "kernels": {"conv": {"alm": 445, "ff": 1000}}}}
    found = compared(tmp_path, [CONV, LOADER], form, plan=plan)
    assert [(d.kernel, d.loop, d.what) for d in found.differences] == [
        ("conv", "FF", "takes 2,000 FF where 1,000 are modelled"),
        ("design", "ALM", "takes 510 ALM where 300 are modelled"),
    ]


@pytest.mark.parametrize(
    ("loops", "plan", "what"),
    [
        ({}, {}, "is no list of loops"),
        ([{**BODY, "ii": "1"}], {}, "loops.0.ii"),
        ([{**BODY, "ii": 0}], {}, "loops.0.ii"),
        ([{**BODY, "trip_count": 1.5}], {}, "loops.0.trip_count"),
        ([{"kernel": "conv"}], {}, "loops.0.limit"),
        ([3], {}, "loops.0"),
        ([], {"latencies": {"conv": -1}}, "latencies.conv"),
        ([], {"area": {"alm": "many"}}, "area.alm"),
    ],
)
def test_a_project_s_own_files_are_checked(
    loops: Any, plan: Any, what: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read_ours(project(tmp_path, loops, plan))
    assert any(what in problem.what for problem in caught.value.problems)
