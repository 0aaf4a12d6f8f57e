"""Where the cycles go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shiftforge.generator.page.blocks import (
    Block,
    Chart,
    Missing,
    Section,
    Table,
    columns_of,
    rows_of,
)
from shiftforge.generator.page.counted import counted_blocks
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.overview import clock_mark
from shiftforge.generator.page.vega import LABEL, NARROW, WIDE, draw, labelled

__all__ = ["loops_table", "times"]

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
_STRIPS = "counted_layer_cycles.json#/strips"
_ROOF = "estimate_layer_cycles.json#/roofline"
_BOUNDS = ("array", "memory", "weights", "image", "post", "drain")


def times(documents: Documents, missing: Mapping[str, Missing]) -> Section:
    """What was counted, cycles a layer and what bounds each, the roofline, and the loops."""
    blocks: list[Block] = []
    if documents.has(_STRIPS):
        blocks += counted_blocks(documents)
    elif "counted" in missing:
        blocks.append(missing["counted"])
    blocks += [_modelled(documents), _table(documents)]
    if documents.at(f"{_ROOF}/points"):
        blocks.append(_roofline(documents))
    blocks.append(loops_table(documents))
    lead = "Cycles of the kernel clock, from the plan and from a run of the text in simulated time."
    return Section("time", "Time", lead, tuple(blocks))


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


def _roofline(documents: Documents) -> Chart:
    roof, source = documents.at(_ROOF), f"{_ROOF}/points"
    label = "{name}: {macs_a_cycle:,.1f} MACs a cycle, {macs_a_byte:,.1f} a byte of weights"
    held = labelled(roof["points"], label)
    lanes, rate = roof["lanes"], roof["bytes_per_cycle"]
    works = [row["macs_a_byte"] for row in held]
    ridge = lanes / rate
    ends = sorted({min(*works, ridge) / 1.5, ridge, max(*works, ridge) * 1.5})
    line = [{"macs_a_byte": x, "macs_a_cycle": min(lanes, rate * x)} for x in ends]
    modes = list(dict.fromkeys(row["mode"] for row in held))
    colours = {mode: f"var(--c{number})" for number, mode in enumerate(modes, 1)}
    shapes = ["circle", "square", "triangle-up"]
    axes = {
        "x": {"field": "macs_a_byte", "type": "quantitative", "scale": {"type": "log"},
              "title": "multiply-accumulates a byte of weights"},
        "y": {"field": "macs_a_cycle", "type": "quantitative", "scale": {"type": "log"},
              "title": "multiply-accumulates a cycle"},
    }  # fmt: skip
    spec: dict[str, Any] = {
        "height": 320,
        "layer": [
            {"data": {"values": line}, "encoding": axes,
             "mark": {"type": "line", "color": "var(--soft)", "aria": False}},
            {"mark": {"type": "point", "filled": True, "size": 55, "opacity": 0.85},
             "encoding": {
                 **axes,
                 "color": {"field": "mode", "type": "nominal",
                           "scale": {"domain": modes, "range": list(colours.values())}},
                 "shape": {"field": "mode", "type": "nominal",
                           "scale": {"domain": modes, "range": shapes[: len(modes)]}},
                 "description": {"field": LABEL}}},
        ],
    }  # fmt: skip
    return Chart(
        "roofline", "Roofline of the layers", draw(spec, held, WIDE), draw(spec, held, NARROW),
        source, label, clock_mark(documents, False),
        "The line is the roof: the board's memory as far as it rises, then all lanes.",
        tuple(colours.items()),
    )  # fmt: skip


def _table(documents: Documents) -> Table:
    return Table(
        "layer-cycles", "Modelled cycles of each layer", _COLUMNS,
        rows_of(documents, _LAYERS, _COLUMNS), clock_mark(documents, False),
        "Ideal: array cycles if every lane were at work.", folded=True,
    )  # fmt: skip


def loops_table(documents: Documents) -> Table:
    """The loops of the project's kernels."""
    return Table(
        "loops", "Loops of the kernels", _LOOPS,
        rows_of(documents, "loops.json#/loops", _LOOPS),
        note="By the rules for Intel's compiler: an interval of one is an iteration a clock; a "
        "dash is a loop that is not pipelined.", folded=True,
    )  # fmt: skip
