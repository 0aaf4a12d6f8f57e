"""Where the cycles of a counted frame went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shiftforge.generator.page.blocks import Block, Chart, Table, columns_of, rows_of
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.overview import COUNTED, clock_mark
from shiftforge.generator.page.vega import LABEL, NARROW, WIDE, draw, labelled

__all__ = ["counted_blocks"]

_CYCLES = "counted_layer_cycles.json#"
_STRIPS, _LAYERS = f"{_CYCLES}/strips", f"{_CYCLES}/layers"
_BUSY, _DRAINED = "busy", "drained, entering again"
_RATES = columns_of(
    ("Latencies", "latencies", "text"),
    ("Cycles", "cycles", "count"),
    ("Frames a second", "fps", "tenths"),
    ("Lanes at work", "utilisation", "share"),
    ("Steady", "steady", "yes"),
)
_LAYER_COLUMNS = columns_of(
    ("Layer", "name", "name"),
    ("Mode", "mode", "text"),
    ("Counted cycles", "cycles", "count"),
    ("Modelled", "modelled_cycles", "count"),
    ("Utilisation", "utilisation", "share"),
)
_KERNELS = columns_of(
    ("Kernel", "kernel", "name"),
    ("Busy cycles", "busy", "count"),
    ("Of the frame", "share", "share"),
    ("Stopped", "stalled", "count"),
    ("By", "by", "words"),
)
_CHANNELS = columns_of(
    ("Channel", "name", "name"),
    ("High-water mark", "high_water", "count"),
    ("Depth", "depth", "count"),
    ("Share", "share", "share"),
)
_LOSSES = columns_of(
    ("Cycles lost to", "name", "words"),
    ("Cycles", "cycles", "count"),
    ("Of the frame", "share", "share"),
    ("Most in", "layer", "name"),
)


def counted_blocks(documents: Documents) -> list[Block]:
    """Rates at three latencies, the strip chart, losses, kernels, channels, layers."""
    mark = clock_mark(documents, True)

    def table(id: str, title: str, columns: Any, source: str, note: str = "",
              folded: bool = False) -> Table:  # fmt: skip
        rows = rows_of(documents, source, columns)
        return Table(id, title, columns, rows, mark, note, folded)

    return [
        table("rates", "Rates at half, declared and double latencies", _RATES, f"{COUNTED}/rates",
              "The same plan; what a wrong latency can change lies between these."),
        *_strips(documents),
        table("losses", "Where lanes did nothing", _LOSSES, f"{COUNTED}/losses"),
        table("kernels", "Kernels", _KERNELS, f"{COUNTED}/kernels", folded=True),
        _channels(documents),
        table("channel-fill", "Channels", _CHANNELS, f"{COUNTED}/channels", folded=True),
        table("counted-layers", "Counted cycles of each layer", _LAYER_COLUMNS, _LAYERS,
              folded=True),
    ]  # fmt: skip


def _strips(documents: Documents) -> list[Block]:
    """All that the array did in each layer; and its stops alone, which are too short to be read
    beside long layers."""
    rows = documents.at(_STRIPS)
    stops = [s for s in dict.fromkeys(row["state"] for row in rows) if s not in (_BUSY, _DRAINED)]
    palette = ("var(--c2)", "var(--c4)", "var(--c5)", "var(--c3)")
    idle = {state: palette[number % len(palette)] for number, state in enumerate(stops)}
    idle[_DRAINED] = "var(--c6)"
    found: list[Block] = [
        _states(documents, "strips", "What the array did in each layer",
                {_BUSY: "var(--c1)"} | idle,
                "Of the kernel that holds the array. Drained: from the last iteration of the layer "
                "before to its own first."),
    ]  # fmt: skip
    if documents.at(f"{_CYCLES}/stops"):
        title = "Where the array stopped in each layer"
        found.append(_states(documents, "stops", title, idle, "The same without busy cycles."))
    return found


def _states(
    documents: Documents, name: str, title: str, colours: Mapping[str, str], note: str
) -> Chart:
    """Cycles of each layer by state. name: of the list of counted_layer_cycles.json."""
    source, label = f"{_CYCLES}/{name}", "{layer}: {cycles:,} cycles {state}"
    order = list(colours)
    held = [
        {**row, "place": order.index(row["state"])} for row in labelled(documents.at(source), label)
    ]
    spec: dict[str, Any] = {
        "height": {"step": 16},
        "mark": {"type": "bar", "height": 11},
        "encoding": {
            "y": {"field": "layer", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "cycles", "type": "quantitative", "title": "cycles of a steady frame"},
            "color": {"field": "state", "type": "nominal",
                      "scale": {"domain": order, "range": list(colours.values())}},
            "order": {"field": "place", "type": "quantitative"},
            "description": {"field": LABEL},
        },
    }  # fmt: skip
    return Chart(
        name, title, draw(spec, held, WIDE), draw(spec, held, NARROW), source, label,
        clock_mark(documents, True), note, tuple(colours.items()),
    )  # fmt: skip


def _channels(documents: Documents) -> Chart:
    source, label = f"{COUNTED}/channels", "{name}: {high_water:,} of {depth:,} words"
    held = labelled(documents.at(source), label)
    shared = {"y": {"field": "name", "type": "nominal", "sort": None, "title": None}}
    spec: dict[str, Any] = {
        "height": {"step": 20},
        "layer": [
            {"mark": {"type": "bar", "height": 12, "color": "var(--line)", "aria": False},
             "encoding": {**shared, "x": {"field": "depth", "type": "quantitative",
                                          "title": "words"}}},
            {"mark": {"type": "bar", "height": 12},
             "encoding": {**shared, "x": {"field": "high_water", "type": "quantitative"},
                          "description": {"field": LABEL}}},
        ],
    }  # fmt: skip
    return Chart(
        "channels", "Channels: the most words that they held, and their depth",
        draw(spec, held, WIDE), draw(spec, held, NARROW), source, label,
        clock_mark(documents, True), keys=(("high-water mark", "var(--c1)"),
                                           ("depth", "var(--line)")),
    )  # fmt: skip
