"""Two designs side by side: what changed from the first to the second."""

from __future__ import annotations

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
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.figures import Mark
from shiftforge.generator.page.vega import LABEL, NARROW, WIDE, draw, labelled

__all__ = ["COMPARISON", "change_document", "change_sections"]

COMPARISON = "comparison.json"
_FIGURES = {
    "estimate_network_performance.json": {
        "modelled_fps": "frames a second",
        "modelled_cycles": "cycles a frame",
        "batch_latency_ms": "latency, ms",
        "utilisation": "share of lanes at work",
        "sentence_ideal_cycles": "cycles of products, longest sentence",
        "modelled_ms_ideal": "longest sentence, ms",
        "lanes": "lanes",
        "clock_mhz": "clock, MHz",
        "macs": "multiply-accumulates a frame",
        "second_term_cycles": "cycles of second terms",
        "buffer_bytes": "feature maps on chip, bytes",
        "ddr_bytes_per_frame": "global memory a frame, bytes",
        "storage_bytes": "weights and tables, bytes",
        "external_memory_bytes": "external memory, bytes",
        "heads_off": "heads off",
    },
    "counted_network_performance.json": {
        "fps": "frames a second",
        "cycles": "cycles",
        "latency_ms": "latency, ms",
        "utilisation": "share of lanes at work",
        "average_exit_layer": "average exit layer",
    },
}
_MODELLED = columns_of(
    ("Figure", "name", "text"),
    ("From", "figures", "text"),
    ("First", "a", "plain"),
    ("Second", "b", "plain"),
    ("Change", "change", "change"),
)
_USES = columns_of(
    ("Resource", "name", "text"),
    ("First", "a", "plain"),
    ("Second", "b", "plain"),
    ("Change", "change", "change"),
    ("Of the first's device", "share_a", "share"),
    ("Of the second's", "share_b", "share"),
)
_LAYERS = columns_of(
    ("Layer", "name", "name"),
    ("First", "a", "count"),
    ("Second", "b", "count"),
    ("Difference", "difference", "count"),
)
_FORMATS = columns_of(("Layer", "name", "name"), ("First", "a", "text"), ("Second", "b", "text"))
_ONLY = columns_of(("Layer", "name", "name"), ("Of the", "of", "text"))


def change_document(names: tuple[str, str], a: Documents, b: Documents) -> dict[str, Any]:
    """comparison.json of two designs' documents. names: what they are called."""
    layers, only = _layers(a, b)
    return {
        "names": [{"design": name, **_told(own)} for name, own in zip(names, (a, b), strict=True)],
        "figures": _figures(a, b),
        "uses": _uses(a, b),
        "layers": layers,
        "only": only,
        "formats": _formats(a, b),
        "counted": all(own.has("counted_network_performance.json#/cycles") for own in (a, b)),
    }


def _told(own: Documents) -> dict[str, Any]:
    """Of one design, what it is."""
    found = {"network": own.at("estimate_network_performance.json#/network")}
    return {**found, "board": own.at("estimate_network_performance.json#/device/title")}


def _change(a: float, b: float) -> float | None:
    return (b - a) / a if a else None


def _figures(a: Documents, b: Documents) -> list[dict[str, Any]]:
    found = []
    for name, keys in _FIGURES.items():
        for key, title in keys.items():
            source = f"{name}#/{key}"
            if a.has(source) and b.has(source):
                one, two = a.at(source), b.at(source)
                word = a.at(f"{name}#/figures")
                found.append({"name": title, "figures": word, "a": one, "b": two,
                              "change": _change(one, two)})  # fmt: skip
    return found


def _uses(a: Documents, b: Documents) -> list[dict[str, Any]]:
    source = "estimate_layer_resources.json#/uses"
    return [
        {"name": one["name"], "a": one["amount"], "b": two["amount"],
         "change": _change(one["amount"], two["amount"]),
         "share_a": one["share"], "share_b": two["share"]}
        for one, two in zip(a.at(source), b.at(source), strict=True)
    ]  # fmt: skip


def _cycles(own: Documents) -> dict[str, int]:
    name = "estimate_layer_cycles.json#"
    source = f"{name}/layers" if own.has(f"{name}/layers") else f"{name}/stages"
    return {row["name"]: row["cycles"] for row in own.at(source)}


def _layers(a: Documents, b: Documents) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Layers of both with their cycles, and those of one alone."""
    one, two = _cycles(a), _cycles(b)
    both = [
        {"name": name, "a": one[name], "b": cycles, "difference": cycles - one[name]}
        for name, cycles in two.items()
        if name in one
    ]
    only = [{"name": name, "of": "first"} for name in one if name not in two]
    return both, only + [{"name": name, "of": "second"} for name in two if name not in one]


def _formats(a: Documents, b: Documents) -> list[dict[str, Any]]:
    """Of convolutions of one name, those whose weights have another format."""
    source = "network.json#/convolutions"
    if not (a.has(source) and b.has(source)):
        return []
    one = {row["name"]: row["format"] for row in a.at(source)}
    return [
        {"name": row["name"], "a": one[row["name"]], "b": row["format"]}
        for row in b.at(source)
        if one.get(row["name"], row["format"]) != row["format"]
    ]


def change_sections(documents: Documents, missing: Missing | None) -> tuple[Section, ...]:
    """Figures, resources, layers. missing: where one of the designs was not counted."""

    def table(id: str, title: str, columns: Any, key: str, folded: bool = False) -> Table:
        rows = rows_of(documents, f"{COMPARISON}#/{key}", columns)
        return Table(id, title, columns, rows, folded=folded)

    blocks: list[Block] = [table("figures", "Rates, cycles and memory", _MODELLED, "figures")]
    if missing is not None:
        blocks.append(missing)
    blocks.append(table("uses", "Resources, modelled", _USES, "uses"))
    layers: list[Block] = []
    if documents.at(f"{COMPARISON}#/layers"):
        layers = [
            _chart(documents),
            table("layers", "Cycles of each layer", _LAYERS, "layers", True),
        ]
    if documents.at(f"{COMPARISON}#/only"):
        layers.append(table("only", "Layers of one design alone", _ONLY, "only"))
    if documents.at(f"{COMPARISON}#/formats"):
        layers.append(table("formats", "Weights of another format", _FORMATS, "formats"))
    return (
        Section("overview", "What changed", "", tuple(blocks)),
        Section("layers-part", "Layers", "Matched by name.", tuple(layers)),
    )


def _chart(documents: Documents) -> Chart:
    source = f"{COMPARISON}#/layers"
    label = "{name}: {a:,} cycles in the first, {b:,} in the second"
    held = labelled(documents.at(source), label)
    keys = (("fewer in the second", "var(--c3)"), ("more in the second", "var(--c2)"))
    spec: dict[str, Any] = {
        "height": {"step": 16},
        "mark": {"type": "bar", "height": 11},
        "encoding": {
            "y": {"field": "name", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "difference", "type": "quantitative",
                  "title": "cycles that the second takes more"},
            "color": {"condition": {"test": "datum.difference > 0", "value": keys[1][1]},
                      "value": keys[0][1]},
            "description": {"field": LABEL},
        },
    }  # fmt: skip
    return Chart("differences", "Cycles of each layer, the second's less the first's",
                 draw(spec, held, WIDE), draw(spec, held, NARROW), source, label,
                 Mark("modelled"), keys=keys)  # fmt: skip
