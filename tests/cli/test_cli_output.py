"""What is printed: values that JSON cannot hold, and progress where there is no terminal."""

from __future__ import annotations

import errno
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shiftforge import files
from shiftforge import progress as progress_module
from shiftforge.cli import output
from shiftforge.cli.options import output_file_problems
from shiftforge.errors import Problem


def test_json_of_values_it_has_no_form_for(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json(
        {
            "a": np.int64(3),
            "b": np.float32(0.5),
            "c": np.arange(3),
            "d": math.inf,
            "e": (np.nan, Path("x")),
            5: None,
        }
    )
    assert json.loads(capsys.readouterr().out) == {
        "a": 3,
        "b": 0.5,
        "c": [0, 1, 2],
        "d": None,
        "e": [None, "x"],
        "5": None,
    }
    with pytest.raises(TypeError):
        output.print_json(object())


def test_progress_goes_to_stderr_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 5.0, 12.0, 13.0])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    with output.progress() as advance:
        for done in range(4):
            advance("frames", done, 8)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "frames: 2 of 8, about 36 s left\n"


def test_python_callers_ask_for_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 12.0])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    with progress_module.shown_progress(True) as advance:
        assert advance is not None
        advance("frames", 0, 4)
        advance("frames", 1, 4)
    assert capsys.readouterr().err == "frames: 1 of 4, about 36 s left\n"
    own: list[tuple[str, int, int]] = []
    given = lambda *told: own.append(told)  # noqa: E731
    for value in (None, False, given):
        with progress_module.shown_progress(value) as advance:
            assert advance is (given if value else None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("folder", "is a folder"),
        ("missing/m.safetensors", "its folder does not exist"),
        ("m.bin", "does not end in .safetensors"),
        ("foreign.safetensors", "was not written by shiftforge"),
    ],
)
def test_output_file_is_checked_first(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "foreign.safetensors").write_text("mine")
    problems = output_file_problems(tmp_path / name, ".safetensors", lambda path: False)
    assert any(told in p.what for p in problems)


def test_own_output_file_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_text("ours")
    assert not output_file_problems(tmp_path / "m.safetensors", ".safetensors", lambda path: True)
    assert not output_file_problems(tmp_path / "n.safetensors", ".safetensors", lambda path: False)


def test_a_reader_that_leaves_is_no_failure() -> None:
    code = (
        "import sys\nfrom shiftforge.cli import output\n"
        "from shiftforge.cli.output import ReaderLeftError, print_table\n"
        "try:\n    for _ in range(2000): print_table('t', ('a', 'b'), [(1, 2)] * 9)\n"
        "except ReaderLeftError: sys.exit(7)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read(10)
    child.stdout.close()
    assert child.wait(timeout=60) == 7


LONG = [(f"name-{i}-" + "n" * 30, "x" * 150, "y" * 90, "[bold]é×─") for i in range(3)]


def printed_table(capsys: pytest.CaptureFixture[str]) -> str:
    output.print_table("a title " + "t" * 200, ("first", "second", "third", "fourth"), LONG)
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", ["80", "10", ""])
def test_a_table_without_a_terminal_is_as_wide_as_it_is(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    printed = printed_table(capsys)
    assert "a title " + "t" * 200 in printed.splitlines()
    for row in LONG:
        assert any(all(cell in line for cell in row) for line in printed.splitlines())
    assert "…" not in printed and not any(line.endswith(" ") for line in printed.splitlines())


@pytest.mark.parametrize("width", [300, 120, 79, 40, 20, 5])
def test_a_table_in_a_narrow_terminal_keeps_every_character(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    printed = printed_table(capsys)
    assert "…" not in printed
    for letter, count in (("x", 450), ("y", 270), ("×", 3)):
        assert printed.count(letter) == count
    assert printed.count("n") >= 3 * 31


@pytest.mark.parametrize("name", ["m.safetensors", "n" * 250 + ".safetensors"])
def test_a_place_that_cannot_be_written_is_found_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files, "_try_folder", refused)
    (problem,) = output_file_problems(tmp_path / name, ".safetensors", lambda path: True)
    assert "Permission denied" in problem.what or "too long" in problem.what
    assert problem.remedy


def test_texts_of_strangers_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b[31mred\r\n\u202eé"
    shown = "\\x1b[31mred\\r\\n\\u202eé"
    output.print_problems([Problem(f"{name} is none", "rename it", name)], as_json=False)
    told = capsys.readouterr().err
    assert told.startswith(f"error: {shown}: ") and "rename it" in told
    output.print_problems([Problem("is none", "", "n" * 1_000_000)], as_json=False)
    assert len(capsys.readouterr().err) < 500
    output.note("é\tand a line\nand another")
    assert capsys.readouterr().err == "é\tand a line\nand another\n"
    output.print_table("\x1b]0;t\x07", ("class",), [("\x1b[2Jé",)])
    assert "\x1b" not in (told := capsys.readouterr().out) and "\\x1b[2Jé" in told
