"""What the command line prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from shiftforge.errors import InputError, Problem
from shiftforge.files import system_problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from shiftforge.progress import Advance
    from shiftforge.sim.results import Table

__all__ = [
    "ReaderLeftError",
    "begin_document",
    "document_printed",
    "note",
    "plain",
    "print_json",
    "print_problems",
    "print_table",
    "print_tables",
    "print_text",
    "progress",
    "unwritten",
    "visible",
    "warn",
]

# Of a terminal: a column of a table that is folded gets at least so many characters.
_LEAST_COLUMN = 6
_OUTPUT = "standard output"
_ANY_WIDTH = 1_000_000
_LONGEST = 400


class _Printed:
    """Whether this command line has printed its JSON document."""

    document = False


class ReaderLeftError(Exception):
    """Whoever read our output has left (``shiftforge boards | head``); nothing is wrong."""


def print_text(text: str) -> None:
    """Text on stdout as it is, and a line's end.

    Raises ReaderLeftError where nobody reads any more, InputError where it cannot be written.
    """
    _write(text + "\n")


def _write(text: str) -> None:
    if sys.stdout is None:
        remedy = "redirect it to a file, or to /dev/null"
        raise InputError(Problem("is closed, and there is something to print", remedy, _OUTPUT))
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        _let_go(sys.stdout)
        raise ReaderLeftError from error
    except OSError as error:
        _let_go(sys.stdout)
        raise InputError(system_problem(error, _OUTPUT)) from error


def unwritten(error: OSError) -> Problem | None:
    """Whether an error was that of writing to stdout by others (click): then what it means."""
    frames = traceback.extract_tb(error.__traceback__)
    if error.filename is not None or not frames or "click" not in Path(frames[-1].filename).parts:
        return None
    _let_go(sys.stdout)
    return system_problem(error, _OUTPUT)


def _let_go(stream: TextIO) -> None:
    """What is still buffered must not fail again when Python ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def plain(value: Any) -> Any:
    """The value in JSON's own types: numpy scalars and arrays, paths and dataclasses converted.

    A number that JSON cannot write (infinite, or not a number) becomes None.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_json(value: Any) -> None:
    """The one JSON document of a command's ``--json`` output."""
    text = json.dumps(plain(value), indent=2, allow_nan=False)
    _Printed.document = True
    print_text(text)


def begin_document() -> None:
    """A new command line begins: it has printed no JSON document yet."""
    _Printed.document = False


def document_printed() -> bool:
    """Whether ``print_json`` has run since ``begin_document``."""
    return _Printed.document


def visible(text: str) -> str:
    """What a terminal shows and does not obey: control characters but a line's end are written out.

    Names out of files of strangers hold colours, cursor moves and changes of direction.
    """
    kept = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return text if text.isprintable() else "".join(kept)


def _in_line(text: str) -> str:
    """A text in one line of at most 400 characters."""
    shown = visible(text).replace("\n", "\\n")
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}... ({len(text):,} characters)"


def note(text: str) -> None:
    """A line about what is being done, for people."""
    if sys.stderr is None:  # closed: the standard output is for results
        return
    try:
        print(visible(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _let_go(sys.stderr)  # there is no other place to tell it


def warn(text: str) -> None:
    """A line about something that the user may not have meant."""
    note(f"warning: {text}")


def print_problems(problems: Iterable[Problem], *, as_json: bool) -> None:
    """Every problem of a bad input with its remedy; as_json: one document on stdout as well."""
    problems = tuple(problems)
    for problem in problems:
        place = f"{_in_line(problem.where)}: " if problem.where else ""
        note(f"error: {place}{problem.what}")
        if problem.remedy:
            note(f"       {problem.remedy}")
    if as_json:
        print_json({"error": [asdict(p) for p in problems]})


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table on stdout, as wide as it is; on a narrower terminal its cells are folded."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for name in columns:
        table.add_column(escape(name), overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(str(cell))) for cell in row))
    console, held = Console(), _Held()
    options = console.options.update(width=_ANY_WIDTH, max_width=_ANY_WIDTH)
    whole = max(Measurement.get(console, options, table).maximum, 1)
    # Without a terminal there is no width to keep to; in a very narrow one whole lines read best.
    narrow = len(table.columns) * (_LEAST_COLUMN + 2)
    terminal, width = console.is_terminal, console.width
    if not terminal or width < min(narrow, whole):
        width = whole
    # Written by us: rich ends the process where the reader has left.
    console = Console(file=held, force_terminal=terminal, width=width)
    _keep_first(table, console)
    if title:
        console.print(Text(visible(title), "italic"), soft_wrap=True)
    console.print(table)
    lines = held.getvalue().splitlines()
    _write("".join(f"{line if terminal else line.rstrip()}\n" for line in lines))


class _Held(io.StringIO):
    """Text for stdout, of what stdout can show."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(sys.stdout, "encoding", None) or "utf-8"


def _keep_first(table: RichTable, console: Console) -> None:
    """The names in the first column stay whole where they leave half of the width."""
    from rich.measure import Measurement

    first = table.columns[0]
    sizes = [Measurement.get(console, console.options, cell).maximum for cell in first.cells]
    first.no_wrap = 2 * max(sizes, default=0) <= console.width


def print_tables(tables: Iterable[Table], title: str) -> None:
    """Tables on stdout; one without a title of its own gets this one in its first column."""
    for table in tables:
        columns = (table.columns[0], title) if table.columns == ("", "") else table.columns
        print_table(table.title, columns, table.rows)


def progress() -> AbstractContextManager[Advance]:
    """Progress on stderr with the time left: a bar on a terminal, a line now and then elsewhere."""
    from shiftforge.progress import progress as shown

    return shown(note)
