"""Runs of `fashion_dtssq.py` side by side: accuracy over the seeds, and cycles on one array.

Run:  python bench/schemes/fashion_table.py DIR... [--json FILE]

Every folder is one finished run; runs of the same weights that differ in the seed alone are one
row. Accuracy is measured, on the 10,000 test images in the integer graph's own values; cycles a
frame are modelled, of the network as planned for 16 units x 7 pixels on an Arria 10 GX 1150.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.records import write_json
from bench.schemes.fashion_dtssq import BOARD, PIXELS, UNITS
from shiftforge.boards.load import load_board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.jsontext import read_json
from shiftforge.quant.graph.file import load_model

NAMES = {"one": "one term", "dtssq": "DTSSQ", "two": "two terms"}


def main() -> None:
    """Print a table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    rows = table([read_run(folder) for folder in given.folders])
    print(text(rows))
    if given.json is not None:
        array = {"board": BOARD, "units": UNITS, "pixels": PIXELS}
        write_json(given.json, {"array": array, "rows": rows})


def read_run(folder: Path) -> dict[str, Any]:
    """Arguments, accuracies and cycles of a run. Raises InputError for a folder without one."""
    remedy = "name a folder of bench/schemes/fashion_dtssq.py"
    found = read_json(folder / "result.json", remedy=remedy)
    if not isinstance(found, dict) or found.get("test") is None:
        raise InputError(Problem("no run with its test accuracy", remedy, str(folder)))
    model = load_model(folder / "model.safetensors")
    plan = make_plan(model, load_board(BOARD), array_for(model, UNITS, PIXELS))
    ignored = {"output", "threads", "weights", "seed"}
    if found["arguments"]["weights"] != "dtssq":
        ignored.add("target")
    return {
        "weights": found["arguments"]["weights"],
        "seed": found["arguments"]["seed"],
        "arguments": {k: v for k, v in found["arguments"].items() if k not in ignored},
        "test": found["test"],
        "float_test": found["float_test"],
        "watched": found["watched"],
        "f": plan.second_terms,
        "array_cycles": plan.one_term_cycles + plan.second_term_cycles,
        "modelled_cycles": plan.modelled_cycles,
    }


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each kind of weights. Raises InputError where more than the seed differs."""
    rows = []
    for kind in NAMES:
        own = sorted((r for r in runs if r["weights"] == kind), key=lambda r: int(r["seed"]))
        if not own:
            continue
        if any(r["arguments"] != own[0]["arguments"] for r in own):
            what = f"runs of {NAMES[kind]} with different arguments"
            raise InputError(Problem(what, "name runs that differ in the seed alone"))
        tests = [r["test"] for r in own]
        rows.append(
            {
                "weights": kind,
                "arguments": own[0]["arguments"],
                "seeds": [r["seed"] for r in own],
                "test": tests,
                "test_mean": mean(tests),
                "float_test": own[0]["float_test"],
                "watched": [r["watched"] for r in own],
                "f": [r["f"] for r in own],
                "array_cycles": [r["array_cycles"] for r in own],
                "modelled_cycles": [r["modelled_cycles"] for r in own],
            }
        )
    return rows


def text(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table; cycles are the highest of the seeds."""
    base = max(rows[0]["modelled_cycles"])
    lines = [
        "| Weights | Test accuracy, mean | Seeds | f | Modelled cycles |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = min(row["test"]), max(row["test"])
        cycles = max(row["modelled_cycles"])
        lines.append(
            f"| {NAMES[row['weights']]} | {row['test_mean']:.2%} | {low:.2%} to {high:.2%} | "
            f"{max(row['f']):.3f} | {cycles:,} ({cycles / base:.2f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
