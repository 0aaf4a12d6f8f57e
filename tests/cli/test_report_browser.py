"""A page in a browser: its tables and charts are used, axe finds nothing serious, phones fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from albert_projects import make_project
from browser import axe, chromium, driven
from pages import needs_drawing

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.example import random_model

pytestmark = pytest.mark.slow

AXE = """
for (const one of document.querySelectorAll("details")) one.open = true;
const found = await axe.run(document);
return found.violations.map(v => [v.id, v.impact, v.nodes.length, v.nodes[0].html.slice(0, 200)]);
"""


@pytest.fixture(scope="module", params=["conv", "edgebert"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chromium()
    needs_drawing()
    folder = tmp_path_factory.mktemp("browser") / "d"
    if request.param == "conv":
        generate(random_model(1), load_board("a10gx1150"), units=16, pixels=7).write(folder)
    else:
        make_project(folder)
    assert run(["report", str(folder), "--no-run"]) == 0
    return folder / "report/report.html"


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(page: Path, dark: bool, tmp_path: Path) -> None:
    found = driven(page, AXE, before=axe(), dark=dark, folder=tmp_path)
    assert [one for one in found if one[1] in ("serious", "critical")] == []


def test_a_planted_violation_is_found(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    planted = tmp_path / "planted.html"
    planted.write_text(text.replace('<html lang="en">', "<html>"), encoding="utf-8")
    found = driven(planted, AXE, before=axe(), folder=tmp_path)
    assert "html-has-lang" in [one[0] for one in found]


def test_tables_are_sorted_and_searched(page: Path, tmp_path: Path) -> None:
    script = """
    const table = [...document.querySelectorAll("table")].find(
      t => t.tBodies[0].rows.length > 2 && t.querySelector("td.number"));
    const at = [...table.tBodies[0].rows[0].cells].findIndex(c => c.matches("td.number"));
    const values = () => [...table.tBodies[0].rows].map(
      row => Number(row.cells[at].querySelector("data").value));
    const button = table.tHead.rows[0].cells[at].querySelector("button");
    button.click(); const up = values();
    button.click(); const down = values();
    const find = document.querySelector(".find");
    find.value = "no such row"; find.dispatchEvent(new Event("input"));
    const shown = [...find.parentElement.querySelectorAll("tbody tr")].filter(r => !r.hidden);
    return { up, down, shown: shown.length,
             sort: table.tHead.rows[0].cells[at].getAttribute("aria-sort") };
    """
    found = driven(page, script, folder=tmp_path)
    assert found["up"] == sorted(found["up"]) and found["down"] == sorted(found["up"])[::-1]
    assert found["sort"] == "descending" and found["shown"] == 0


def test_charts_are_walked_with_the_keyboard(page: Path, tmp_path: Path) -> None:
    script = """
    const plot = document.querySelector(".chart .wide");
    const marks = [...plot.querySelectorAll("[role=graphics-symbol][aria-label]")];
    const tip = document.getElementById("tip"), told = [];
    plot.focus();
    for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "Escape"]) {
      plot.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      told.push(tip.hidden ? null : tip.textContent);
    }
    return { told, labels: marks.slice(0, 2).map(m => m.getAttribute("aria-label")),
             focused: document.activeElement === plot };
    """
    found = driven(page, script, folder=tmp_path)
    first, second = found["labels"]
    assert found["told"] == [first, second, first, None] and found["focused"]


def test_a_phone_shows_all_without_scrolling_sideways(page: Path, tmp_path: Path) -> None:
    script = """
    const root = document.documentElement;
    const shown = (name) => getComputedStyle(document.querySelector(name)).display !== "none";
    return { over: root.scrollWidth - innerWidth, width: innerWidth,
             wide: shown(".chart .wide"), narrow: shown(".chart .narrow") };
    """
    found = driven(page, script, width=500, folder=tmp_path)
    assert found["width"] <= 500 and found["over"] <= 0
    assert found["narrow"] and not found["wide"]


def test_dark_and_light_differ(page: Path, tmp_path: Path) -> None:
    script = "return getComputedStyle(document.body).backgroundColor;"
    light = driven(page, script, folder=tmp_path)
    assert light != driven(page, script, dark=True, folder=tmp_path)
