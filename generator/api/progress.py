"""Progress of a long step, with the time left: a bar on a terminal, a line now and then elsewhere.

Commands show it by themselves; Python's callers ask for it by ``progress=True``, or give a function
of (stage, done, total).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Advance", "Shown", "progress", "shown_progress"]

Advance: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, done, total) as work goes on; each stage has a bar of its own."""
Shown: TypeAlias = Advance | bool | None
"""What ``progress`` may be of Python's callers."""
_LINE_EVERY_S = 10.0


@contextmanager
def shown_progress(given: Shown) -> Iterator[Advance | None]:
    """The function that a caller asked for: its own, one that shows, or none."""
    if given is True:
        with progress() as advance:
            yield advance
    else:
        yield None if given is False else given


def _print(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed: there is nobody to tell
        print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(say: Callable[[str], None] = _print) -> Iterator[Advance]:
    """A function of (stage, done, total) that shows them on stderr, with the time left.

    say: prints a line where there is no terminal.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:  # a notebook, too
        yield _lines(say)
        return
    with _bar(console) as advance:
        yield advance


@contextmanager
def _bar(console: Console) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        stages: dict[str, Any] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage)
            bar.update(stages[stage], completed=done, total=total)

        yield advance


def _lines(say: Callable[[str], None]) -> Advance:
    started: dict[str, float] = {}
    last = time.monotonic()

    def advance(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        start = started.setdefault(stage, now)
        if now - last < _LINE_EVERY_S or done <= 0:
            return
        last = now
        left = (now - start) / done * max(total - done, 0)
        say(f"{stage}: {done} of {total}, about {left:.0f} s left")

    return advance
