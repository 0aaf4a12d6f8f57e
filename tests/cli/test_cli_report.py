"""``shiftforge report``: a page and its files, every figure found again, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pages import agrees, figures, needs_drawing, resolved

import shiftforge
from shiftforge.cli.main import run
from shiftforge.quant.graph.example import random_model

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def conv_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "d"
    shiftforge.generate(random_model(1), "a10gx1150", output=folder)
    return folder


@pytest.fixture(scope="module")
def page(conv_project: Path) -> Path:
    needs_drawing()
    assert run(["report", str(conv_project)]) == 0
    return conv_project / "report/report.html"


def test_every_figure_is_found_in_the_files_beside(page: Path) -> None:
    found = figures(page.read_text(encoding="utf-8"))
    assert len(found) > 100
    for one in found:
        assert agrees(one.text, resolved(page.parent, one.source)), one


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for word in ("src=", "@import", "url(", "<link", "fetch(", "XMLHttpRequest"):
        assert word not in text
    assert "http" not in text.replace("http://www.w3.org/", "").replace("http-equiv", "")


def test_the_project_stays_one(page: Path, conv_project: Path, capsys: Capture) -> None:
    shiftforge.generate(random_model(1), "a10gx1150", output=conv_project)
    assert page.is_file()
    first = {path.name: path.read_bytes() for path in page.parent.iterdir()}
    assert run(["report", str(conv_project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == str(page)
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
    assert run(["report", str(edited), "-o", str(other), "--json"]) == 2
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
    assert run(["report", str(conv_project), "-o", str(tmp_path / output)]) == 2
    assert told in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_no_project(tmp_path: Path, capsys: Capture) -> None:
    assert run(["report", str(tmp_path / "none"), "--json"]) == 2
    assert "no such folder" in capsys.readouterr().out
