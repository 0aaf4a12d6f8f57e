"""Where the cycles go."""

from __future__ import annotations

from typing import Any

from shiftforge.generator.page.blocks import Block, Chart, Section, Table, columns_of, rows_of
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.overview import clock_mark
from shiftforge.generator.page.vega import LABEL, NARROW, WIDE, draw, labelled

__all__ = ["times"]

_LAYERS = "estimate_layer_cycles.json#/layers"
_COLUMNS = columns_of(
    ("Layer", "name", "name"),
    ("Mode", "mode", "text"),
    ("Cycles", "cycles", "count"),
    ("Ideal", "ideal_cycles", "count"),
    ("Second terms", "second_term_cycles", "count"),
    ("Utilisation", "utilisation", "share"),
    ("MACs", "macs", "count"),
    ("Bound by", "bound_text", "text"),
)
_LOOPS = columns_of(
    ("Kernel", "kernel", "name"),
    ("Loop", "loop", "name"),
    ("Trip count", "trip_count", "text"),
    ("Interval", "ii", "number"),
    ("Limit", "limit", "words"),
)
_BOUNDS = ("array", "memory", "weights", "image", "post", "drain")


def times(documents: Documents) -> Section:
    """Cycles a layer, what bounds each, and the loops."""
    blocks: list[Block] = [_modelled(documents), _table(documents), _loops(documents)]
    return Section("time", "Time", "", tuple(blocks))


def _modelled(documents: Documents) -> Chart:
    rows = documents.at(_LAYERS)
    label = "{name}: {cycles:,} cycles, bound by {bound_text}"
    held = labelled(rows, label)
    found = list(dict.fromkeys(row["bound"] for row in rows))
    bounds = [bound for bound in _BOUNDS if bound in found]
    colours = {bound: f"var(--c{_BOUNDS.index(bound) + 1})" for bound in bounds}
    spec: dict[str, Any] = {
        "height": {"step": 16},
        "mark": {"type": "bar", "height": 11},
        "encoding": {
            "y": {"field": "name", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "cycles", "type": "quantitative", "title": "cycles a frame"},
            "color": {
                "field": "bound",
                "type": "nominal",
                "scale": {"domain": bounds, "range": list(colours.values())},
            },
            "description": {"field": LABEL},
        },
    }
    words = {row["bound"]: row["bound_text"] for row in rows}
    return Chart(
        "cycles", "Cycles of each layer, by what bounds it", draw(spec, held, WIDE),
        draw(spec, held, NARROW), _LAYERS, label, clock_mark(documents, False),
        keys=tuple((words[bound], colour) for bound, colour in colours.items()),
    )  # fmt: skip


def _table(documents: Documents) -> Table:
    return Table(
        "layer-cycles", "Modelled cycles of each layer", _COLUMNS,
        rows_of(documents, _LAYERS, _COLUMNS), clock_mark(documents, False),
        "Ideal: array cycles if every lane were at work.", folded=True,
    )  # fmt: skip


def _loops(documents: Documents) -> Table:
    return Table(
        "loops", "Loops of the kernels", _LOOPS,
        rows_of(documents, "loops.json#/loops", _LOOPS),
        note="By the rules for Intel's compiler: an interval of one is an iteration a clock; a "
        "dash is a loop that is not pipelined.", folded=True,
    )  # fmt: skip
