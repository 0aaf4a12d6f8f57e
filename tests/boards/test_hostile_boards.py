"""Board files of strangers: each ends in a board or in a refusal with its remedy, at once."""

from __future__ import annotations

import os
import re
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.boards.load import MOST_BYTES, load_board, parse_board
from shiftforge.cli.main import run
from shiftforge.errors import InputError

GOOD = (files("shiftforge.boards") / "a10gx1150.toml").read_text()
EVIL = (
    "*/ int evil(int a) { return a; } /*",
    "$(shell touch evil)",
    "x; touch evil",
    "`touch evil`",
    "a\\nb",
    "a\\n",
    "a\\u0000b",
    "a\\u001b[31m",
    "a\\u2028b",
    "a\\\\",
    "#",
    "a'b\\\"",
    "",
    " ",
    "-",
    "a" * 501,
)
TEXTS = {
    "name": 'name = "a10gx1150"',
    "title": 'title = "Intel PAC with Arria 10 GX 1150"',
    "device": 'device = "10AX115N2F40E2LG"',
    "memory.kind": 'kind = "DDR4-2133"',
    "sdk.version": 'version = "19.4"',
    "sdk.bsp": 'bsp = "pac_a10"',
}


def refused(text: str) -> str:
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        parse_board(text, "mine.toml")
    assert time.perf_counter() - started < 2
    assert all(p.where == "mine.toml" and p.remedy for p in caught.value.problems)
    told = "\n".join(str(p) for p in caught.value.problems)
    assert all(part.isprintable() and len(part) < 400 for part in told.split("\n"))
    return told


def planted(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("field", TEXTS)
def test_every_text_of_a_board_is_spelled_as_its_field_is(field: str, value: str) -> None:
    key = field.rpartition(".")[2]
    told = refused(planted(TEXTS[field], f'{key} = "{value}"'))
    assert f"{field}: " in told


@pytest.mark.parametrize("value", [value for value in EVIL if value != "-"])
@pytest.mark.parametrize("field", ["flags", "emulator_flags"])
def test_flags_are_single_words(field: str, value: str) -> None:
    told = refused(planted(f"\n{field} = []", f'\n{field} = ["-v", "{value}"]'))
    assert f"sdk.{field}.1: " in told


@pytest.mark.parametrize("flag", ["-fp-relaxed", "-DX=1", "-I", "lib/a.aoco", "-clock=250MHz"])
def test_flags_of_the_compiler_are_taken(flag: str) -> None:
    assert parse_board(planted("\nflags = []", f'\nflags = ["{flag}"]'), "x").sdk.flags == (flag,)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("= 250.0", "= 1e308", "clock_mhz_assumed"),
        ("= 250.0", "= 1e-300", "clock_mhz_assumed"),
        ("= 250.0", "= 1e400", "clock_mhz_assumed"),
        ("= 250.0", "= 0", "clock_mhz_assumed"),
        ("= 427200", f"= {10**30}", "alm"),
        ("= 427200", f"= 0x{'f' * 1900}", "alm"),
        ("= 427200", f"= {'9' * 1900}", "alm"),
        ("= 427200", f"= {'9' * 5000}", "line 6"),
        ("= 427200", "= 10000001", "alm"),
        ("= 1518", f"= {2**63}", "dsp"),
        ("= 2713", "= 1_000_000_000_000", "ram_blocks"),
        ("banks = 2", "banks = 100000", "memory.banks"),
        ("= 8.0", "= 1e-300", "memory.size_gb"),
        ("= 8.0", "= 1e300", "memory.size_gb"),
        ("= 34.1", "= 1e-308", "memory.bandwidth_gb_s"),
        ("= 34.1", "= 1e308", "memory.bandwidth_gb_s"),
        ("alm = 0.75", "alm = 1e-300", "limits.alm"),
        ('name = "a10gx1150"', "name = 1979-05-27", "name: is a date"),
        ('bsp = "pac_a10"', "bsp = 07:32:00", "sdk.bsp: is a date or a time"),
        ("flags = []\nemu", "flags = [1979-05-27T07:32:00Z]\nemu", "sdk.flags.0: is a date"),
        ("[memory]", "[[memory]]", "memory"),
        ("[sources]", "[[sources]]", "sources"),
        ("[limits]", "[sdk]", "twice"),
        ("dsp = 1518", "dsp = 1518\ndsp = 1518", "overwrite"),
        ("PAC with Arria 10 GX 1150", "PAC\0", "TOML"),
        ("[limits]", "[limits]\nx = {a = {a = {a = {a = {a = 1}}}}}", "deep"),
        ("[limits]", "[limits]\n" + "x." * 900 + "x = 1", "deep"),
        ("[limits]", "[limits]\n" + "x." * 50_000 + "x = 1", "characters"),
        ("[limits]", "[limits]\nx = " + "[\n" * 20_000, "deep"),
        ("[limits]", "[limits]\nx = " + "[\n" * 400 + "]\n" * 400, "deep"),
        ("[limits]", '[limits]\n"\\u001b[31m" = 3', "'limits.\\x1b[31m'"),
        ("[sources]", '[sources]\n"\\u001b[31m" = "a"', "'\\x1b[31m'"),
    ],
)  # fmt: skip
def test_numbers_and_forms_out_of_bounds_are_told(old: str, new: str, told: str) -> None:
    assert told.lower() in refused(GOOD.replace(old, new, 1)).lower()


def test_a_mark_at_the_beginning_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_board(path) == load_board("a10gx1150")


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "x.toml")
    return folder / "x.toml"


def _folder(folder: Path) -> Path:
    (folder / "x.toml").mkdir()
    return folder / "x.toml"


def _huge(folder: Path) -> Path:
    with (folder / "x.toml").open("wb") as stream:
        stream.truncate(1 << 40)
    return folder / "x.toml"


def _long(folder: Path) -> Path:
    return folder / ("x" * 300 + ".toml")


def _circle(folder: Path) -> Path:
    (folder / "x.toml").symlink_to(folder / "x.toml")
    return folder / "x.toml"


def _inside_a_file(folder: Path) -> Path:
    (folder / "f").write_text("")
    return folder / "f/x.toml"


def _utf16(folder: Path) -> Path:
    (folder / "x.toml").write_bytes(GOOD.encode("utf-16"))
    return folder / "x.toml"


@pytest.mark.parametrize(
    "made", [_fifo, _folder, _huge, _long, _circle, _inside_a_file, _utf16, lambda _: "/dev/zero"]
)
def test_paths_that_are_no_board_file_are_refused(
    made, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    started = time.perf_counter()
    assert run(["boards", str(made(tmp_path))]) == 2
    assert time.perf_counter() - started < 2
    out, err = capfd.readouterr()
    assert not out and err.startswith("error: ") and len(err.splitlines()) == 2


@pytest.mark.parametrize(
    "name", ["", ".", "x" * 100_000, "\x1b[31m", "a\nb", "\udcff", "A10GX1150"]
)
def test_names_that_are_no_board_are_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["boards", name]) == 2
    err = capfd.readouterr().err
    assert "\x1b" not in err and len(err.splitlines()) == 2 and len(err) < 500


def test_a_long_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(GOOD + "#" * MOST_BYTES)
    with pytest.raises(InputError, match="bytes"):
        load_board(path)


_MUTATION = st.tuples(
    st.integers(0, len(GOOD)), st.integers(0, 40), st.one_of(st.text(max_size=12), st.sampled_from(
        ("[", "]", "{", "}", '"', "'''", "=", "\n[a]\n", "1e999", "-1", "0", "\\", ".", "nan", "'")
    ))
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(_MUTATION, min_size=1, max_size=4))
def test_a_mutated_board_file_is_a_board_or_refused(changes: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for start, length, new in changes:
        text = text[:start] + new + text[start + length :]
    try:
        board = parse_board(text, "x")
    except InputError as error:
        assert all(problem.remedy for problem in error.problems)
        return
    assert re.fullmatch(r"[A-Za-z0-9_.+-]{1,64}", board.name)
    assert sys.getsizeof(board.title) < 1000
