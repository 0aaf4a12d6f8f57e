"""The page: documents to one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from shiftforge.errors import Problem
from shiftforge.generator.page.accuracy import accuracy
from shiftforge.generator.page.blocks import Missing, Section
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

__all__ = ["page_problems", "page_text"]


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
    return render_html(
        "page/page.html.j2",
        {
            "title": documents.at(f"{PERFORMANCE}/network"),
            "heading": figure(documents, f"{PERFORMANCE}/network", "text"),
            "kind": "ShiftForge report",
            "facts": _facts(documents),
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
