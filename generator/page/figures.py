"""A number of a page: its text, and the source that it was read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shiftforge.generator.escape import printable
from shiftforge.generator.page.documents import Documents

__all__ = ["FORMS", "Figure", "Mark", "figure", "figure_text", "label_text", "ran_mark"]

NOTHING = "–"
Word = Literal["modelled", "counted", "synthesised", "routed", "measured"]


def _shape(value: Any) -> str:
    return " × ".join(f"{side:,}" for side in value)


def _text(value: Any) -> str:
    return printable(str(value))


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


FORMS: Mapping[str, Callable[[Any], str]] = {
    "count": lambda value: f"{value:,.0f}",
    "share": lambda value: f"{value:.1%}",
    "tenths": lambda value: f"{value:,.1f}",
    "hundredths": lambda value: f"{value:,.2f}",
    "number": lambda value: f"{value:,.4g}",
    "plain": _plain,
    "change": lambda value: f"{value:+.1%}",
    "milli": lambda value: f"{value:,.3f}",
    "shape": _shape,
    "name": _text,
    "text": _text,
    "words": _text,
    "yes": lambda value: "yes" if value else "no",
}
"""How a value is shown. name: of a layer, a file or the like, in the type of code. words: that may
take several lines."""


@dataclass(frozen=True)
class Figure:
    """text: as it is shown. source: see ``documents``. form: of ``FORMS``. unit: behind it."""

    text: str
    source: str
    form: str
    unit: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Mark:
    """Where figures come from. word: as docs/ASSUMPTIONS.md has it. of: the clock of rates and
    times in MHz, or how many samples were run; before, behind: words around it."""

    word: Word
    of: Figure | None = None
    before: str = ""
    behind: str = ""


def ran_mark(documents: Documents, source: str, word: Word, before: str, one: str) -> Mark:
    """Of figures that a run gave. source: of how many samples there were. one: what one of them
    is called."""
    several = "" if documents.at(source) == 1 else "s"
    return Mark(word, figure(documents, source, "count"), before, f"{one}{several}")


def figure_text(value: Any, form: str) -> str:
    """A value as it is shown; a dash for one that is not there."""
    return NOTHING if value is None else FORMS[form](value)


def label_text(label: str, row: Mapping[str, Any]) -> str:
    """What a datum of a chart is called. label: as ``str.format`` takes it."""
    return printable(label.format(**row))


def figure(documents: Documents, source: str, form: str, unit: str = "") -> Figure:
    """The figure of a source. Raises KeyError where there is no such value."""
    value = documents.at(source)
    number = float(value) if isinstance(value, int | float) else None
    return Figure(figure_text(value, form), source, form, unit, number)
