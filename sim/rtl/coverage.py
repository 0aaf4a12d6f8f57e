"""Coverage of a simulation's lines: what Verilator counted, added up, as a table and as LCOV.

A point is a place at which Verilator counts: a block of lines, or a branch (``if``, ``else``, an
item of a ``case``). Instances of a module count together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shiftforge.errors import CheckFailed

__all__ = ["Coverage", "ModuleCoverage", "Point", "read_coverage"]

_LINE = re.compile(r"^C '(.*)' (\d+)$")
_FIELD = re.compile("\x01([^\x02]+)\x02([^\x01]*)")


@dataclass(frozen=True, order=True)
class Point:
    """file, line, column: where it stands. kind: "line" or "branch". what: "block", "if", "else",
    "case". lines: that run where it is reached; () for an ``else`` that is not written."""

    file: str
    line: int
    column: int
    kind: str
    what: str
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModuleCoverage:
    """points, reached: of a module. never: lines that no run reached, as ranges such as "12-14";
    branches: lines of conditions that always or never held, one of whose sides has no line."""

    module: str
    points: int
    reached: int
    never: tuple[str, ...]
    branches: tuple[int, ...]

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.reached / self.points


@dataclass(frozen=True)
class Coverage:
    """counts: how often each point was reached."""

    counts: Mapping[Point, int] = field(default_factory=dict)

    def __add__(self, other: Coverage) -> Coverage:
        total: dict[Point, int] = defaultdict(int, self.counts)
        for point, count in other.counts.items():
            total[point] += count
        return Coverage(dict(total))

    def only(self, files: Iterable[str]) -> Coverage:
        """The points of some files."""
        kept = set(files)
        return Coverage({p: count for p, count in self.counts.items() if p.file in kept})

    def line_counts(self) -> dict[str, dict[int, int]]:
        """By file and line how often it ran: of the points that hold a line, the innermost, which
        is the one with the fewest lines."""
        chosen: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        for point, count in self.counts.items():
            own = chosen[point.file]
            for line in point.lines:
                size = len(point.lines)
                known = own.get(line)
                if known is None or size < known[0]:
                    own[line] = size, count
                elif size == known[0]:
                    own[line] = size, max(count, known[1])
        return {
            file: {line: count for line, (_, count) in sorted(own.items())}
            for file, own in sorted(chosen.items())
        }

    def modules(self) -> tuple[ModuleCoverage, ...]:
        """Of every file, which holds one module, in the order of their names."""
        by_file: dict[str, list[Point]] = defaultdict(list)
        for point in self.counts:
            by_file[point.file].append(point)
        found = []
        for file, points in sorted(by_file.items()):
            missed = [p for p in points if not self.counts[p]]
            lines = {line for p in missed for line in p.lines}
            bare = {p.line for p in missed if not p.lines}
            found.append(
                ModuleCoverage(
                    file.removesuffix(".sv"),
                    len(points),
                    len(points) - len(missed),
                    _ranges(lines),
                    tuple(sorted(bare)),
                )
            )
        return tuple(found)

    def lcov(self, folder: str) -> str:
        """As a tracefile of LCOV, which genhtml and others read. folder: of the sources."""
        lines = self.line_counts()
        out = []
        for file in sorted({point.file for point in self.counts}):
            out.append(f"SF:{folder}/{file}")
            sides = sorted(p for p in self.counts if p.file == file and p.kind == "branch")
            for place, point in enumerate(sides):
                out.append(f"BRDA:{point.line},0,{place},{self.counts[point]}")
            hit = sum(self.counts[p] > 0 for p in sides)
            out += [f"BRF:{len(sides)}", f"BRH:{hit}"]
            own = lines.get(file, {})
            out += [f"DA:{line},{count}" for line, count in own.items()]
            out += [f"LF:{len(own)}", f"LH:{sum(count > 0 for count in own.values())}"]
            out.append("end_of_record")
        return "\n".join([*out, ""])


def read_coverage(text: str) -> Coverage:
    """What a simulation wrote. Raises CheckFailed where it is no such file, or an empty one."""
    counts: dict[Point, int] = defaultdict(int)
    for row in text.splitlines():
        found = _LINE.match(row)
        if found is None:
            continue
        parts = dict(_FIELD.findall(found[1]))
        try:
            point = Point(
                parts["f"],
                int(parts["l"]),
                int(parts["n"]),
                parts["t"],
                parts["o"],
                _numbers(parts.get("S", "")),
            )
        except (KeyError, ValueError) as error:
            raise CheckFailed(f"the simulation left an odd line of coverage: {row!r}") from error
        counts[point] += int(found[2])
    if not counts:
        raise CheckFailed("the simulation left no coverage")
    return Coverage(dict(counts))


def _numbers(text: str) -> tuple[int, ...]:
    """The lines of "25,27-29"."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def _ranges(lines: Iterable[int]) -> tuple[str, ...]:
    """The opposite, a text a range."""
    found: list[list[int]] = []
    for line in sorted(lines):
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return tuple(str(a) if a == b else f"{a}-{b}" for a, b in found)
