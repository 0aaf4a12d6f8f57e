"""How results show themselves in a notebook: tables and pictures as HTML.

Objects call these in ``_repr_html_``, which IPython asks for; nothing here needs IPython.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["facts_html", "picture_html", "table_html"]

_MOST_ROWS = 200


def table_html(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with its title; cells as text, at most 200 rows of them."""
    every = [list(row) for row in rows]
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>"
        for row in every[:_MOST_ROWS]
    )
    more = len(every) - _MOST_ROWS
    foot = f"<p>and {more:,} more rows</p>" if more > 0 else ""
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    start = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    return f"<table>{caption}{start}<tbody>{body}</tbody></table>{foot}"


def facts_html(title: str, facts: Mapping[str, Any]) -> str:
    """Single values by name; what holds more than one is left out."""
    rows = [
        (name.replace("_", " "), value)
        for name, value in facts.items()
        if isinstance(value, str | int | float | None) and value is not None
    ]
    return table_html(title, ("", ""), rows)


def picture_html(png: bytes, what: str) -> str:
    """A PNG, and what it shows for those who do not see it."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(what)}" src="data:image/png;base64,{data}">'


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"
