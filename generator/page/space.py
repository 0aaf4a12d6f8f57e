"""What the design takes of the board, and where its feature maps lie."""

from __future__ import annotations

from typing import Any

from shiftforge.generator.page.blocks import (
    Block,
    Chart,
    Column,
    Section,
    Table,
    columns_of,
    rows_of,
)
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.figures import Mark
from shiftforge.generator.page.vega import LABEL, NARROW, WIDE, draw, labelled

__all__ = ["USES", "space"]

_RESOURCES = "estimate_layer_resources.json#"
USES = columns_of(
    ("Resource", "name", "text"),
    ("Design", "amount", "count"),
    ("Can be planned with", "free", "count"),
    ("Device", "device", "count"),
    ("Share of the device", "share", "share"),
)
_WITH_BOARD = (*USES[:2], Column("Board's own logic", "board_logic", "count"), *USES[2:])
_ITEMS = columns_of(
    ("Part", "name", "text"),
    ("ALMs", "alm", "count"),
    ("RAM blocks", "ram_blocks", "count"),
    ("DSP blocks", "dsp", "count"),
    ("From", "kind", "text"),
)
_MAPS, _LIVES = "memory_map.json#/maps", "memory_map.json#/lives"
_MAP_COLUMNS = columns_of(
    ("Map", "name", "name"),
    ("First line", "base", "count"),
    ("Lines", "lines", "count"),
    ("Bytes", "bytes", "count"),
    ("Written in step", "first", "count"),
    ("Last read in step", "last", "count"),
    ("Kind", "kind", "text"),
)
_KINDS = ("read by the next layer", "kept for an addition")


def space(documents: Documents) -> Section:
    """Resources against the board, by part; the memory map over time."""
    mark = Mark("modelled")
    blocks: list[Block] = [
        Table("resources", "Against the board", _WITH_BOARD,
              rows_of(documents, f"{_RESOURCES}/uses", _WITH_BOARD), mark,
              "The board's own logic is left out of the design's share."),
        _items_chart(documents),
        Table("items", "By part", _ITEMS, rows_of(documents, f"{_RESOURCES}/items", _ITEMS), mark,
              folded=True),
        _memory(documents),
        Table("maps", "Feature maps in memory", _MAP_COLUMNS,
              rows_of(documents, _MAPS, _MAP_COLUMNS), mark, folded=True),
    ]  # fmt: skip
    return Section("space", "Space", "", tuple(blocks))


def _items_chart(documents: Documents) -> Chart:
    source, label = f"{_RESOURCES}/items", "{name}: {alm:,} ALMs, {ram_blocks:,} RAM blocks"
    held = labelled(documents.at(source), label)
    spec: dict[str, Any] = {
        "height": {"step": 16},
        "mark": {"type": "bar", "height": 11},
        "encoding": {
            "y": {"field": "name", "type": "nominal", "sort": "-x", "title": None},
            "x": {"field": "alm", "type": "quantitative", "title": "ALMs"},
            "description": {"field": LABEL},
        },
    }
    return Chart(
        "alms", "ALMs by part", draw(spec, held, WIDE), draw(spec, held, NARROW), source, label,
        Mark("modelled"),
    )  # fmt: skip


def _memory(documents: Documents) -> Chart:
    label = "{name}: lines {base:,} and {lines:,} more, in steps {first:,} to {last:,}, {kind}"
    held = [
        {**row, "until": row["last"] + 1, "top": row["base"] + row["lines"]}
        for row in labelled(documents.at(_LIVES), label)
    ]
    colours = {kind: f"var(--c{number})" for number, kind in enumerate(_KINDS, 1)}
    spec: dict[str, Any] = {
        "height": 360,
        "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 1},
        "encoding": {
            "x": {"field": "first", "type": "quantitative", "title": "step",
                  "scale": {"zero": False, "nice": False}},
            "x2": {"field": "until"},
            "y": {"field": "base", "type": "quantitative", "title": "line of the memory"},
            "y2": {"field": "top"},
            "color": {"field": "kind", "type": "nominal",
                      "scale": {"domain": list(colours), "range": list(colours.values())}},
            "description": {"field": LABEL},
        },
    }  # fmt: skip
    return Chart(
        "memory", "Where feature maps lie, step by step", draw(spec, held, WIDE),
        draw(spec, held, NARROW), _LIVES, label, Mark("modelled"),
        "Maps that follow each other lie at opposite ends of one memory; what an addition still "
        "needs stays where it is.", tuple(colours.items()),
    )  # fmt: skip
