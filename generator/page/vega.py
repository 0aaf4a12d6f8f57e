"""Charts: Vega-Lite specifications, drawn as SVG by vl-convert.

Colours are variables of the page's style sheet, so that one picture serves light, dark and print.
Each mark of a picture has its datum's label for readers of the screen; what Vega says of scales and
containers is left to the figure's own description.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

from markupsafe import Markup

from shiftforge.errors import InputError, Problem
from shiftforge.generator.escape import printable
from shiftforge.generator.page.drawings import kept_drawing
from shiftforge.generator.page.figures import label_text
from shiftforge.generator.render import verbatim_html

__all__ = ["LABEL", "NARROW", "WIDE", "draw", "labelled", "require_charts"]

WIDE, NARROW = 1000, 330
"""Widths of a chart for a desktop and for a telephone, in CSS pixels, labels of axes included."""
LABEL = "page_label"
"""The field of a datum's label."""
_PACKAGE = "vl-convert-python"
_FONT = "Arial, Liberation Sans, sans-serif"
# As wide as those that vl-convert measures with.


def require_charts() -> list[Problem]:
    """Why no chart can be drawn here."""
    import importlib.util

    if importlib.util.find_spec("vl_convert") is None:
        return [Problem("charts need vl-convert", "pip install 'shiftforge[report]'")]
    return []


@cache
def _converter() -> Any:
    problems = require_charts()
    if problems:
        raise InputError(problems)
    import vl_convert

    return vl_convert


def labelled(rows: Sequence[Mapping[str, Any]], label: str) -> list[dict[str, Any]]:
    """The rows as a chart takes them, each with its label; vl-convert ends the process at a text
    with a control character."""
    return [
        {key: printable(value) if isinstance(value, str) else value for key, value in row.items()}
        | {LABEL: label_text(label, row)}
        for row in rows
    ]


def draw(spec: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], width: int) -> Markup:
    """A chart as SVG text. spec: without data, width and look. rows: see ``labelled``."""
    small = width <= NARROW
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": list(rows)},
        "width": width,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 4, "right": 12, "top": 4, "bottom": 4},
        "background": None,
        "config": _look(10 if small else 12),
        **spec,
    }
    decides = [_PACKAGE, metadata.version(_PACKAGE), json.dumps(whole)]

    def drawn() -> str:
        return str(_converter().vegalite_to_svg(whole, allowed_base_urls=[]))

    return verbatim_html(kept_drawing(decides, drawn))


def _look(size: int) -> dict[str, Any]:
    axis = {
        "labelColor": "var(--soft)", "titleColor": "var(--soft)", "gridColor": "var(--line)",
        "domainColor": "var(--line)", "tickColor": "var(--line)", "labelFont": _FONT,
        "titleFont": _FONT, "labelFontSize": size, "titleFontSize": size, "titlePadding": 8,
        "titleFontWeight": "normal", "labelLimit": 220 if size > 10 else 110, "aria": False,
    }  # fmt: skip
    sparse = {"labelOverlap": "greedy", "labelSeparation": 8, "tickCount": 5 if size <= 10 else 10}
    return {
        "axis": axis,
        "axisX": sparse,
        "axisYQuantitative": sparse,
        "view": {"stroke": None},
        "text": {"font": _FONT, "fontSize": size, "fill": "var(--text)"},
        "legend": {"disable": True},
        "bar": {"color": "var(--c1)"},
        "rule": {"color": "var(--soft)"},
    }
