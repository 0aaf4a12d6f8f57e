"""What Intel's compiler reported of items of public kernels, and forms fitted to two thirds of it.

area_facts.csv holds all items of the kernels whose items add up to the kernel's total in a report
of area_reports.csv (repository, path, commit), and channels, board interfaces and interconnects.
Reports of repositories whose SHA-256 leaves 0 modulo 3 are held out and fitted to nothing.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from statistics import median

import numpy as np

from shiftforge.files import read_text

__all__ = ["Design", "Fact", "Report", "fitted", "read_designs", "read_facts", "read_reports"]

FOLDER = Path(__file__).parent
NEVER_STALL = "Pipelined never-stall"
BURST = "Burst-coalesced"
MOST_WORK = 30_000
"""Look-up tables of a kernel's operations."""


@dataclass(frozen=True)
class Report:
    """A report. board: family, device and board support package."""

    report: str
    repository: str
    path: str
    commit: str
    version: str
    device: str
    held_out: bool


@dataclass(frozen=True)
class Fact:
    """``count`` items of a kernel and their look-up tables, flip-flops, RAM blocks, memory LABs.

    bits, words: of an access, memory or channel; of states the kernel's basic blocks and the bits
    of all its accesses together; of interconnects loads and stores.
    """

    report: str
    kernel: str
    kind: str
    what: str
    bits: int
    words: int
    count: float
    aluts: float
    ffs: float
    rams: float
    mlabs: float


@dataclass(frozen=True)
class Design:
    """A whole design after place and route.

    reported: look-up tables and flip-flops that its report estimated, without the board's own.
    """

    design: str
    board: str
    aluts: int
    ffs: int
    alms: int
    reported: tuple[int, int] | None


def _rows(name: str) -> Iterable[dict[str, str]]:
    return csv.DictReader(StringIO(read_text(FOLDER / name)))


def read_reports() -> dict[str, Report]:
    """All reports by key."""
    return {
        r["report"]: Report(r["report"], r["repository"], r["path"], r["commit"], r["version"],
                            r["device"], r["held_out"] == "yes")
        for r in _rows("area_reports.csv")
    }  # fmt: skip


def read_facts(held_out: bool | None = None) -> list[Fact]:
    """All items, or those of reports that are held out or not."""
    reports = read_reports()
    found = []
    for r in _rows("area_facts.csv"):
        if held_out in (None, reports[r["report"]].held_out):
            numbers = (float(r[k]) for k in ("count", "aluts", "ffs", "rams", "mlabs"))
            found.append(Fact(r["report"], r["kernel"], r["kind"], r["what"], int(r["bits"]),
                              int(r["words"]), *numbers))  # fmt: skip
    bits = defaultdict[tuple[str, str], float](float)
    for f in found:
        if f.kind in ("load", "store"):
            bits[f.report, f.kernel] += f.bits * f.count
    return [replace(f, words=round(bits[f.report, f.kernel])) if f.kind == "states" else f
            for f in found]  # fmt: skip


def read_designs() -> list[Design]:
    """Designs after place and route."""
    found = []
    for r in _rows("area_packing.csv"):
        reported = (int(r["reported_aluts"]), int(r["reported_ffs"])) if r["reported_ffs"] else None
        found.append(Design(r["design"], r["board"], int(r["aluts"]), int(r["ffs"]),
                            int(r["alms"]), reported))  # fmt: skip
    return found


def fitted() -> dict[str, dict[str, float]]:
    """Coefficients by row of the generator's table, from the reports that are not held out."""
    facts = read_facts(held_out=False)
    reports = read_reports()
    cyclone = {key for key, r in reports.items() if r.device.startswith("Cyclone V")}
    found: dict[str, dict[str, float]] = {}
    for kind in ("load", "store"):
        burst = [f for f in facts if (f.kind, f.what) == (kind, BURST)]
        found[kind] = _accesses([f for f in burst if f.report not in cyclone])
        found[f"local_{kind}"] = _accesses(
            [f for f in facts if (f.kind, f.what) == (kind, NEVER_STALL)]
        )
    channels = [f for f in facts if f.kind == "channel"]
    found["fifo_mlab"] = _fifos([f for f in channels if 4 < f.words <= 32 and f.rams == 0], True)
    found["fifo_ram"] = _fifos([f for f in channels if f.words > 32 and f.rams], False)
    found["kernel"] = _states(facts)
    for what in ("add", "compare", "select"):
        own = [f for f in facts if (f.kind, f.what, f.bits) == ("operation", what, 32)]
        found[f"operation.{what}"] = {"alut": _middle([f.aluts / f.count for f in own])}
    return found


def _states(facts: Sequence[Fact]) -> dict[str, float]:
    """Look-up tables and flip-flops by basic block and by bit of the accesses, neither below 0.

    Of kernels of two blocks or more; copies count once, and none whose operations are many times
    those of ours. Squared errors in proportion to the figures.
    """
    work = defaultdict[tuple[str, str], float](float)
    for f in facts:
        if f.kind == "operation" or f.what == "operations":
            work[f.report, f.kernel] += f.aluts
    states = [f for f in facts if f.kind == "states" and f.bits > 1
              and work[f.report, f.kernel] < MOST_WORK]  # fmt: skip
    own = list({(f.bits, f.words, f.aluts, f.ffs): f for f in states}.values())
    found = {}
    for kind, figures in (("alut", [f.aluts for f in own]), ("ff", [f.ffs for f in own])):
        weights = 1 / np.sqrt(np.maximum(figures, 300))
        table = np.array([[f.bits, f.words] for f in own]) * weights[:, None]
        block, bit = np.linalg.lstsq(table, np.array(figures) * weights, rcond=None)[0]
        found |= {f"{kind}_block": round(float(block), 1), f"{kind}_bit": round(float(bit), 3)}
    return found


def _middle(values: Iterable[float]) -> float:
    return round(median(values), 1)


def _line(facts: Sequence[Fact], value: Callable[[Fact], float]) -> tuple[float, float]:
    """Constant and slope by bits, with the least relative error, of each width's median."""
    widths = sorted({f.bits for f in facts})
    pairs = [(b, median(value(f) for f in facts if f.bits == b)) for b in widths]
    bits, figures = np.array(pairs, float).T
    if len(set(bits)) == 1:
        return float(np.median(figures)), 0.0
    weights = 1 / np.maximum(figures, 1)
    table = np.stack([np.ones_like(bits), bits], axis=1) * weights[:, None]
    constant, slope = np.linalg.lstsq(table, figures * weights, rcond=None)[0]
    return round(float(constant), 1), round(float(slope), 3)


def _accesses(facts: Sequence[Fact]) -> dict[str, float]:
    whole = [f for f in facts if f.count >= 1]
    alut, alut_bit = _line(whole, lambda f: f.aluts / f.count)
    ff, ff_bit = _line(whole, lambda f: f.ffs / f.count)
    ram = _middle([(f.rams / f.count) for f in whole])
    found = {"alut": alut, "alut_bit": alut_bit, "ff": ff, "ff_bit": ff_bit}
    return found | ({"ram": ram} if ram else {})


def _fifos(facts: Sequence[Fact], in_mlabs: bool) -> dict[str, float]:
    """Look-up tables beside MLABs, of which each is reported as twenty."""
    own = [f.aluts / f.count - (20 * -(-f.bits // 20) if in_mlabs else 0) for f in facts]
    ff, ff_bit = _line(facts, lambda f: f.ffs / f.count)
    return {"alut": _middle(own), "ff": ff, "ff_bit": ff_bit}
