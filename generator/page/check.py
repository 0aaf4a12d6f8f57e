"""A page held against the JSON files beside it: every figure that is another is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.figures import figure_text, label_text

__all__ = ["Fault", "check_page"]

_VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}
# Whose text is no figure: names in the type of code, looks and scripts, axes of charts.
_NAMES = {"code", "script", "style", "svg", "title"}
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Fault:
    """source: where the figure says that it comes from. what: is wrong with it."""

    source: str
    what: str

    def __str__(self) -> str:
        return f"{self.source}: {self.what}"


def check_page(text: str, documents: Documents) -> list[Fault]:
    """Every fault of a page: a figure that is not what its source holds, a source that is none, a
    chart whose marks are not its data, a number without a source."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    faults = []
    for one in reader.figures:
        try:
            wanted = figure_text(documents.at(one.source), one.form)
        except (KeyError, TypeError, ValueError) as error:
            faults.append(Fault(one.source, str(error)))
            continue
        if one.text != wanted:
            faults.append(Fault(one.source, f"shown as {one.text!r}, the file has {wanted!r}"))
    for chart in reader.charts:
        faults += _chart(chart, documents)
    faults += [Fault("nowhere", f"{found!r} has no source") for found in reader.loose]
    return faults


@dataclass
class _Figure:
    source: str
    form: str
    text: str = ""


@dataclass
class _Chart:
    source: str
    label: str
    pictures: list[list[str]]


def _chart(chart: _Chart, documents: Documents) -> list[Fault]:
    try:
        wanted = sorted(label_text(chart.label, row) for row in documents.at(chart.source))
    except (KeyError, TypeError, ValueError) as error:
        return [Fault(chart.source, str(error))]
    faults = []
    for marks in chart.pictures:
        got = sorted(mark for mark in marks)
        if got != wanted:
            more = [mark for mark in got if mark not in wanted] or ["fewer marks than data"]
            faults.append(Fault(chart.source, f"the chart has {more[0]!r}"))
    return faults


class _Reader(HTMLParser):
    """figures: with a source. charts: with the labels of their marks, a list a picture. loose:
    texts with a digit outside of all that."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.figures: list[_Figure] = []
        self.charts: list[_Chart] = []
        self.loose: list[str] = []
        self._open: list[str] = []
        self._figure: _Figure | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        own = {name: value or "" for name, value in attrs}
        if "data-form" in own:
            self._figure = _Figure(own.get("data-source", ""), own["data-form"])
            self.figures.append(self._figure)
        if "data-label" in own:
            self.charts.append(_Chart(own.get("data-source", ""), own["data-label"], []))
        if tag == "svg" and self.charts:
            self.charts[-1].pictures.append([])
        if own.get("role") == "graphics-symbol" and "aria-label" in own and self.charts:
            self.charts[-1].pictures[-1].append(own["aria-label"])
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        while self._open and self._open.pop() != tag:
            pass
        if tag == "data":
            self._figure = None

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if self._figure is not None:
            self._figure.text += data
        elif _DIGIT.search(data) and not _NAMES & set(self._open):
            self.loose.append(data.strip())
