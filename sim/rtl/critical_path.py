"""A critical path of nextpnr in the names of the source: registers, and what lies between them.

LUTs lose their place in the source; what is known of a path is the registers at its ends, nets that
kept a name, and operators whose carry chains have the line and columns of their expression.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftforge.sim.rtl.boundary import BOUNDARY

__all__ = ["CriticalPath", "Names", "Step", "named_path"]

LOGIC = "logic"
# Yosys names a net without a name of its own after a cell and a pin that it is at, and here a
# flip-flop after the wire that it drives.
_MADE = re.compile(
    r"[_\\](TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21|MULT18X18D|DP16KD|TRELLIS_DPR16X4)(_|$)|\$"
)
_REGISTER = re.compile(r"_q(\[\d+\])*$")
_PORT = f"_{BOUNDARY}"
_INDEX = re.compile(r"^(.*)\[(\d+)\]$")
_SOURCE = re.compile(r"^([\w.]+\.sv):(\d+)\.(\d+)-(\d+)\.(\d+)$")
_INSIDE = "$CCU2"  # halves of a carry cell, and the net between them
_LONGEST_TEXT = 60


@dataclass(frozen=True)
class Step:
    """A part of a path. at: a register's bit, a net, an expression, or "logic". source: file and
    line, where known. logic_ns, routing_ns: delays in cells (the first: clock to output, the last:
    setup) and between them. levels: cells passed, a carry chain as one."""

    at: str
    source: str
    logic_ns: float
    routing_ns: float
    levels: int


@dataclass(frozen=True)
class CriticalPath:
    """begin, end: the registers. levels: cells between them. Sums of the steps, in ns."""

    begin: str
    end: str
    logic_ns: float
    routing_ns: float
    levels: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        names = [
            f"{step.at} ({step.source})" if step.source and step.at != step.source else step.at
            for step in self.steps
        ]
        return " → ".join(names)


class Names:
    """What the bits of a netlist are called. netlist: the module as Yosys writes it (JSON)."""

    def __init__(self, netlist: Mapping[str, Any]) -> None:
        self._nets: Mapping[str, Any] = netlist["netnames"]
        self._of: dict[int, list[str]] = {}
        for name, net in self._nets.items():
            if _MADE.search(name):
                continue
            bits = net["bits"]
            for place, bit in enumerate(bits):
                own = name if len(bits) == 1 else f"{name}[{place + net.get('offset', 0)}]"
                self._of.setdefault(bit, []).append(own)

    def net(self, name: str) -> str:
        """The name in the source of a net of the report; "" where it has none."""
        return self._best(self._bit(name))

    def _bit(self, name: str) -> int | None:
        if name in self._nets:
            return _first(self._nets[name]["bits"])
        indexed = _INDEX.match(name)
        net = self._nets.get(indexed[1]) if indexed else None
        if indexed is None or net is None:
            return None
        place = int(indexed[2]) - net.get("offset", 0)
        return net["bits"][place] if 0 <= place < len(net["bits"]) else None

    def _best(self, bit: int | None) -> str:
        names = self._of.get(bit, []) if isinstance(bit, int) else []
        return _shown(min(names, key=_rank, default=""))


def cell_name(cell: str) -> str:
    """What a flip-flop holds, by its name in the source; of other cells their own."""
    return _shown(_MADE.split(cell)[0])


def _shown(name: str) -> str:
    """A register of the boundary by the name of its port."""
    return f"{BOUNDARY}.{name.replace(_PORT, '')}" if _PORT in name else name


def _rank(name: str) -> tuple[bool, bool, int, str]:
    """A register's own name before the boundary's, and these before wires'; then the shortest."""
    return not _REGISTER.search(name), _PORT not in name, len(name), name


def _first(bits: Sequence[int]) -> int | None:
    return bits[0] if bits else None


def named_path(
    segments: Sequence[Mapping[str, Any]], names: Names, text: Mapping[str, str]
) -> CriticalPath:
    """A path from a register to a register. segments: of nextpnr's report. text: the sources."""
    steps: list[Step] = []
    logic = routing = 0.0
    for place, segment in enumerate(segments):
        kind, delay = segment["type"], segment["delay"]
        if kind in ("clk-to-q", "setup"):
            cell = segment["from" if kind == "clk-to-q" else "to"]["cell"]
            steps.append(Step(cell_name(cell), "", logic + delay, routing, 0))
            logic = routing = 0.0
        elif kind == "logic":
            logic += delay
        elif _INSIDE in segment.get("net", ""):
            routing += delay
        else:
            # What a register drives is its own.
            at, source = ("", "") if place == 1 else _described(segment, names, text)
            levels = 1 if place > 1 and delay > 0 else 0
            _add(steps, Step(at, source, logic, routing + delay, levels))
            logic = routing = 0.0
    return CriticalPath(
        steps[0].at, steps[-1].at,
        round(sum(s.logic_ns for s in steps), 3), round(sum(s.routing_ns for s in steps), 3),
        sum(s.levels for s in steps), tuple(_rounded(s) for s in steps),
    )  # fmt: skip


def _rounded(step: Step) -> Step:
    return Step(
        step.at, step.source, round(step.logic_ns, 3), round(step.routing_ns, 3), step.levels
    )


def _add(steps: list[Step], step: Step) -> None:
    """A step, joined with the one before where both are of the same piece of the source."""
    last = steps[-1]
    same = step.at == last.at and step.source == last.source
    if same or step.at == "":
        steps[-1] = Step(
            last.at, last.source, last.logic_ns + step.logic_ns, last.routing_ns + step.routing_ns,
            last.levels + step.levels,
        )  # fmt: skip
    else:
        steps.append(step)


def _described(
    segment: Mapping[str, Any], names: Names, text: Mapping[str, str]
) -> tuple[str, str]:
    """What drives a segment's net; "" where it belongs to the step before."""
    net = segment.get("net", "")
    for source in segment.get("sources", ()):
        found = _SOURCE.match(source)
        if found is not None:
            return names.net(net) or _expression(found, text), f"{found[1]}:{found[2]}"
    sum_of_chain = _INSIDE in segment["from"]["cell"]
    return names.net(net) or ("" if sum_of_chain else LOGIC), ""


def _expression(found: re.Match[str], text: Mapping[str, str]) -> str:
    """The text at a place of the source, the beginning of it where it is long."""
    file, line, begin, last, end = found.groups()
    lines = text.get(file, "").splitlines()
    row = int(line) - 1
    if row >= len(lines):
        return f"{file}:{line}"
    whole = lines[row][int(begin) - 1 : int(end) - 1 if last == line else None].strip()
    return whole if len(whole) <= _LONGEST_TEXT else whole[: _LONGEST_TEXT - 1] + "…"
