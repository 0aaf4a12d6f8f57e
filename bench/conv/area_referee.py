"""The area model's coefficients held against reports of whole kernels that nothing was fitted to.

    python bench/conv/area_referee.py [--out FOLDER]

Kernels of the reports that area_reports.csv holds out: predicted from what their items are (kind,
width, depth, number), in the generator's coefficients, against what Intel's compiler reported. What
our kernels do not have (floating point, divisions, caches, mixed accesses) is left out on both
sides and its share told. Then ALMs from look-up tables and flip-flops, against designs after place
and route.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np

from bench.common.machine import RESULTS, command_line, print_table
from bench.common.records import write_json, write_whole
from bench.conv.area_facts import (
    BURST,
    NEVER_STALL,
    Design,
    Fact,
    Report,
    read_designs,
    read_facts,
    read_reports,
)
from shiftforge.generator.conv.area import Block
from shiftforge.generator.conv.area.numbers import alms
from shiftforge.generator.conv.area.table import MLAB_ALM, coefficients, cost, mlab_alms

__all__ = ["Prediction", "judge", "packing", "placed", "predict"]

M10K, M20K = Block(10240, 40), Block(20480, 40)


@dataclass(frozen=True)
class Prediction:
    """Items of one kind in a kernel: ALMs and RAM blocks as reported and as predicted."""

    kernel: str
    item: str
    reported: float
    predicted: float
    reported_ram: float
    predicted_ram: float


def _block(report: Report) -> Block:
    return M10K if report.device.startswith("Cyclone V") else M20K


def _ram(report: Report, bits: int, words: int) -> float:
    return float(_block(report).blocks(bits, words))


def predict(fact: Fact, report: Report) -> tuple[float, float] | None:
    """ALMs and RAM blocks of an item by the generator's coefficients; None of what it has not."""
    n = fact.count
    if fact.kind in ("load", "store") and fact.what == BURST:
        cyclone = fact.kind == "load" and report.device.startswith("Cyclone V")
        row = "load_cyclone" if cyclone else fact.kind
        return n * float(cost(row, bit=fact.bits)), n * {"load": 15, "load_cyclone": 21}.get(
            row, 17
        )
    if fact.kind in ("load", "store") and fact.what == NEVER_STALL:
        return n * float(cost(f"local_{fact.kind}", bit=fact.bits)), 0
    if fact.kind == "memory" and not fact.what:
        if fact.words <= coefficients()["memory"]["words"]:
            return n * float(mlab_alms(fact.bits)), 0
        return 0, n * _ram(report, fact.bits, fact.words)
    if fact.kind == "channel" and fact.words > 4:
        if fact.words <= coefficients()["fifo_mlab"]["words"]:
            return n * float(cost("fifo_mlab", mlab_alms(fact.bits), bit=fact.bits)), 0
        return n * float(cost("fifo_ram", bit=fact.bits)), n * _ram(report, fact.bits, fact.words)
    if fact.kind == "operation" and fact.what != "gate":
        return n * float(cost(f"operation.{fact.what}")) * fact.bits / 32, 0
    if fact.kind == "registers":
        return n * float(alms(0, fact.bits)), 0
    if fact.kind == "states":
        return float(cost("kernel", block=fact.bits, bit=fact.words)), 0
    return None


_NAMES: dict[str, Callable[[Fact], str]] = {
    "load": lambda f: "loads" if f.what == BURST else "loads on chip",
    "store": lambda f: "stores" if f.what == BURST else "stores on chip",
    "memory": lambda f: "memories",
    "channel": lambda f: f"FIFOs, {'RAM' if f.rams else 'MLAB'}",
    "operation": lambda f: f"operations: {f.what}",
    "registers": lambda f: "registers of variables",
    "states": lambda f: "states",
}


def judge(
    facts: Iterable[Fact], reports: dict[str, Report]
) -> tuple[list[Prediction], dict[str, float]]:
    """Every predicted kind of item in every kernel, and reported ALMs left out by kernel."""
    found, left_out = [], defaultdict[str, float](float)
    for fact in facts:
        report = reports[fact.report]
        if fact.kind in ("board interface", "global interconnect"):
            continue
        kernel = f"{report.repository.split('/')[1]} {fact.report[:6]} {fact.kernel}".strip()
        shared = fact.mlabs * MLAB_ALM if fact.kind == "memory" else 0
        reported = float(alms(fact.aluts / 2, fact.ffs)) + shared
        told = predict(fact, report)
        if told is None:
            left_out[kernel] += reported
        else:
            found.append(Prediction(kernel, _NAMES[fact.kind](fact), reported, told[0],
                                    fact.rams, told[1]))  # fmt: skip
    return found, left_out


def packing(designs: Sequence[Design]) -> list[tuple[Design, float]]:
    """(design, ALMs by our rule) with one constant a board, which makes its mean error zero."""
    by_board = defaultdict[str, list[Design]](list)
    for design in designs:
        by_board[design.board].append(design)
    found = []
    for own in by_board.values():
        rule = [float(alms(d.aluts / 2, d.ffs)) for d in own]
        constant = sum(d.alms - r for d, r in zip(own, rule, strict=True)) / len(own)
        if len(own) > 1:
            found += [(d, r + constant) for d, r in zip(own, rule, strict=True)]
    return found


def placed(designs: Sequence[Design]) -> dict[str, float]:
    """By board: ALMs that place and route adds for an ALM more of the reports' estimates."""
    by_board = defaultdict[str, list[tuple[float, int]]](list)
    for d in designs:
        if d.reported is not None:
            by_board[d.board].append((float(alms(d.reported[0] / 2, d.reported[1])), d.alms))
    return {
        board: round(float(np.polyfit(*zip(*own, strict=True), 1)[0]), 2)
        for board, own in sorted(by_board.items())
        if len(own) > 2
    }


def _summed(found: Sequence[Prediction], key: Callable[[Prediction], str]) -> dict[str, Any]:
    groups = defaultdict[str, list[Prediction]](list)
    for p in found:
        groups[key(p)].append(p)
    rows = {}
    for name, own in sorted(groups.items()):
        reported, predicted = sum(p.reported for p in own), sum(p.predicted for p in own)
        rows[name] = {
            "of": len({p.kernel for p in own}),
            "reported_alm": round(reported, 1),
            "predicted_alm": round(predicted, 1),
            "error": round(predicted / reported - 1, 4) if reported else None,
            "reported_ram": round(sum(p.reported_ram for p in own), 1),
            "predicted_ram": round(sum(p.predicted_ram for p in own), 1),
        }
    return rows


def results() -> dict[str, Any]:
    """All errors: by item, by kernel, in total."""
    reports = read_reports()
    found, left_out = judge(read_facts(held_out=True), reports)
    routed = packing(read_designs())
    errors = [rule / d.alms - 1 for d, rule in routed]
    total = _summed(found, lambda p: "total")["total"]
    kernels = _summed(found, lambda p: p.kernel)
    for name, row in kernels.items():
        row["left_out_alm"] = round(left_out.get(name, 0.0), 1)
    return {
        "items": _summed(found, lambda p: p.item),
        "kernels": kernels,
        "total": total,
        "left_out_alm": round(sum(left_out.values()), 1),
        "median_error": round(median(abs(row["error"]) for row in kernels.values()), 4),
        "packing": {
            "designs": len(errors),
            "mean_error": round(sum(map(abs, errors)) / len(errors), 4),
            "largest_error": round(max(map(abs, errors)), 4),
            "placed": placed(read_designs()),
        },
    }


def report(found: dict[str, Any]) -> str:
    """The tables as Markdown."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print(f"# Area of public kernels, predicted and reported\n\n`{command_line()}`\n")
        print("Reports that no coefficient was fitted to; reported figures are aoc's estimates "
              "before place and route.\n")  # fmt: skip
        head = ["kernels", "reported ALM", "predicted", "error", "reported RAM", "predicted"]
        for title, key in (("items", "items"), ("kernel", "kernels")):
            rows = [_row(name, row) for name, row in found[key].items()]
            print_table([title, *head], [*rows, _row("total", found["total"])])
            print()
        whole = found["left_out_alm"] + found["total"]["reported_alm"]
        pack = found["packing"]
        print(f"Left out on both sides: {found['left_out_alm'] / whole:.0%} of the reported ALMs "
              "(floating point, divisions, caches,\nstallable and mixed accesses, double-pumped "
              "memories, registers between kernels).\n")  # fmt: skip
        print(f"Error of a kernel, median: {found['median_error']:.0%}.\n")
        print(
            f"ALMs from look-up tables and flip-flops, {pack['designs']} designs after place and "
            f"route: mean error\n{pack['mean_error']:.1%}, largest {pack['largest_error']:.1%}.\n"
        )
        slopes = ", ".join(f"{slope:.2f} ({board})" for board, slope in pack["placed"].items())
        print("ALMs that place and route takes for one more in the reports' estimates, Stratix "
              f"10:\n{slopes}. The model estimates as the reports do.")  # fmt: skip
    return text.getvalue()


def _row(name: str, row: dict[str, Any]) -> list[str]:
    error = "" if row["error"] is None else f"{row['error']:+.0%}"
    return [name, str(row["of"]), f"{row['reported_alm']:,.0f}", f"{row['predicted_alm']:,.0f}",
            error, f"{row['reported_ram']:,.0f}", f"{row['predicted_ram']:,.0f}"]  # fmt: skip


def main() -> None:
    """Compare, print, write both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    found = results()
    text = report(found)
    print(text)
    write_whole(arguments.out / "area_referee.md", text)
    write_json(arguments.out / "area_referee.json", {"command": command_line(), **found})


if __name__ == "__main__":
    main()
