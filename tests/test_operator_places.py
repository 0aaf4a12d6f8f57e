"""Every operator of the integer graph has all its places; a missing one is named."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
from operator_places import CAPTURE, PAGE, PARTIAL, PLACES, TYPES, Place, missing, operators, read
from random_maps import random_maps

from shiftforge.quant.graph.types import Node
from shiftforge.quant.graph.verify_maps import MapNode

ROOT = Path(__file__).resolve().parents[1]
OPERATORS = tuple(sorted(kind.__name__ for kind in typing.get_args(Node)))
MAPS = tuple(sorted(kind.__name__ for kind in typing.get_args(MapNode)))


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return read(ROOT)


def changed(texts: dict[str, str], path: str, old: str, new: str) -> dict[str, str]:
    assert old in texts[path], f"{path} has no {old!r}"
    return {**texts, path: texts[path].replace(old, new)}


def test_no_operator_lacks_a_place(texts: dict[str, str]) -> None:
    assert missing(texts) == []


def test_the_list_is_the_graphs_own(texts: dict[str, str]) -> None:
    assert operators(texts[TYPES]) == OPERATORS
    assert set(PARTIAL) <= set(texts)


def test_random_networks_hold_every_operator() -> None:
    found = {type(node).__name__ for seed in range(12) for node in random_maps(seed).nodes}
    assert found == set(OPERATORS)


def test_a_planted_operator_is_missed_everywhere(texts: dict[str, str]) -> None:
    planted = changed(texts, TYPES, "Conv | Add | Pool | MaxPool", "Conv | Roll | Pool | MaxPool")
    found = missing(planted)
    for place in PLACES[1:]:
        if place.family != "maps":
            line = f"Roll has no place in {place.what}: {place.path} does not name "
            assert line + place.name_of("Roll") in found
    assert f"Roll: {PAGE} has no row for it" in found
    assert f"Roll: the text above {TYPES} has no line * ``Roll``:" in found


@pytest.mark.parametrize("place", PLACES[1:], ids=lambda place: place.what)
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_place_that_loses_an_operator_is_named(
    operator: str, place: Place, texts: dict[str, str]
) -> None:
    if operator not in place.asked(OPERATORS, MAPS):
        return
    name = place.name_of(operator)
    found = missing({**texts, place.path: texts[place.path].replace(name, f"Other{name}")})
    assert f"{operator} has no place in {place.what}: {place.path} does not name {name}" in found


def test_an_operator_without_a_record_is_named(texts: dict[str, str]) -> None:
    """Where it is a field of the accelerator's layers."""
    found = missing({**texts, "generator/conv/lower_post.py": ""})
    assert any(text.startswith("Add has no place in the record: ") for text in found)


def test_a_module_that_tells_operators_apart_joins_the_list(texts: dict[str, str]) -> None:
    text = "def kind(node):\n    return 1 if isinstance(node, Add) else isinstance(node, Conv)\n"
    found = missing({**texts, "sim/conv/kinds.py": text})
    others = ", ".join(own for own in OPERATORS if own not in ("Add", "Conv"))
    assert found == [f"sim/conv/kinds.py tells operators apart and does not name {others}"]


def test_imports_and_texts_are_no_place(texts: dict[str, str]) -> None:
    path = "sim/golden/conv/network.py"
    silent = (
        "from shiftforge.quant.graph.types import Conv, Add, Pool\n__all__ = ['Conv', 'Pool']\n"
    )
    found = missing({**texts, path: silent})
    assert len([line for line in found if path in line]) == len(OPERATORS)


def test_the_page_names_what_capture_knows(texts: dict[str, str]) -> None:
    planted = changed(texts, CAPTURE, '"conv2d"', '"conv2d conv3d"')
    assert missing(planted) == [f"aten.conv3d: {PAGE} does not name it"]
    row = "| `Resize` | | | |\n"
    stale = {**texts, PAGE: texts[PAGE] + row}
    assert missing(stale) == [f"{PAGE} has a row for Resize, which is no operator"]
