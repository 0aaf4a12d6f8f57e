"""What an exception means: something that a user can mend, or a fault of shiftforge itself."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.files import system_problem

__all__ = ["TRACEBACK", "FaultError", "fault_text", "refusal_of", "traceback_wanted"]

TRACEBACK = "SHIFTFORGE_TRACEBACK"
"""The environment variable that asks for the traceback of a fault."""

_PACKAGE = Path(__file__).parent
_MEMORY = Problem(
    "there is not enough memory",
    "free some, raise its limit (ulimit -v), or take a smaller input or fewer samples",
)
# What libraries make of a refused allocation or thread.
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
_NO_THREAD = ("can't start new thread", "resource temporarily unavailable")


class FaultError(Exception):
    """A fault of shiftforge itself, as a child process told it: ``fault_text``."""


def refusal_of(error: BaseException) -> tuple[Problem, ...] | None:
    """The problems that an exception stands for; None where no user can mend it."""
    if isinstance(error, InputError):
        return error.problems
    if isinstance(error, MemoryError):
        return (_MEMORY,)
    if isinstance(error, RecursionError):
        what = "the input is nested deeper than Python can follow"
        return (Problem(what, "give one that is nested less deeply"),)
    if isinstance(error, OSError):
        return (system_problem(error),)
    if isinstance(error, UnicodeError):
        return (Problem(_not_text(error), "use names and texts in UTF-8"),)
    if isinstance(error, EOFError):
        what = f"a file ends too early: {_line(error)}"
        remedy = f"get it again, or remove what Python left of it (__pycache__); {TRACEBACK}=1"
        return (Problem(what, f"{remedy} shows where"),)
    if isinstance(error, ImportError):
        return _unloaded(error)
    if isinstance(error, RuntimeError):
        text = str(error).lower()
        if any(words in text for words in _NO_MEMORY):
            return (_MEMORY,)
        if any(words in text for words in _NO_THREAD):
            what = "the system gives no more threads or memory"
            return (Problem(what, "raise the limits (ulimit -u, ulimit -v)"),)
    return None


def _not_text(error: UnicodeError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object!a} cannot be written as {error.encoding}"[:300]
    if isinstance(error, UnicodeDecodeError):
        bad = error.object[error.start : error.start + 1].hex()
        return f"byte {error.start} of a text is 0x{bad.upper()}, which is not {error.encoding}"
    return f"a text that is not UTF-8: {error}"


def _unloaded(error: ImportError) -> tuple[Problem, ...] | None:
    """A library that is missing or cannot be loaded; None for a module of ours."""
    reason: BaseException = error
    while isinstance(reason.__cause__, ImportError):
        reason = reason.__cause__
    name = getattr(reason, "name", None) or ""
    if name.partition(".")[0] == "shiftforge":
        return None
    remedy = "`shiftforge doctor` says what is missing; libraries also need memory and open files"
    return (Problem(f"a library cannot be loaded: {_line(reason)}", remedy, name),)


def fault_text(error: BaseException) -> str:
    """An exception in a line: its type, its text, and the place in our code that it came from."""
    if isinstance(error, FaultError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    place = ""
    if frames:
        frame = (inside or frames)[-1]
        name = Path(frame.filename)
        shown = name.relative_to(_PACKAGE) if inside else name.name
        place = f" (in {shown}:{frame.lineno})"
    return f"{type(error).__name__}: {_line(error)}{place}"


def _line(error: BaseException) -> str:
    """The first line of an exception's text that says something."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), "no text")[:500]


def traceback_wanted() -> bool:
    """Whether ``SHIFTFORGE_TRACEBACK`` asks for the traceback of a fault."""
    return os.environ.get(TRACEBACK, "") not in ("", "0")
