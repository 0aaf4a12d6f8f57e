"""Every help ends with two examples, which are command lines that can be given."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from shiftforge.cli import main as cli_main
from shiftforge.cli.command import CheckedCommand
from shiftforge.cli.examples import EXAMPLES, commands

EVERY = [words for words, _ in commands(cli_main.cli)]


def test_every_command_has_examples_and_no_other() -> None:
    assert sorted(EVERY) == sorted(EXAMPLES)


@pytest.mark.parametrize("words", EVERY)
def test_help_ends_with_two_examples(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run([*words.split(), "--help"]) == 0
    *_, title, first, second = capsys.readouterr().out.rstrip().splitlines()
    assert title.strip() == "Examples:"
    assert (first.strip(), second.strip()) == EXAMPLES[words]
    assert first != second
    for line in EXAMPLES[words]:
        begin = f"shiftforge {words}".strip()
        assert line == begin or line.startswith(f"{begin} ")


@pytest.mark.parametrize("line", [line for two in EXAMPLES.values() for line in two])
def test_an_example_is_a_command_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parsed(shlex.split(line)[1:])


def parsed(arguments: list[str]) -> dict[str, object]:
    """The parameters of a command line, as click and the command's options take them.

    Raises AssertionError, or click's own errors, for what is wrong with them.
    """
    context = cli_main.cli.make_context("shiftforge", arguments)
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        with context:
            name, command, rest = context.command.resolve_command(context, rest)
            assert command is not None
            context = command.make_context(name, rest, parent=context)
    with context:
        assert not context.meta.get("shiftforge.problems")
        if isinstance(context.command, CheckedCommand):
            assert not context.command.option_problems(context)
    return context.params


@pytest.mark.parametrize("line", ["emulate d --device pocl", "generate m", "ci run", "ci nope"])
def test_a_line_that_cannot_be_given_is_seen(line: str) -> None:
    with pytest.raises(click.UsageError):
        parsed(line.split())
    with pytest.raises(AssertionError):
        parsed(["generate", "m", "--board", "b", "-o", "d", "--units", "0"])


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("ge", ["generate"]),
        ("ci ", ["init", "run"]),
        ("train al", ["albert"]),
        ("train --net", ["--network"]),
        ("generate m --un", ["--units"]),
        ("quantize x --scheme ", ["shift", "int", "dtssq"]),
    ],
)
def test_a_shell_completes(
    typed: str,
    wanted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As bash asks, by click's own variable."""
    words = f"shiftforge {typed}"
    for name, value in (("_SHIFTFORGE_COMPLETE", "bash_complete"), ("COMP_WORDS", words),
                        ("COMP_CWORD", str(words.count(" ")))):  # fmt: skip
        monkeypatch.setenv(name, value)
    assert cli_main.run([]) == 0
    found = capsys.readouterr().out.split()
    assert [line.removeprefix("plain,") for line in found] == wanted
