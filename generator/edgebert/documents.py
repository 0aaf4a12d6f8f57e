"""A text classifier's modelled figures, as the JSON files beside its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from annotated_types import Ge, Le

from shiftforge.errors import InputError, Problem
from shiftforge.fields import read_fields
from shiftforge.generator.board_fit import BoardFacts, Use, use_rows
from shiftforge.generator.edgebert.folder import PLAN
from shiftforge.generator.project import AGAIN
from shiftforge.generator.reports.ours import read_ours
from shiftforge.jsontext import read_json
from shiftforge.quant.albert.network.integer import IntegerAlbert

__all__ = ["text_documents"]

_REPORT = "report.json"
_Count: TypeAlias = Annotated[int, Ge(0), Le(1 << 50)]
_PARTS = {"encoder": "encoder", "ramps": "off-ramps", "embedding": "word table"}


@dataclass(frozen=True)
class _Command:
    layer: _Count
    name: str
    ideal_cycles: _Count


@dataclass(frozen=True)
class _Plan:
    commands: list[_Command]


@dataclass(frozen=True)
class _Report:
    """Of report.json, what a page tells; the sizes are also the network's own."""

    lanes: _Count
    weights: str
    clock_mhz_assumed: Annotated[float, Ge(1)]
    sentence_ideal_cycles: _Count
    sentence_ideal_cycles_all_heads: _Count
    modelled_ms_ideal: Annotated[float, Ge(0)]
    external_memory_bytes: _Count
    length: _Count
    layers: _Count
    hidden: _Count
    embedding: _Count
    heads: _Count
    ffn: _Count
    vocabulary: _Count
    classes: list[str]
    skipped_heads: list[_Count]
    storage_bytes: dict[str, Annotated[float, Ge(0)]]
    device: BoardFacts
    uses: list[Use]


def text_documents(folder: Path, network: IntegerAlbert) -> dict[str, Any]:
    """What a page tells of a text classifier that nothing has run yet, by file.

    Cycles are ideal ones, of the products of the longest sentence through all layers. Raises
    InputError.
    """
    report = _read(_Report, folder / _REPORT)
    plan = _read(_Plan, folder / PLAN)
    return {
        "estimate_layer_cycles.json": {
            "figures": "modelled",
            "clock_mhz": report.clock_mhz_assumed,
            "stages": _stages(plan.commands),
        },
        "estimate_layer_resources.json": {
            "figures": "modelled",
            "uses": use_rows(report.uses, report.device),
        },
        "estimate_network_performance.json": _performance(report),
        "loops.json": {"loops": [dict(row) for row in read_ours(folder).rows]},
        "network.json": _network(report, network),
    }


def _read(kind: type[Any], path: Path) -> Any:
    value = read_json(path, remedy=AGAIN)
    if not isinstance(value, dict):
        raise InputError(Problem("is no object", AGAIN, str(path)))
    return read_fields(kind, value, str(path), AGAIN)


def _stages(commands: Iterable[_Command]) -> list[dict[str, Any]]:
    """Of a layer's stages the commands and their products' cycles; heads together."""
    found: dict[str, dict[str, Any]] = {}
    for command in commands:
        name = command.name.split(" ")[0]
        own = found.setdefault(name, {"name": name, "commands": 0, "cycles": 0})
        own["commands"] += 1
        own["cycles"] += command.ideal_cycles
    return list(found.values())


def _performance(report: _Report) -> dict[str, Any]:
    sizes = {key: value for key, value in asdict(report).items()
             if key not in ("uses", "storage_bytes", "device")}  # fmt: skip
    return {
        "figures": "modelled",
        "network": f"text classifier, {len(report.classes)} classes",
        **sizes,
        "clock_mhz": report.clock_mhz_assumed,
        "heads_off": len(report.skipped_heads),
        "class_names": ", ".join(report.classes),
        "storage_bytes": report.storage_bytes["total"],
        "device": asdict(report.device),
    }


def _network(report: _Report, network: IntegerAlbert) -> dict[str, Any]:
    stored = report.storage_bytes
    parts = [
        {
            "name": text,
            "mask": stored[f"{part}_mask"],
            "values": stored[f"{part}_values"],
            "dense": stored[f"{part}_dense"],
            "zeros": 1 - stored[f"{part}_density"],
        }
        for part, text in _PARTS.items()
    ]
    return {"storage": parts, "spans": _spans(network), **_graph(report)}


def _spans(network: IntegerAlbert) -> list[dict[str, Any]]:
    """Of each head how far it looks: distances in tokens whose mask is not zero."""
    whole = np.ones((network.heads, network.length), np.uint16)
    masks = whole if network.spans is None else network.spans
    return [
        {"head": number, "reach": int(np.count_nonzero(mask)), "off": number in network.skipped}
        for number, mask in enumerate(masks)
    ]


def _graph(report: _Report) -> Mapping[str, Any]:
    """The products of a sentence as a diagram: (rows, columns) of what each gives. All layers are
    one layer run again, and each ends at an off-ramp."""
    rows, hidden, ffn = report.length, report.hidden, report.ffn
    edges: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
        ("embedding_norm", "layer norm of words and places", ("words",), report.embedding),
        ("input", "product", ("embedding_norm",), hidden),
        ("q", "product", ("input",), hidden),
        ("k", "product", ("input",), hidden),
        ("v", "product", ("input",), hidden),
        ("scores", "product and softmax, by head", ("q", "k"), rows),
        ("context", "product, by head", ("scores", "v"), hidden),
        ("attention_output", "product", ("context",), hidden),
        ("norm1", "sum and layer norm", ("attention_output", "input"), hidden),
        ("ffn1", "product and GELU", ("norm1",), ffn),
        ("ffn2", "product", ("ffn1",), hidden),
        ("norm2", "sum and layer norm, to the next layer", ("ffn2", "norm1"), hidden),
        ("off_ramp", "product and entropy", ("norm2",), len(report.classes)),
    )
    nodes = [
        {"name": name, "op": operator, "inputs": list(inputs), "output": name,
         "shape": [1 if name == "off_ramp" else rows, columns]}
        for name, operator, inputs, columns in edges
    ]  # fmt: skip
    return {"input": {"name": "words", "shape": [rows, report.embedding]}, "nodes": nodes}
