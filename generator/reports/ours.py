"""What a project says of itself: its loop table, and the latencies and areas of its plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.fields import read_fields
from shiftforge.generator.project import AGAIN
from shiftforge.generator.reports.types import shown
from shiftforge.jsontext import read_json

__all__ = ["LOOPS", "OurArea", "OurLoop", "Ours", "read_ours"]

LOOPS, PLAN = "loops.json", "plan.json"
_PLACE = re.compile(r"(?:(.*):)?(\d{1,9})")
_Cycles = Annotated[int, Ge(0), Le(10**12)]
_Amount = Annotated[float, Ge(0), Le(1e12)]


@dataclass(frozen=True)
class OurLoop:
    """A row of loops.json. ii: in cycles, None for a loop that is not pipelined; at_least: a rolled
    loop is inside, so that an iteration may take more (">=1" in a report).

    loop: "accelerator.cl:120" or "function:120", or a name. trip_count: iterations of one entry, or
    what it depends on.
    """

    kernel: str
    loop: str
    trip_count: _Cycles | str
    ii: Annotated[int, Ge(1), Le(10**9)] | None
    limit: str
    at_least: bool = False

    @property
    def line(self) -> int | None:
        """Its line in the source, where ``loop`` names one."""
        found = _PLACE.fullmatch(self.loop)
        return int(found[2]) if found else None

    @property
    def interval(self) -> str:
        """The initiation interval in words."""
        return "not pipelined" if self.ii is None else f"{'>=' * self.at_least}{self.ii}"


@dataclass(frozen=True)
class OurArea:
    """Modelled resources, as far as the plan has them: None for what it does not model."""

    alm: _Amount | None = None
    ff: _Amount | None = None
    ram_blocks: _Amount | None = None
    dsp: _Amount | None = None


@dataclass(frozen=True)
class _Areas(OurArea):
    kernels: dict[str, OurArea] = field(default_factory=dict)


@dataclass(frozen=True)
class _Plan:
    latencies: dict[str, _Cycles] = field(default_factory=dict)
    area: _Areas = field(default_factory=_Areas)


@dataclass(frozen=True)
class _Table:
    loops: list[OurLoop]


@dataclass(frozen=True)
class Ours:
    """A project's table and what its plan takes for granted.

    rows: loops.json as it stands there. latencies: cycles by kernel, and of "channel", "reentry"
    and "global_load". area: of the whole design; kernels: by kernel, where the plan has that.
    """

    loops: tuple[OurLoop, ...]
    rows: tuple[Mapping[str, Any], ...] = ()
    latencies: Mapping[str, int] = field(default_factory=dict)
    area: OurArea = field(default_factory=OurArea)
    kernels: Mapping[str, OurArea] = field(default_factory=dict)


def read_ours(folder: Path) -> Ours:
    """The table and the plan of a project's folder. Raises InputError with every problem."""
    problems = Problems()
    path = folder / LOOPS
    if not path.is_file():
        raise InputError(Problem(f"the project has no loop table ({LOOPS})", AGAIN, str(folder)))
    rows = problems.check(read_json, path, remedy=AGAIN)
    if rows is not None and not isinstance(rows, list):
        problems.append(Problem("is no list of loops", AGAIN, str(path)))
        rows = None
    table = None
    if rows is not None:
        table = problems.check(read_fields, _Table, {"loops": rows}, str(path), AGAIN)
    plan = _Plan()
    if (folder / PLAN).is_file():
        value = problems.check(read_json, folder / PLAN, remedy=AGAIN)
        own = (
            {name: value[name] for name in ("latencies", "area") if name in value}
            if (isinstance(value, dict))
            else {}
        )
        plan = problems.check(read_fields, _Plan, own, str(folder / PLAN), AGAIN) or plan
    problems.stop()
    loops = tuple(table.loops if table is not None else ())
    area = OurArea(plan.area.alm, plan.area.ff, plan.area.ram_blocks, plan.area.dsp)
    return Ours(
        tuple(_shown(loop) for loop in loops),
        tuple(rows or ()),
        plan.latencies,
        area,
        plan.area.kernels,
    )


def _shown(loop: OurLoop) -> OurLoop:
    trips = loop.trip_count if isinstance(loop.trip_count, int) else shown(loop.trip_count)
    kernel, place, limit = shown(loop.kernel), shown(loop.loop), shown(loop.limit)
    return replace(loop, kernel=kernel, loop=place, trip_count=trips, limit=limit)
