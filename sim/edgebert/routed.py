"""Results of ``shiftforge route`` as a JSON file beside a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le

from shiftforge.errors import Problem, Problems
from shiftforge.fields import read_fields
from shiftforge.jsontext import read_json

__all__ = ["routed_documents"]

_AGAIN = "write it with: shiftforge route --block NAME --n {} --weights {} --json > FILE"
_Cells = Annotated[int, Ge(0), Le(1 << 40)]


@dataclass(frozen=True)
class _Routed:
    """A line of the table; see ``route --json``. n: lanes."""

    block: str
    n: _Cells
    weights: str
    part: str
    target_mhz: Annotated[float, Ge(0)]
    fits: bool
    comb: _Cells
    ff: _Cells
    dsp: _Cells
    ram: _Cells
    fmax_mhz: Annotated[float, Ge(0)] | None


def routed_documents(paths: Sequence[Path], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """routed_blocks.json of result files. manifest: of the project, whose unit has its lanes and
    weights. Raises InputError with every file that is no result, or one of another unit."""
    unit = manifest["unit"]
    again = _AGAIN.format(unit["lanes"], unit["weights"])
    problems, rows = Problems(), []
    for path in paths:
        value = problems.check(read_json, path, remedy=again)
        if value is None:
            continue
        if not isinstance(value, dict):
            problems.append(Problem("is no result of route", again, str(path)))
            continue
        row = problems.check(read_fields, _Routed, value, str(path), again)
        if row is None:
            continue
        if (row.n, row.weights) != (unit["lanes"], unit["weights"]):
            what = f"is of a unit of {row.n} lanes and {row.weights} weights"
            problems.append(Problem(what, again, str(path)))
        rows.append(asdict(row))
    problems.stop()
    return {"routed_blocks.json": {"figures": "routed", "blocks": rows}}
