"""A page is held against its files: planted faults are located. Pointers find values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import needs_drawing

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.documents import conv_documents
from shiftforge.generator.conv.target import generate
from shiftforge.generator.page.check import check_page
from shiftforge.generator.page.documents import Documents, pointed
from shiftforge.generator.page.page import page_text
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import load_model

DOCUMENTS = Documents(
    {"a.json": {"cycles": 12345, "share": 0.5, "rows": [{"n": 1, "name": "x"}, {"n": 2000}]}}
)
GOOD = """<p>cycles <data data-source="a.json#/cycles" data-form="count">12,345</data> and
<data data-source="a.json#/share" data-form="share">50.0%</data>, <code>layer_1</code>
<figure data-source="a.json#/rows" data-label="{n:,} items">
<svg><text>7</text><path role="graphics-symbol" aria-label="1 items"/>
<path role="graphics-symbol" aria-label="2,000 items"/></svg></figure>"""


def test_a_right_page_has_no_faults() -> None:
    assert check_page(GOOD, DOCUMENTS) == []


@pytest.mark.parametrize(
    ("old", "new", "source", "what"),
    [
        ("12,345", "12,346", "a.json#/cycles", "'12,346', the file has '12,345'"),
        ("50.0%", "50.1%", "a.json#/share", "50.1%"),
        ("#/share", "#/shares", "a.json#/shares", "nothing at /shares"),
        ("a.json#/share", "b.json#/share", "b.json#/share", "no file b.json"),
        ("2,000 items", "2,001 items", "a.json#/rows", "2,001 items"),
        ('aria-label="1 items"', "", "a.json#/rows", "fewer marks"),
        ("#/rows", "#/cycles", "a.json#/cycles", "not iterable"),
        ("<p>cycles", "<p>3 cycles", "nowhere", "'3 cycles' has no source"),
        ("layer_1", "x</code>layer_1<code>", "nowhere", "layer_1"),
    ],
)
def test_a_planted_fault_is_located(old: str, new: str, source: str, what: str) -> None:
    assert GOOD.count(old) == 1
    (fault,) = check_page(GOOD.replace(old, new), DOCUMENTS)
    assert fault.source == source and what in fault.what


def test_pointers() -> None:
    value = {"a/b": [{"m~n": 1}], "": 3}
    assert pointed(value, "") is value
    assert pointed(value, "/a~1b/0/m~0n") == 1
    assert pointed(value, "/") == 3
    for pointer in ("/x", "/a~1b/1", "/a~1b/x", "/a~1b/0/m~0n/z"):
        with pytest.raises(KeyError):
            pointed(value, pointer)


def test_texts_of_strangers_are_escaped(tmp_path: Path) -> None:
    needs_drawing()
    evil = "</svg></script><script>alert(1)</script>\x00&quot;{0}"
    generate(random_model(1), load_board("a10gx1150"), units=16, pixels=7).write(tmp_path)
    found = conv_documents(tmp_path, load_model(tmp_path / "model.safetensors"))
    name = found["network.json"]["nodes"][0]["name"]
    text = json.dumps(found).replace(json.dumps(name), json.dumps(evil))
    documents = Documents(json.loads(text))
    page = page_text(documents, {})
    assert "<script>alert" not in page and page.count("<script") == 1
    assert check_page(page, documents) == []
