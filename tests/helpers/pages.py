"""Pages read back by code of the tests' own: figures, sources and numbers without one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest


def needs_drawing() -> None:
    """Skip where no page can be drawn, by what is missing."""
    from shiftforge.generator.page.page import page_problems

    if problems := page_problems():
        pytest.skip("; ".join(f"{one.what} ({one.remedy})" for one in problems))


@dataclass
class Shown:
    source: str
    text: str = ""


class _Figures(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Shown] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "data":
            self.found.append(Shown(dict(attrs)["data-source"] or ""))
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "data"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1].text += data


def figures(page: str) -> list[Shown]:
    """Every figure of a page with its source."""
    reader = _Figures()
    reader.feed(page)
    return reader.found


def resolved(folder: Path, source: str) -> Any:
    """The value of a source in the files beside a page."""
    name, _, pointer = source.partition("#")
    value = json.loads((folder / name).read_text(encoding="utf-8"))
    for key in pointer.split("/")[1:]:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def agrees(text: str, value: Any) -> bool:
    """Whether a figure shows a value, to the digits that it has."""
    if value is None:
        return text == "–"
    if isinstance(value, list):
        return text == " × ".join(f"{side:,}" for side in value)
    if isinstance(value, str | bool):
        return text == {True: "yes", False: "no"}.get(value, value)
    number = re.fullmatch(r"(-?[\d,]+(?:\.(\d+))?(?:e[+-]\d+)?)(%?)", text)
    if number is None:
        return False
    shown = float(number[1].replace(",", ""))
    wanted = value * (100 if number[3] else 1)
    digits = len(number[2] or "")
    return abs(shown - wanted) <= max(0.5000001 * 10**-digits, 5e-4 * abs(wanted) * ("." in text))
