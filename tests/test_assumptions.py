"""docs/ASSUMPTIONS.md: every value in its tables is the one that the code or a board file has."""

from __future__ import annotations

import importlib
import re
import tomllib
from dataclasses import dataclass, fields
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from shiftforge.boards.load import list_boards, load_board
from shiftforge.generator.conv.latencies import LATENCY_SOURCES, Latencies

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ASSUMPTIONS.md"
_PLACE = re.compile(r"`([\w/]+\.(?:py|toml)): ([\w.]+)(?:\[([\w, ]+)\])?`")
FIGURES = ("clock_mhz_assumed", "memory.bandwidth_gb_s")


@dataclass(frozen=True)
class Row:
    """A row with a value. line: in the page. key: into the constant, where it is a table."""

    line: int
    value: float
    path: str
    name: str
    key: str
    source: str


def rows(text: str) -> list[Row]:
    found = []
    for line, content in enumerate(text.split("\n"), 1):
        cells = [cell.strip() for cell in content.split("|")[1:-1]]
        place = _PLACE.fullmatch(cells[2]) if len(cells) == 5 else None
        if place is not None:
            path, name, key = place[1], place[2], place[3] or ""
            found.append(Row(line, float(cells[1]), path, name, key, cells[3]))
    return found


def held(row: Row) -> Any:
    """What the code has in a row's place."""
    path = ROOT / row.path
    if path.suffix == ".toml":
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        return reduce(lambda table, part: table[part], row.name.split("."), tree)
    module = importlib.import_module("shiftforge." + row.path.removesuffix(".py").replace("/", "."))
    value = reduce(getattr, row.name.split("."), module)
    parts = [int(part) if part.isdigit() else part for part in row.key.split(", ")]
    return value[tuple(parts)] if row.key else value  # type: ignore[index]


def differences(text: str) -> list[str]:
    """Rows that the code contradicts, with their line."""
    found = []
    for row in rows(text):
        try:
            value = held(row)
        except (AttributeError, KeyError, OSError, ImportError) as error:
            found.append(f"line {row.line}: {row.path} has no {row.name} ({error!r})")
            continue
        if float(value) != row.value:
            found.append(f"line {row.line}: {row.name} is {value}, the page says {row.value:g}")
    return found


TEXT = PAGE.read_text(encoding="utf-8")


def test_every_value_is_the_codes() -> None:
    assert differences(TEXT) == []


def test_every_row_with_a_place_is_read() -> None:
    assert len(rows(TEXT)) == len(re.findall(r"`[\w/]+\.(?:py|toml): ", TEXT)) > 20


def test_every_latency_is_there_with_the_kind_of_its_source() -> None:
    found = {row.name.removeprefix("Latencies."): row.source for row in rows(TEXT)
             if row.name.startswith("Latencies.")}  # fmt: skip
    assert set(found) == {own.name for own in fields(Latencies)}
    for name, source in found.items():
        assert source.startswith("assumed") == LATENCY_SOURCES[name].startswith("assumed"), name


@pytest.mark.parametrize("name", list_boards())
def test_what_a_board_assumes_of_time_is_there(name: str) -> None:
    board = load_board(name)
    found = {row.name: row.source for row in rows(TEXT) if row.path == f"boards/{name}.toml"}
    assumed = {figure for figure in FIGURES if figure in board.assumptions}
    assert assumed <= set(found)
    assert all(found[figure].startswith("assumed") for figure in assumed)
    assert {f"latencies.{latency}" for latency in board.latencies} <= set(found)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("| 60 | `generator/conv/latencies.py", "| 61 | `generator/conv/latencies.py",
         "Latencies.conv is 60, the page says 61"),
        ("Latencies.conv`", "Latencies.conf`", "has no Latencies.conf"),
        ("latencies.py: Latencies.conv`", "latency.py: Latencies.conv`", "latency.py has no"),
        ("| 250 | `boards/a10", "| 251 | `boards/a10", "clock_mhz_assumed is 250.0"),
        ("a10gx1150.toml: clock_mhz_assumed", "a10gx1150.toml: clock_mhz", "has no clock_mhz"),
        ("ALM_A_LANE[soft, 5]", "ALM_A_LANE[soft, 9]", "has no ALM_A_LANE"),
        ("| 30.4 |", "| 30 |", "ALM_A_LANE is 30.4"),
    ],
)  # fmt: skip
def test_a_planted_difference_is_located(old: str, new: str, told: str) -> None:
    assert TEXT.count(old) == 1
    line = TEXT[: TEXT.index(old)].count("\n") + 1
    (found,) = differences(TEXT.replace(old, new))
    assert found.startswith(f"line {line}: ")
    assert told in found
