"""The page: documents to one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from shiftforge.errors import Problem
from shiftforge.generator.page.accuracy import accuracy
from shiftforge.generator.page.blocks import Missing, Section
from shiftforge.generator.page.changes import COMPARISON, change_sections
from shiftforge.generator.page.documents import GENERATOR, Documents
from shiftforge.generator.page.figures import Figure, figure
from shiftforge.generator.page.graph import require_diagrams
from shiftforge.generator.page.network import network
from shiftforge.generator.page.overview import PERFORMANCE, overview
from shiftforge.generator.page.space import space
from shiftforge.generator.page.text import text_sections
from shiftforge.generator.page.times import times
from shiftforge.generator.page.vega import require_charts
from shiftforge.generator.render import render_html, verbatim_html

__all__ = ["change_text", "page_problems", "page_text"]


def page_problems() -> list[Problem]:
    """What is missing here to draw a page."""
    return [*require_charts(), *require_diagrams()]


def _own(name: str) -> str:
    return files("shiftforge.templates").joinpath("page", name).read_text(encoding="utf-8")


def page_text(documents: Documents, missing: Mapping[str, Missing]) -> str:
    """The page of a project, identical for identical input. missing: by what is, "counted" or
    "accuracy".

    Raises InputError where a library is missing, ToolFailed where one fails.
    """
    conv = documents.has("network.json#/convolutions")
    sections = (_conv_sections if conv else text_sections)(documents, missing)
    return _rendered(documents, sections, f"{PERFORMANCE}/network", _facts(documents))


def change_text(documents: Documents, missing: Missing | None) -> str:
    """The page of what changed between two designs; documents: with comparison.json. Raises as
    ``page_text`` does."""
    facts = tuple(
        (word, figure(documents, f"{COMPARISON}#/names/{number}/{key}", "text"))
        for number, one in enumerate(("first", "second"))
        for word, key in ((one, "design"), ("on", "board"))
    )
    sections = change_sections(documents, missing)
    return _rendered(documents, sections, f"{COMPARISON}#/names/1/network", facts)


def _rendered(
    documents: Documents, sections: tuple[Section, ...], title: str,
    facts: tuple[tuple[str, Figure], ...],
) -> str:  # fmt: skip
    """title: the source of it."""
    return render_html(
        "page/page.html.j2",
        {
            "title": documents.at(title),
            "heading": figure(documents, title, "text"),
            "kind": "ShiftForge report",
            "facts": facts,
            "sections": sections,
            "files": sorted(documents.files),
            "generator": GENERATOR,
            "style": verbatim_html(_own("page.css")),
            "script": verbatim_html(_own("page.js")),
        },
    )


def _conv_sections(documents: Documents, missing: Mapping[str, Missing]) -> tuple[Section, ...]:
    """The parts of a convolution project's page."""
    return (
        overview(documents),
        network(documents),
        accuracy(documents, missing),
        times(documents, missing),
        space(documents),
    )


_FACTS = (
    ("on", "device/title", "text"),
    ("device", "device/device", "text"),
    ("lanes", "lanes", "count"),
    ("units × pixels × frames × taps", "lanes_shape", "shape"),
    ("multiply-accumulates a frame", "macs", "count"),
    ("classes", "class_names", "text"),
    ("layers", "layers", "count"),
    ("columns", "hidden", "count"),
    ("weights", "weights", "text"),
)
"""What stands below the title, of what there is."""


def _facts(documents: Documents) -> tuple[tuple[str, Figure], ...]:
    return tuple(
        (name, figure(documents, f"{PERFORMANCE}/{key}", form))
        for name, key, form in _FACTS
        if documents.has(f"{PERFORMANCE}/{key}")
    )
