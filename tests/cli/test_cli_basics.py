"""The command line's frame: exit codes, JSON on stdout alone, and what importing it loads."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

import shiftforge
from shiftforge.cli import main as cli_main
from shiftforge.errors import CheckFailed, InputError, Problem

HEAVY = ("torch", "pyopencl", "transformers", "pydantic", "numpy")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_importing_the_command_line_is_light() -> None:
    done = python(
        "import sys, shiftforge, shiftforge.cli.main\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shiftforge", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert shiftforge.__version__ in done.stdout


@pytest.mark.parametrize("name", sorted(cli_main.cli.commands))
def test_every_command_has_help_and_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text
    assert cli_main.cli.commands[name].get_short_help_str(80)[-1] == "."


def command_that(raises: BaseException) -> click.Command:
    @click.command("raise")
    @click.option("--json", "as_json", is_flag=True)
    def command(as_json: bool) -> None:
        raise raises

    return command


@pytest.mark.parametrize(
    ("raises", "code", "told"),
    [
        (InputError([Problem("one", "mend one", "here"), Problem("two")]), 2, "here: one"),
        (CheckFailed("3 differ"), 1, "3 differ"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_exit_codes(
    raises: BaseException,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(cli_main.cli.commands, "raise", command_that(raises))
    assert cli_main.run(["raise"]) == code
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.out == ""


def test_all_problems_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = InputError([Problem("one", "mend one", "here"), Problem("two", "mend two")])
    monkeypatch.setitem(cli_main.cli.commands, "raise", command_that(error))
    assert cli_main.run(["raise", "--json"]) == 2
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert [p["what"] for p in told["error"]] == ["one", "two"]
    assert "mend two" in printed.err


@pytest.mark.parametrize("arguments", [["nonsense"], ["boards", "--nonsense"], ["generate"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(arguments) == 2
    assert cli_main.run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"][0]["remedy"].endswith("--help")


def test_boards(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["boards"]) == 0
    assert "a10gx1150" in capsys.readouterr().out
    assert cli_main.run(["boards", "--json"]) == 0
    assert {b["name"] for b in json.loads(capsys.readouterr().out)} >= {"a10gx1150", "de10_nano"}
    assert cli_main.run(["boards", "de10_nano", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory"]["banks"] == 1
    assert cli_main.run(["boards", "de10nano"]) == 2
    assert "did you mean 'de10_nano'?" in capsys.readouterr().err


def test_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m shiftforge boards --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[0"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("printed_before", [False, True])
def test_a_failed_check_prints_one_json_document(
    printed_before: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("raise")
    @click.option("--json", is_flag=True)
    def failing(json: bool) -> None:
        if printed_before:
            cli_main.print_json({"passed": False})
        raise CheckFailed("3 differ")

    monkeypatch.setitem(cli_main.cli.commands, "raise", failing)
    wanted = {"error": [{"what": "3 differ", "remedy": "", "where": ""}]}
    for _ in range(2):
        assert cli_main.run(["raise", "--json"]) == 1
        printed = json.loads(capsys.readouterr().out)
        assert printed == ({"passed": False} if printed_before else wanted)
