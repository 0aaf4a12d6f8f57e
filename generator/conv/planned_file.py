"""What a report reads of a project's plan.json, with types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from annotated_types import Ge, Gt, Le, Lt

from shiftforge.errors import InputError, Problem
from shiftforge.fields import read_fields
from shiftforge.generator.board_fit import BoardFacts, Use
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.cycles import LayerCycles
from shiftforge.generator.conv.memory import StoredMap
from shiftforge.generator.project import AGAIN
from shiftforge.jsontext import read_json

__all__ = ["PLAN_FILE", "PlannedFile", "read_planned_file"]

PLAN_FILE = "plan.json"
_Count: TypeAlias = Annotated[int, Ge(0), Le(1 << 50)]


@dataclass(frozen=True)
class _Layer:
    name: str
    source: str
    mode: str
    result: str
    cycles: LayerCycles
    one_term_cycles: _Count
    second_term_cycles: _Count
    steps: _Count


@dataclass(frozen=True)
class _Memory:
    bases: dict[str, _Count]
    maps: list[StoredMap]
    total_lines: _Count


@dataclass(frozen=True)
class _Item:
    name: str
    alm: _Count
    ram_blocks: _Count
    dsp: _Count
    source: str


@dataclass(frozen=True)
class _Area:
    items: list[_Item]
    bsp_alm: _Count
    bsp_ram: _Count
    bsp_source: str


@dataclass(frozen=True)
class _Channel:
    name: str
    writer: str
    reader: str
    depth: _Count


@dataclass(frozen=True)
class PlannedFile:
    """The plan, as far as a page tells it; see ``Plan`` for what it means. bounds: what decides
    each layer's cycles. totals: the figures of ``generate --json``."""

    network: str
    array: ArrayShape
    layers: list[_Layer]
    bounds: list[str]
    memory: _Memory
    area: _Area
    uses: list[Use]
    channels: list[_Channel]
    device: BoardFacts
    bytes_per_cycle: Annotated[float, Gt(0), Lt(1 << 20)]
    latencies: dict[str, _Count]
    totals: dict[str, Any]


def read_planned_file(folder: Path) -> PlannedFile:
    """The plan of a project folder. Raises InputError with every field that is wrong."""
    path = folder / PLAN_FILE
    value = read_json(path, remedy=AGAIN)
    if not isinstance(value, dict):
        raise InputError(Problem("is no plan", AGAIN, str(path)))
    return read_fields(PlannedFile, value, str(path), AGAIN)
