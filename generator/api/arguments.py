"""Arguments of Python's own callers, who may pass anything: each is refused by its name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import system_problem

__all__ = ["call_problems", "check_run", "is_finite", "is_folder", "path_of"]


def is_finite(value: Any) -> bool:
    """Whether a value is a real number that a float can be near to; no flag is one."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # a whole number or a fraction beyond every float
        return False


def path_of(value: Any, name: str, remedy: str) -> Path:
    """A path. Raises InputError for what is none, and for what no file can be called."""
    if not isinstance(value, str | Path):
        what = f"{name} is of the type {type(value).__name__}"
        raise InputError(Problem(what, remedy))
    path = Path(value)
    try:
        os.lstat(path)
    except ValueError as error:  # a NUL, or what is no text of the file system
        what = f"{name}: no file can have this name: {error}"
        raise InputError(Problem(what, remedy, repr(str(path)))) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(system_problem(error, path)) from error
    return path


def is_folder(value: str | Path) -> bool:
    """Whether a folder is there; False for what no folder can be called."""
    try:
        return Path(value).is_dir()
    except (OSError, ValueError):
        return False


def call_problems(**functions: Any) -> list[Problem]:
    """A problem for each argument, by name, that is neither None nor can be called.

    progress may be True or False as well: shown, or not.
    """
    return [
        Problem(
            f"{name} is of the type {type(value).__name__}",
            "give a function, True or None" if name == "progress" else "give a function, or None",
        )
        for name, value in functions.items()
        if value is not None
        and not callable(value)
        and not (name == "progress" and isinstance(value, bool))
    ]


def check_run(
    limit: Any, time_limit_s: Any, flags: Iterable[tuple[str, Any]] = (), progress: Any = None
) -> None:
    """Raise InputError for a limit, a time, a flag or a function of a wrong type or range."""
    problems = Problems()
    whole = isinstance(limit, Integral) and not isinstance(limit, bool)
    if limit is not None and (not whole or limit < 1):
        problems.append(Problem(f"a limit of {limit!r} samples", "use a whole number from 1"))
    if not is_finite(time_limit_s) or time_limit_s <= 0:
        remedy = "use a finite number of seconds above 0"
        problems.append(Problem(f"time_limit_s is {time_limit_s!r}", remedy))
    for name, flag in flags:
        if not isinstance(flag, bool):
            problems.append(Problem(f"{name} is {flag!r}", "give True or False"))
    problems += call_problems(progress=progress)
    problems.stop()
