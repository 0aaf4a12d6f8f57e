"""Small compiler's reports of our own making, in each format, and project folders to hold them to.

One description of kernels gives the same report in the formats of aoc 16.x ("A"), 17.0 ("B0": one
list, in strings), 17.1 to 19.4 ("B") and 20.x on ("C"), and as JSON files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftforge.generator.manifest import Content, manifest_text

__all__ = ["FORMS", "Kernel", "Row", "parts", "project", "script", "write_json_parts"]

FORMS = ("A", "B0", "B", "C")
SOURCE = "/home/user/build/accelerator.cl"
_LINK = {"type": "text", "text": "See %L for more information", "links": [{"guide": "Loops"}]}


@dataclass(frozen=True)
class Row:
    """A loop. ii: as the report writes it, "n/a" for one that is not pipelined or not rolled."""

    line: int | None
    ii: str = "1"
    latency: int = 10
    name: str = ""
    reason: str = ""
    inside: tuple[Row, ...] = ()

    @property
    def cells(self) -> list[str]:
        rolled = not self.name.startswith(("Fully", "Coalesced"))
        pipelined = "n/a" if not rolled else "No" if self.ii == "n/a" else "Yes"
        return [pipelined, self.ii if rolled else "n/a", "n/a"]


@dataclass(frozen=True)
class Kernel:
    """A kernel. area: ALUTs, FFs, RAMs, DSPs. load: latency of its load from global memory."""

    name: str
    loops: tuple[Row, ...] = ()
    area: tuple[float, float, float, float] = (100, 200, 3, 4)
    load: int | None = None


def script(form: str, kernels: Iterable[Kernel], channels: int = 2, **also: Any) -> str:
    """The text of ``report_data.js``. also: parts to replace or add; None leaves one out."""
    values = {**parts(form, list(kernels), channels), **also}
    lines = []
    for name, value in values.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        if form in ("B", "B0"):
            text = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        lines.append(f"var {name}JSON={text};")
    lines.append(
        """var fileJSON=[{"path":"accelerator.cl", "content":"// it\\'s ; } \\x41\\012"}];"""
    )
    return "\n\n".join(lines) + "\n"


def write_json_parts(folder: Path, form: str, kernels: Iterable[Kernel]) -> Path:
    """The parts as files of a folder; gives that of the loops."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in parts(form, list(kernels), 2).items():
        (folder / f"{name}.json").write_text(json.dumps(value, indent=1))
    return folder / "loops.json"


def parts(form: str, kernels: list[Kernel], channels: int = 2) -> dict[str, Any]:
    """The parts of a report by name, as JSON's types."""
    flat = form in ("A", "B0")
    found: dict[str, Any] = {
        "loops": _flat_loops(form, kernels) if flat else _tree_loops(form, kernels),
        "area": _flat_area(kernels, channels) if flat else _tree_area(kernels, channels),
        "mav": {"nodes": [_view(form, kernel) for kernel in kernels]},
    }
    if form != "A":
        version = {"B0": "17.0.2 Build 1", "B": "19.4.0 Build 64", "C": "21.2.0 Build 67"}[form]
        rows = [("AOC Version", version), ("Target Family, Device, Board", "Arria 10, made up")]
        found["info"] = {"name": "Info", "rows": [{"name": n, "data": [d]} for n, d in rows]}
    return found


def _blocks(form: str, kernel: Kernel) -> Iterator[tuple[Row, int, str]]:
    """Loops with their depth and the name of their block, outer ones first."""

    def below(rows: Iterable[Row], depth: int) -> Iterator[tuple[Row, int]]:
        for row in rows:
            yield row, depth
            yield from below(row.inside, depth + 1)

    dotted = form in ("B", "C")
    for number, (row, depth) in enumerate(below(kernel.loops, 0)):
        own = f"{kernel.name}.B{number + 1}" if dotted else f"Block{kernel.name}{number + 1}"
        yield row, depth, row.name or own


def _debug(row: Row, **level: int) -> list[list[dict[str, Any]]]:
    if row.line is None:
        return [[]]
    return [[{"filename": SOURCE, "line": row.line, **level}]]


def _flat_loops(form: str, kernels: list[Kernel]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for kernel in kernels:
        if form == "B0":
            rows.append({"name": f"Kernel: {kernel.name}", "data": ["", "", ""], "debug": [[]]})
        for row, depth, block in _blocks(form, kernel):
            level = depth + (form == "B0")
            own = {"name": block, "data": row.cells, "debug": _debug(row, level=level)}
            rows.append({**own, "details": [row.reason]} if row.reason else own)
    return {"columns": ["Pipelined", "II", "Bottleneck"], "functions": rows}


def _tree_loops(form: str, kernels: list[Kernel]) -> dict[str, Any]:
    def node(row: Row, names: Mapping[int, str]) -> dict[str, Any]:
        texts = [{"type": "brief", "text": row.reason}, {"type": "text", "text": row.reason}]
        return {
            "name": names[id(row)],
            "data": row.cells,
            "debug": _debug(row),
            "details": [*texts, _LINK] if row.reason else [],
            "children": [node(inner, names) for inner in row.inside],
        }

    third = "Speculated iterations" if form == "C" else "Bottleneck"
    found = []
    for kernel in kernels:
        names = {id(row): block for row, _, block in _blocks(form, kernel)}
        head = {"name": f"Kernel: {kernel.name}", "data": ["", "", ""], "debug": [[]]}
        found.append({**head, "children": [node(row, names) for row in kernel.loops]})
    return {"columns": ["", "Pipelined", "II", third, "Details"], "children": found}


def _view(form: str, kernel: Kernel) -> dict[str, Any]:
    dotted = form in ("B", "C")

    def facts(**named: str) -> Any:
        return [{"type": "table", **named}] if dotted else named

    blocks = []
    for row, _, block in _blocks(form, kernel):
        if row.name and not row.name[0].isdigit():
            continue
        name = block.rpartition(" ")[2]
        blocks.append({"type": "bb", "name": name, "details": facts(Latency=str(row.latency))})
    if kernel.load is not None and blocks:
        load = facts(Type="Burst-coalesced", Latency=str(kernel.load))
        blocks[-1]["children"] = [{"type": "inst", "name": "Load", "details": load}]
    return {"type": "kernel", "name": kernel.name, "children": blocks}


def _totals(kernels: list[Kernel], channels: int) -> list[float]:
    rows = [kernel.area for kernel in kernels]
    return [sum(column) + 1000 + 10 * channels for column in zip(*rows, strict=True)] or [0] * 4


def _channels(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"accelerator.cl:{n} (c{n})", "data": [10, 10, 10, 10], "debug": _debug(Row(n))}
        for n in range(1, count + 1)
    ]


def _flat_area(kernels: list[Kernel], channels: int) -> dict[str, Any]:
    functions = []
    for kernel in kernels:
        half = [number / 2 for number in kernel.area]
        block = {"name": "Block0", "resources": [{"data": half}], "computation": []}
        own = {"name": kernel.name, "resources": [{"data": half}], "basicblocks": [block]}
        functions.append(own)
    board = {"name": "Board interface", "data": [1000] * 4}
    return {
        "columns": ["ALUTs", "FFs", "RAMs", "DSPs"],
        "total": _totals(kernels, channels),
        "resources": [board, *_channels(channels)],
        "functions": functions,
    }


def _tree_area(kernels: list[Kernel], channels: int) -> dict[str, Any]:
    board = {"name": "Board interface", "type": "resource", "data": [1000] * 4 + [0]}
    kinds = [{"type": "resource", **one} for one in _channels(channels)]
    group = {"name": "Pipe and channel resources", "type": "group", "children": kinds}
    functions = [
        {"name": k.name, "type": "function", "total_kernel_resources": [*k.area, 0]}
        for k in kernels
    ]
    return {
        "columns": ["", "ALUTs", "FFs", "RAMs", "DSPs", "MLABs", "Details"],
        "total": [*_totals(kernels, channels), 0],
        "children": [
            {"name": "Static", "type": "partition", "children": [board]},
            group,
            *functions,
        ],
    }


def project(folder: Path, loops: Any, plan: Any = None, kind: str = "conv") -> Path:
    """A generated project's folder that holds these two files and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"loops.json": json.dumps(loops).encode(), "plan.json": json.dumps(plan or {}).encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    contents = {name: Content.of(data) for name, data in files.items()}
    (folder / "shiftforge.json").write_bytes(manifest_text({"kind": kind}, contents))
    return folder
