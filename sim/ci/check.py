"""What a suite's run found, check by check, and its form for people, JSON and JUnit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.sim.junit import Case, Suite

__all__ = ["Check", "State", "checked", "junit_suite", "problem_text"]

State = Literal["passed", "failed", "skipped", "refused", "broken"]
"""refused: bad input, or a device that was required and is not usable; broken: a tool failed, so
that nothing is known of the check."""


@dataclass(frozen=True)
class Check:
    """name: unique in the run. detail: what was compared, or why it was skipped. problems: what,
    where and remedy of each thing that is wrong."""

    name: str
    state: State
    detail: str = ""
    problems: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return asdict(self)

    @property
    def text(self) -> str:
        """Its problems, each with place and remedy."""
        return "\n".join(map(problem_text, self.problems))


def problem_text(problem: Problem) -> str:
    """Two lines: place and what, remedy."""
    place = f"{problem.where}: " if problem.where else ""
    return f"{place}{problem.what}" + (f"\n  {problem.remedy}" if problem.remedy else "")


def checked(name: str, function: Callable[[], str | Iterable[Problem]], remedy: str = "") -> Check:
    """A check that was run. function: gives what is wrong, or says what was compared.

    remedy: of a difference that is told by an exception.
    """
    try:
        found = function()
        problems = () if isinstance(found, str) else tuple(found)
    except InputError as error:
        return Check(name, "refused", "", error.problems)
    except CheckFailed as error:
        return Check(name, "failed", "", (Problem(str(error), remedy),))
    except ToolFailed as error:
        again = "mend what the other checks name, or run it again; `shiftforge doctor` tells what "
        again += "does not work here"
        return Check(name, "broken", "", (Problem(str(error), again),))
    detail = found if isinstance(found, str) else ""
    return Check(name, "failed" if problems else "passed", detail, problems)


def junit_suite(name: str, checks: Iterable[Check], seconds: float) -> Suite:
    """A case for each check."""
    cases = []
    for own in checks:
        text = own.text
        if own.state == "failed":
            cases.append(Case(own.name, failure=text))
        elif own.state in ("refused", "broken"):
            cases.append(Case(own.name, error=text))
        else:
            cases.append(Case(own.name, skipped=own.detail if own.state == "skipped" else ""))
    return Suite(name, tuple(cases), seconds)
