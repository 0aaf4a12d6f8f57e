"""``shiftforge report``: a page and its files, every figure found again, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from albert_projects import make_project
from pages import agrees, figures, needs_drawing, resolved

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.conv.target import generate
from shiftforge.generator.page import page as drawing
from shiftforge.quant.graph.example import random_model

Capture = pytest.CaptureFixture[str]


def made(folder: Path, units: int = 16, pixels: int = 7) -> Path:
    design = generate(random_model(1), load_board("a10gx1150"), units=units, pixels=pixels)
    design.write(folder)
    return folder


@pytest.fixture(scope="module")
def conv_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("report") / "d")


@pytest.fixture(scope="module")
def page(conv_project: Path) -> Path:
    needs_drawing()
    assert run(["report", str(conv_project), "--no-run"]) == 0
    return conv_project / "report/report.html"


def test_every_figure_is_found_in_the_files_beside(page: Path) -> None:
    found = figures(page.read_text(encoding="utf-8"))
    assert len(found) > 100
    for one in found:
        assert agrees(one.text, resolved(page.parent, one.source)), one


def test_a_text_classifier_has_a_page(tmp_path: Path, capsys: Capture) -> None:
    needs_drawing()
    folder = make_project(tmp_path / "tiny", optimised=True)
    result = tmp_path / "matmul.json"
    block = {"block": "matmul", "n": 16, "weights": "af", "part": "LFE5U-85-6", "target_mhz": 100.0,
             "fits": True, "comb": 12000, "ff": 3000, "dsp": 64, "ram": 0,
             "fmax_mhz": 101.26}  # fmt: skip
    result.write_text(json.dumps({**block, "n": 32}))
    arguments = ["report", str(folder), "--no-run", "-o", str(tmp_path / "p.html"), "--routed",
                 str(result)]  # fmt: skip
    assert run(arguments) == 2
    assert "32 lanes" in capsys.readouterr().err and not (tmp_path / "p.html").exists()
    lanes = json.loads((folder / "shiftforge.json").read_text())["unit"]["lanes"]
    result.write_text(json.dumps({**block, "n": lanes}))
    assert run(arguments) == 0
    assert ">101.3<" in (tmp_path / "p.html").read_text(encoding="utf-8")
    found = figures((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert len(found) > 50
    for one in found:
        assert agrees(one.text, resolved(tmp_path, one.source)), one
    spans = resolved(tmp_path, "network.json#/spans")
    assert [one["off"] for one in spans].count(True) == 1
    stages = resolved(tmp_path, "estimate_layer_cycles.json#/stages")
    whole = resolved(tmp_path, "estimate_network_performance.json#/sentence_ideal_cycles")
    assert sum(stage["cycles"] for stage in stages) == whole


@pytest.mark.slow
def test_counted_figures_and_accuracy(conv_project: Path, lowered: str, tmp_path: Path) -> None:
    needs_drawing()
    page = tmp_path / "page.html"
    options = ["--device", lowered, "--input", "random:3", "--limit", "2", "-o", str(page)]
    assert run(["report", str(conv_project), *options]) == 0
    text = page.read_text(encoding="utf-8")
    for one in figures(text):
        assert agrees(one.text, resolved(tmp_path, one.source)), one
    counted = json.loads((tmp_path / "counted_network_performance.json").read_text())
    cycles = json.loads((tmp_path / "counted_layer_cycles.json").read_text())
    assert sum(layer["cycles"] for layer in cycles["layers"]) == counted["cycles"]
    busy = sum(row["cycles"] for row in cycles["strips"] if row["state"] == "busy")
    assert busy == next(k["busy"] for k in counted["kernels"] if k["kernel"] == "conv")
    idle = [row for row in cycles["strips"] if row["state"] != "busy"]
    assert cycles["stops"] == idle and 'id="stops"' in text
    assert "on 2 samples" in re.sub("<[^>]*>", "", text)
    assert all(one["high_water"] <= one["depth"] for one in counted["channels"])
    chain = json.loads((tmp_path / "accuracy.json").read_text())
    assert [pair["verdict"] for pair in chain["pairs"]] == ["equal", "equal"]
    assert [one["checkpoint"] for one in chain["left_out"]] == ["float"]  # stripped of its weights
    assert "What could not be compared" in text and "shiftforge report" not in text


def test_what_changed_between_two_designs(
    conv_project: Path, tmp_path: Path, capsys: Capture
) -> None:
    needs_drawing()
    other = made(tmp_path / "other", 8, 2)
    page = tmp_path / "changes.html"
    assert run(["report", str(conv_project), str(other), "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    for one in figures(text):
        assert agrees(one.text.removeprefix("+"), resolved(tmp_path, one.source)), one
    found = json.loads((tmp_path / "comparison.json").read_text())
    plans = [json.loads((d / "plan.json").read_text())["totals"] for d in (conv_project, other)]
    rows = {row["name"]: row for row in found["figures"]}
    for name, key in (("lanes", "lanes"), ("cycles a frame", "modelled_cycles")):
        assert [rows[name]["a"], rows[name]["b"]] == [plan[key] for plan in plans]
    slower = sum(row["difference"] for row in found["layers"])
    assert slower == plans[1]["modelled_cycles"] - plans[0]["modelled_cycles"] != 0
    assert f"shiftforge report {conv_project} &amp;&amp; shiftforge report {other}" in text
    text_project = make_project(tmp_path / "tiny")
    capsys.readouterr()
    assert run(["report", str(other), str(text_project), "--rtl", "--input", "random:1"]) == 2
    assert "compared" in capsys.readouterr().err
    assert run(["report", str(other), str(text_project)]) == 2
    assert "kind" in capsys.readouterr().err


def test_what_is_missing_names_its_command(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    folder = page.parents[1]
    assert f"shiftforge report {folder}</code>" in text
    assert f"shiftforge report {folder} --input INPUT</code>" in text


def test_a_wrong_number_is_located_and_not_written(
    conv_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    needs_drawing()
    own = drawing.page_text

    def wrong(*arguments: Any) -> str:
        source = 'data-source="estimate_network_performance.json#/lanes"'
        head, tail = own(*arguments).split(source, 1)
        start, number, rest = re.split(r"(>[\d,]+<)", tail, maxsplit=1)
        return f"{head}{source}{start}{number.replace('>', '>9')}{rest}"

    monkeypatch.setattr(drawing, "page_text", wrong)
    page = tmp_path / "page.html"
    assert run(["report", str(conv_project), "--no-run", "-o", str(page)]) == 1
    assert "estimate_network_performance.json#/lanes: shown as '9" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--no-run", "--input", "random:1"], "--no-run, and what is to run"),
        (["--rtl"], "give --input"),
        (["--device", "fpga", "--limit", "0"], "fpga"),
        (["--threshold", "0.3", "--no-run"], "--threshold is for text classifiers"),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], told: str, conv_project: Path, capsys: Capture
) -> None:
    assert run(["report", str(conv_project), *options]) == 2
    assert told in capsys.readouterr().err


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for word in ("src=", "@import", "url(", "<link", "fetch(", "XMLHttpRequest"):
        assert word not in text
    assert "http" not in text.replace("http://www.w3.org/", "").replace("http-equiv", "")


def test_the_project_stays_one(page: Path, conv_project: Path, capsys: Capture) -> None:
    made(conv_project)
    assert page.is_file()
    first = {path.name: path.read_bytes() for path in page.parent.iterdir()}
    stale = page.with_name("accuracy.json")
    stale.write_bytes(first["network.json"])
    page.with_name("loops2.json").write_text("mine")
    first["loops2.json"] = b"mine"
    assert run(["report", str(conv_project), "--no-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(page) and {*told["files"], "report.html"} == set(first)
    assert not stale.exists()
    assert {path.name: path.read_bytes() for path in page.parent.iterdir()} == first


def test_the_files_tell_what_generate_tells(page: Path, conv_project: Path) -> None:
    plan = json.loads((conv_project / "plan.json").read_text())
    files = page.parent
    performance = json.loads((files / "estimate_network_performance.json").read_text())
    for key, value in plan["totals"].items():
        assert key == "area" or performance[key] == value
    layers = json.loads((files / "estimate_layer_cycles.json").read_text())["layers"]
    assert sum(layer["cycles"] for layer in layers) == plan["totals"]["modelled_cycles"]
    items = json.loads((files / "estimate_layer_resources.json").read_text())["items"]
    assert sum(item["alm"] for item in items) == plan["totals"]["modelled_alm"]
    assert json.loads((files / "loops.json").read_text())["loops"] == json.loads(
        (conv_project / "loops.json").read_text()
    )


def test_all_that_is_wrong_is_named_and_nothing_written(
    conv_project: Path, tmp_path: Path, capsys: Capture
) -> None:
    needs_drawing()
    edited = tmp_path / "edited"
    shutil.copytree(conv_project, edited, ignore=shutil.ignore_patterns("report"))
    (edited / "README.md").write_text("mine")
    (edited / "loops.json").unlink()
    other = tmp_path / "other.html"
    other.write_text("mine")
    (tmp_path / "network.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert run(["report", str(edited), "--no-run", "-o", str(other), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["error"]
    assert all(one["remedy"] for one in problems)
    told = " ".join(one["where"] for one in problems)
    for name in ("README.md", "loops.json", "other.html", "network.json"):
        assert name in told
    assert sorted(tmp_path.rglob("*")) == before and other.read_text() == "mine"


@pytest.mark.parametrize(
    ("output", "told"),
    [("page.txt", "does not end in .html"), ("nowhere/page.html", "folder does not exist"),
     ("", "is a folder")],
)  # fmt: skip
def test_a_place_that_no_page_can_have(
    output: str, told: str, conv_project: Path, tmp_path: Path, capsys: Capture
) -> None:
    needs_drawing()
    arguments = ["report", str(conv_project), "--no-run", "-o", str(tmp_path / output)]
    assert run(arguments) == 2
    assert told in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_no_project(tmp_path: Path, capsys: Capture) -> None:
    assert run(["report", str(tmp_path / "none"), "--json"]) == 2
    assert "no such folder" in capsys.readouterr().out
