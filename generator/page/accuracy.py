"""How the integers compare with the float network, and the devices with the reference."""

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
from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.figures import Mark, ran_mark
from shiftforge.generator.page.vega import LABEL, NARROW, WIDE, draw, labelled

__all__ = ["PAIRS", "accuracy"]

_SOURCE = "accuracy.json#"
PAIRS = columns_of(
    ("From", "from", "text"),
    ("To", "to", "text"),
    ("Values", "values", "count"),
    ("Mismatches", "mismatches", "count"),
    ("Output SQNR, dB", "output_sqnr_db", "tenths"),
    ("Same best class", "top1_agreement", "share"),
    ("Verdict", "verdict", "text"),
)
_LEFT_OUT = columns_of(
    ("Checkpoint", "checkpoint", "text"), ("Why", "why", "words"), ("Remedy", "remedy", "words")
)
_LAYERS = columns_of(
    ("Tensor", "tensor", "name"),
    ("SQNR, dB", "sqnr_db", "tenths"),
    ("Largest error", "max_abs_diff", "number"),
    ("Float, lowest", "lowest_a", "number"),
    ("highest", "highest_a", "number"),
    ("Quantised, lowest", "lowest_b", "number"),
    ("highest", "highest_b", "number"),
)
_WEIGHTS = columns_of(
    ("Layer", "name", "name"),
    ("Float, lowest", "float_lowest", "number"),
    ("highest", "float_highest", "number"),
    ("Quantised, lowest", "lowest", "number"),
    ("highest", "highest", "number"),
)


def accuracy(documents: Documents, missing: Mapping[str, Missing]) -> Section:
    """The chain from float to each device, the worst layers first, ranges before and after."""
    blocks: list[Block] = []
    if documents.has(f"{_SOURCE}/pairs"):
        blocks += _chain(documents)
    elif "accuracy" in missing:
        blocks.append(missing["accuracy"])
    if documents.has("network.json#/convolutions"):
        rows = rows_of(documents, "network.json#/convolutions", _WEIGHTS)
        blocks.append(
            Table("weight-ranges", "Ranges of weights, before and after", _WEIGHTS, rows,
                  Mark("measured", behind="in the model"), folded=True)
        )  # fmt: skip
    lead = "The same samples in float, in integers, and on each device."
    return Section("accuracy", "Accuracy", lead, tuple(blocks))


def _chain(documents: Documents) -> list[Block]:
    mark = ran_mark(documents, f"{_SOURCE}/samples", "measured", "on", "sample")
    found: list[Block] = [
        Table("chain", "From float to each device", PAIRS,
              rows_of(documents, f"{_SOURCE}/pairs", PAIRS), mark),
    ]  # fmt: skip
    if documents.at(f"{_SOURCE}/left_out"):
        rows = rows_of(documents, f"{_SOURCE}/left_out", _LEFT_OUT)
        found.append(Table("left-out", "What could not be compared", _LEFT_OUT, rows))
    layers = f"{_SOURCE}/layers"
    if documents.at(layers):
        found += [
            _worst(documents, f"{_SOURCE}/worst", mark),
            Table("ranges", "Ranges of activations, before and after", _LAYERS,
                  rows_of(documents, layers, _LAYERS), mark, folded=True),
        ]  # fmt: skip
    return found


def _worst(documents: Documents, source: str, mark: Mark) -> Chart:
    rows = documents.at(source)
    label = "{tensor}: {sqnr_db:.1f} dB"
    spec: dict[str, Any] = {
        "height": {"step": 16},
        "mark": {"type": "bar", "height": 11},
        "encoding": {
            "y": {"field": "tensor", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "sqnr_db", "type": "quantitative", "title": "SQNR, dB"},
            "description": {"field": LABEL},
        },
    }
    held = labelled(rows, label)
    return Chart(
        "worst", "SQNR of each tensor against the float network, worst first",
        draw(spec, held, WIDE), draw(spec, held, NARROW), source, label, mark,
    )  # fmt: skip
