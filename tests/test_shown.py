"""Results show themselves in a notebook: tables of text, nothing of a name becomes markup."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shiftforge
from shiftforge.quant.graph.example import random_model
from shiftforge.shown import facts_html, picture_html, table_html
from shiftforge.sim.accuracy import Evaluation
from shiftforge.sim.results import Emulation, Pair, Table


class Tags(HTMLParser):
    """Open tags must be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(html: str) -> list[str]:
    found = Tags()
    found.feed(html)
    assert not found.open
    return found.seen


def test_cells_are_text() -> None:
    html = table_html("<b>", ("a & b",), [("<script>",), (1234567,), (0.25,), (None,), (True,)])
    assert "<script>" not in html and "&lt;script&gt;" in html and "a &amp; b" in html
    assert "1,234,567" in html and "0.25" in html and "True" in html
    assert set(tags(html)) == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert tags(table_html("", ("n",), [(n,) for n in range(250)])).count("tr") == 201


def test_facts_leave_out_what_is_no_single_value() -> None:
    html = facts_html("x", {"one_fact": 3, "many": [1, 2], "none": None})
    assert "one fact" in html and "many" not in html and "none" not in html


def evaluation(name: str = "cat") -> Evaluation:
    scores = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    return Evaluation(
        (name, "dog"), ("0", "1", "2"), np.array([0, 1, 1]), {"golden": scores}, {}, notes=()
    )


def shown(kind: str, tmp_path: Path) -> Any:
    if kind == "model":
        return random_model(1)
    if kind == "design":
        return shiftforge.generate(random_model(1), "a10gx1150")
    if kind == "emulation":
        return Emulation("pocl", 2, "output", 20, 0, None, None, {"platform": "<PoCL>"})
    if kind == "pair":
        table = Table("layers", ("layer", "SQNR"), (("<conv>", 30.0),))
        return Pair("float", "golden", 2, False, 20, 3, None, {}, (table,))
    return evaluation("<i>")


@pytest.mark.parametrize("kind", ["model", "design", "emulation", "pair", "evaluation"])
def test_results(kind: str, tmp_path: Path) -> None:
    html = shown(kind, tmp_path)._repr_html_()
    seen = tags(html)
    assert "table" in seen and seen.count("tr") > 1
    assert set(seen) <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "img"}


def test_a_check_and_an_exploration() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(),
                                 torch.nn.Linear(8 * 36, 4))  # fmt: skip
    module.input_shape = (3, 8, 8)
    report = shiftforge.check(module, "de10_nano")
    assert "conv" in report._repr_html_()
    front = shiftforge.explore(random_model(1), "de10_nano", points=200)
    assert "de10_nano" in front._repr_html_() and "--units" in front._repr_html_()


def test_a_confusion_matrix_is_a_picture() -> None:
    pytest.importorskip("matplotlib")
    html = evaluation()._repr_html_()
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert base64.b64decode(data).startswith(b"\x89PNG") and 'alt="confusion matrix' in html
    assert picture_html(b"x", '"><script>').count("<script>") == 0
