"""The system view (``mavJSON``): latencies of basic blocks and of loads, in every format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shiftforge.fields import read_fields
from shiftforge.generator.reports.literal import REMEDY
from shiftforge.generator.reports.types import shown

__all__ = ["View", "read_view"]


@dataclass(frozen=True)
class _Node:
    """A kernel, a basic block or an operation."""

    name: str = ""
    type: str = ""
    details: dict[str, Any] | list[dict[str, Any]] = field(default_factory=dict)
    children: list[_Node] = field(default_factory=list)

    @property
    def facts(self) -> Mapping[str, Any]:
        if isinstance(self.details, list):
            return {name: value for one in self.details for name, value in one.items()}
        return self.details

    @property
    def latency(self) -> int | None:
        word = str(self.facts.get("Latency", ""))
        return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None


@dataclass(frozen=True)
class _Nodes:
    nodes: list[_Node] = field(default_factory=list)


@dataclass(frozen=True)
class View:
    """latency: cycles by (kernel, block). owner: the kernel of a block whose name no other has.

    load_latency: cycles of the slowest load from global memory, by kernel.
    """

    latency: Mapping[tuple[str, str], int]
    owner: Mapping[str, str]
    load_latency: Mapping[str, int]


def read_view(value: Any, where: str) -> View:
    """The view of a report; an empty one where there is none. Raises InputError."""
    nodes = read_fields(_Nodes, value, where, REMEDY).nodes if value is not None else []
    latency: dict[tuple[str, str], int] = {}
    owners: dict[str, set[str]] = defaultdict(set)
    loads: dict[str, int] = {}
    for kernel in nodes:
        if kernel.type != "kernel":
            continue
        name = shown(kernel.name)
        for block in kernel.children:
            if block.type != "bb":
                continue
            owners[shown(block.name)].add(name)
            if block.latency is not None:
                latency[name, shown(block.name)] = block.latency
            for cycles in _loads(block):
                loads[name] = max(cycles, loads.get(name, 0))
    alone = {block: next(iter(names)) for block, names in owners.items() if len(names) == 1}
    return View(latency, alone, loads)


def _loads(block: _Node) -> Iterator[int]:
    for operation in block.children:
        through = str(operation.facts.get("Type", ""))
        if operation.name == "Load" and through.startswith("Burst") and operation.latency:
            yield operation.latency
