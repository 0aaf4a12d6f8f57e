"""Options that commands have from the registered targets, where two of them meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click
import pytest
from click.testing import CliRunner

from shiftforge.cli.dynamic import DynamicCommand, chosen_options


@dataclass(frozen=True)
class First:
    """depth: 4 unless given."""

    depth: int = field(default=4, metadata={"min": 1})


@dataclass(frozen=True)
class Second:
    """depth: 9 unless given."""

    depth: int = field(default=9, metadata={"min": 1})


@dataclass(frozen=True)
class Other:
    """depth: of another type."""

    depth: float = 1.0


@dataclass(frozen=True)
class Taken:
    """board: the command's own."""

    board: str = ""


def second_of(kinds: dict[str, type[Any]], *given: str) -> Any:
    """Second as a command with the options of these kinds makes it."""

    class Command(DynamicCommand):
        source = staticmethod(lambda: {kind: (kind, own) for kind, own in kinds.items()})

    @click.command("generate", cls=Command)
    @click.option("--board")
    def command(board: str | None, **values: Any) -> Any:
        return chosen_options(Second, values)

    return CliRunner().invoke(command, list(given), standalone_mode=False)


def test_each_kind_has_its_own_default() -> None:
    kinds = {"first": First, "second": Second}
    assert second_of(kinds).return_value == Second(9)
    assert second_of(kinds, "--depth", "4").return_value == Second(4)


@pytest.mark.parametrize("other", [Other, Taken])
def test_a_name_of_two_meanings_is_refused(other: type[Any]) -> None:
    found = second_of({"second": Second, "other": other}).exception
    assert isinstance(found, ValueError) and "for other is another one already" in str(found)
