"""What a project's plan says of its layers, its array and its clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, Lt, MinLen

from shiftforge.errors import InputError, Problem
from shiftforge.fields import read_fields
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.project import AGAIN
from shiftforge.jsontext import read_json

__all__ = ["PLAN_FILE", "Planned", "PlannedLayer", "read_planned"]

PLAN_FILE = "plan.json"
Count: TypeAlias = Annotated[int, Ge(1), Le(1 << 50)]


@dataclass(frozen=True)
class _Cycles:
    modelled: Count
    macs: Annotated[int, Ge(0), Le(1 << 50)]


@dataclass(frozen=True)
class PlannedLayer:
    """A step of the plan, as far as a clocked run is told with it."""

    name: str
    mode: Literal["pointwise", "depthwise", "standard"]
    cycles: _Cycles


@dataclass(frozen=True)
class _Totals:
    board: str
    lanes: Count
    frames: Annotated[int, Ge(1), Le(64)]
    clock_mhz: Annotated[float, Gt(0), Lt(10_000)]


@dataclass(frozen=True)
class Planned:
    """steps: in order of the instructions; several of one name are strips of one layer.
    bytes_per_cycle: what global memory gives in a cycle."""

    steps: Annotated[tuple[PlannedLayer, ...], MinLen(1)]
    totals: _Totals
    bytes_per_cycle: Annotated[float, Gt(0), Lt(1 << 20)]
    latencies: Latencies = Latencies()  # noqa: RUF009 - frozen

    @property
    def names(self) -> tuple[str, ...]:
        """Of the layers, each once."""
        return tuple(dict.fromkeys(step.name for step in self.steps))

    @property
    def macs(self) -> tuple[int, ...]:
        """Multiply-accumulates of each step."""
        return tuple(step.cycles.macs for step in self.steps)


def read_planned(folder: Path) -> Planned:
    """The plan of a project folder. Raises InputError with every field that is wrong."""
    path = folder / PLAN_FILE
    value = read_json(path, remedy=AGAIN)
    if not isinstance(value, dict):
        raise InputError(Problem("is no plan", AGAIN, str(path)))
    return read_fields(Planned, value, str(path), AGAIN)
