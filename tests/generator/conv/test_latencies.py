"""The table of latencies: its floors and sources, and what a board puts in its place."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from importlib.resources import files
from typing import get_args

import pytest

from shiftforge.boards.load import list_boards, load_board, parse_board
from shiftforge.boards.types import LatencyName
from shiftforge.generator.conv.latencies import (
    LATENCY_SOURCES,
    LEAST_LATENCIES,
    Latencies,
    board_latencies,
    latency_sources,
)

NAMES = tuple(own.name for own in fields(Latencies))


def test_every_latency_has_a_source_and_a_name_in_board_files() -> None:
    assert tuple(LATENCY_SOURCES) == NAMES == get_args(LatencyName)
    assert all(text.startswith(("aoc reports", "assumed")) for text in LATENCY_SOURCES.values())


def test_no_default_is_below_its_floor() -> None:
    table = Latencies().to_dict()
    assert set(LEAST_LATENCIES) <= set(table)
    assert all(table[name] >= least for name, least in LEAST_LATENCIES.items())


@pytest.mark.parametrize("name", list_boards())
def test_no_shipped_board_is_below_the_floors(name: str) -> None:
    table = board_latencies(load_board(name)).to_dict()
    assert all(table[own] >= least for own, least in LEAST_LATENCIES.items())


def test_a_board_has_its_own() -> None:
    text = (files("shiftforge.boards") / "a10gx1150.toml").read_text()
    own = '[latencies]\nconv = 75\n\n[sources]\n"latencies.conv" = "own report"'
    board = parse_board(text.replace("[sources]", own), "mine.toml")
    assert board_latencies(board) == replace(Latencies(), conv=75)
    assert board_latencies(load_board("a10gx1150")) == Latencies()
    assert latency_sources(board) == {**LATENCY_SOURCES, "conv": "own report"}


def test_half_and_double() -> None:
    table = replace(Latencies(), controller=25, channel=1)
    half, double = table.scaled(Fraction(1, 2)), table.scaled(2)
    assert (half.controller, half.channel, half.conv) == (12, 1, 30)
    assert (double.controller, double.channel, double.conv) == (50, 2, 120)
    assert table.scaled(1) == table


@pytest.mark.parametrize("value", [0, -1, 60.0, True, "60", None])
def test_what_is_no_latency_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="latency conv"):
        Latencies(conv=value)  # type: ignore[arg-type]
