"""Errors that a user can mend: each carries every problem found, with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

__all__ = ["CheckFailed", "InputError", "Problem", "Problems", "ToolFailed", "collect"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input: what it is, where it is, and what mends it."""

    what: str
    remedy: str = ""
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f" -> {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{remedy}"


class InputError(Exception):
    """Bad input. The command line prints every problem and leaves with exit code 2.

    Raise it once, with all the problems of the whole input, before anything is written.
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (
            (problems,) if isinstance(problems, Problem) else tuple(problems)
        )
        if not self.problems:
            raise ValueError("InputError needs at least one problem")
        super().__init__("\n".join(str(p) for p in self.problems))


class Problems(list[Problem]):
    """Everything wrong with an input, gathered before anything is done about it.

    ``check`` runs what may find problems, ``stop`` ends where there were any.
    """

    def check(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What the function returns; None where it raised InputError, whose problems are kept."""
        with collect(self):
            return function(*args, **kwargs)
        return None

    def stop(self) -> None:
        """Raise InputError with everything found; nothing where nothing was."""
        if self:
            raise InputError(self)


@contextmanager
def collect(problems: list[Problem]) -> Iterator[None]:
    """Problems of an InputError raised inside are added to the list, and the block is left."""
    try:
        yield
    except InputError as error:
        problems += error.problems


class CheckFailed(Exception):
    """A check ran and found a difference. The command line leaves with exit code 1."""


class ToolFailed(Exception):
    """A tool (OpenCL runtime, Verilator, compiler, Yosys) crashed, hung or refused its input.

    Nothing is known of the check that it was to serve. The command line leaves with exit code 3.
    """
