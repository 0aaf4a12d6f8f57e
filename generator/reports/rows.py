"""Rows that the formats have in common: lines of the source, remarks, columns found by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any

from annotated_types import Ge, Le

from shiftforge.errors import InputError, Problem
from shiftforge.generator.reports.literal import REMEDY
from shiftforge.generator.reports.types import AocArea, Kind, Place, shown

__all__ = [
    "Cell",
    "Debug",
    "Remark",
    "area_row",
    "block_of",
    "kind_of",
    "interval",
    "places",
    "reason",
]

Cell = str | int | float
_INTERVAL = re.compile(r"(~|>=|)(\d{1,9})")
_PARTLY = re.compile(r"\d+X Partially unrolled ")
_KINDS = {
    "Fully unrolled loop": Kind.UNROLLED,
    "Coalesced loop": Kind.COALESCED,
    "Fused subloop": Kind.FUSED,
}


@dataclass(frozen=True)
class Debug:
    """A line of the source; level: how deep its loop lies (16.x and 17.0)."""

    filename: str = ""
    line: Annotated[int, Ge(0), Le(100_000_000)] = 0
    level: Annotated[int, Ge(0), Le(1000)] = 0


@dataclass(frozen=True)
class Remark:
    """The compiler's own words about a loop; "%L" stands for a link."""

    text: str = ""
    type: str = ""
    links: list[dict[str, Any]] = field(default_factory=list)
    details: list[Remark] = field(default_factory=list)


def block_of(name: str) -> str:
    """The basic block that a row is about."""
    return shown(_PARTLY.sub("", name))


def kind_of(name: str) -> Kind:
    """What became of a loop, by the name of its row."""
    return _KINDS.get(name, Kind.ROLLED)


def places(debug: Iterable[Iterable[Debug]]) -> tuple[Place, ...]:
    """The lines that a row names, files without their folders; none for an empty name."""
    return tuple(
        Place(shown(PurePosixPath(each.filename.replace("\\", "/")).name), each.line)
        for several in debug
        for each in several
        if each.filename and each.line
    )


def interval(cells: Sequence[Cell], columns: Sequence[str], where: str) -> tuple[Any, ...]:
    """(pipelined, II, about) of a row. Raises InputError for cells that no compiler writes."""
    named = dict(zip([c for c in columns if c], cells, strict=False))
    word, number = str(named.get("Pipelined", "")), str(named.get("II", ""))
    pipelined = {"Yes": True, "No": False, "n/a": None}.get(word, "")
    found = _INTERVAL.fullmatch(number)
    if pipelined == "" or (found is None and number != "n/a"):
        what = f"says pipelined {shown(word)!r} and II {shown(number)!r}, which aoc does not write"
        raise InputError(Problem(what, REMEDY, where))
    if found is None or not pipelined:
        return pipelined, None, ""
    return pipelined, int(found[2]), found[1]


def reason(remarks: Iterable[Remark | str]) -> str:
    """The remarks in one line, links by their place, advice on what to read left out."""
    return shown(" | ".join(dict.fromkeys(_texts(remarks))))


def _texts(remarks: Iterable[Remark | str]) -> Iterable[str]:
    for remark in remarks:
        if isinstance(remark, str):
            yield from (line for line in remark.splitlines() if line.strip())
            continue
        text = remark.text
        for link in remark.links:
            place = f"{PurePosixPath(str(link.get('filename', ''))).name}:{link.get('line', '')}"
            text = text.replace("%L", place, 1)
        if text.strip() and not text.startswith("See "):
            yield text.strip()
        yield from _texts(remark.details)


def area_row(name: str, numbers: Sequence[float], columns: Sequence[str], where: str) -> AocArea:
    """Resources by the names of their columns. Raises InputError where one is missing."""
    named: Mapping[str, float] = dict(
        zip([c.strip() for c in columns if c.strip()], numbers, strict=False)
    )
    missing = [c for c in ("ALUTs", "FFs", "RAMs", "DSPs") if c not in named]
    if missing:
        what = f"has no {', '.join(missing)} of {shown(name)}"
        raise InputError(Problem(what, REMEDY, where))
    return AocArea(shown(name), named["ALUTs"], named["FFs"], named["RAMs"], named["DSPs"])


def area_sum(
    name: str, numbers: Iterable[Sequence[float]], columns: Sequence[str], where: str
) -> AocArea:
    """Several rows of resources as one. Raises InputError where a column is missing."""
    width = sum(bool(column.strip()) for column in columns)
    sums = [0.0] * width
    for row in numbers:
        for column, number in enumerate(row[:width]):
            sums[column] += number
    return area_row(name, sums, columns, where)
