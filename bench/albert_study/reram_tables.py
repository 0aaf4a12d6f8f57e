"""Tables and the picture of ``reram.py``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from bench.common.machine import command_line, print_table
from bench.common.pictures import BLUE, GREEN, GREY, ORANGE, figure, save
from shiftforge.generator.edgebert.energy.reram_cells import MLC3

__all__ = ["draw", "markdown", "percent"]

STYLES = {
    "values, MLC2": (BLUE, "-", "o"),
    "values, MLC3": (ORANGE, "-", "s"),
    "values, MLC3, Gray code": (ORANGE, "--", "D"),
    "mask, row starts kept": (GREEN, "-", "^"),
    "mask, row starts counted": (GREY, "-", "v"),
}


def percent(value: float) -> str:
    """Two decimals."""
    return f"{100 * value:.2f} %"


def accuracy_table(rows: Sequence[dict[str, Any]]) -> None:
    """One line a kind of cell."""
    head = ["Values in", "Cell rate", "Wrong cells a trial", "Squared error of values", "Clean",
            "Mean", "Std", "5 %", "Worst"]  # fmt: skip
    print_table(
        head,
        [
            [
                row["name"],
                f"{row['cell_rate']:.1e}",
                f"{row['cell_flips']:.1f}",
                percent(row["value_error"]),
                *(percent(row[key]) for key in ("clean", "mean", "std", "q05", "min")),
            ]
            for row in rows
        ],
    )


def cost_table(rows: Sequence[dict[str, Any]]) -> None:
    """One line a kind of cell; ratios to loading the table into SRAM."""
    head = ["Values in", "Cells (M)", "mm2", "us", "nJ", "SRAM mm2", "load + SRAM us",
            "load + SRAM uJ", "faster", "less energy", "DRAM rows us", "DRAM rows nJ"]  # fmt: skip
    print_table(
        head,
        [
            [
                row["kind"],
                f"{row['cells'] / 1e6:.2f}",
                f"{row['reram_mm2']:.3f}",
                f"{row['reram_us']:.2f}",
                f"{row['reram_nj']:.2f}",
                f"{row['sram_mm2']:.3f}",
                f"{row['conventional_us']:.1f}",
                f"{row['conventional_nj'] / 1e3:.1f}",
                f"{row['conventional_us'] / row['reram_us']:.0f} x",
                f"{row['conventional_nj'] / row['reram_nj']:.0f} x",
                f"{row['on_demand_us']:.1f}",
                f"{row['on_demand_nj']:.0f}",
            ]
            for row in rows
        ],
    )


def draw(kinds: Sequence[dict[str, Any]], swept: Sequence[dict[str, Any]], folder: Path) -> None:
    """Accuracy over the cell error rate, and its distribution at the published levels."""
    made = figure(11, 4.4, columns=2)
    if made is None:
        return
    drawn, (curve, spread) = made
    for name, (colour, line, marker) in STYLES.items():
        own = [row for row in swept if row["sweep"] == name]
        if not own:
            continue
        x = [row["mask_rate"] if name.startswith("mask") else row["cell_rate"] for row in own]
        mean = [100 * row["mean"] for row in own]
        curve.plot(x, mean, line, color=colour, marker=marker, markersize=4.5, label=name)
        curve.fill_between(
            x, [100 * row["min"] for row in own], [100 * row["accuracy_max"] for row in own],
            color=colour, alpha=0.12, linewidth=0,
        )  # fmt: skip
    if kinds:
        curve.axhline(100 * kinds[0]["clean"], color=GREY, linewidth=1, linestyle=":")
    curve.axvline(MLC3.rate, color=ORANGE, linewidth=1, linestyle=":")
    curve.text(MLC3.rate * 0.9, 0.3, "MLC3 as published", rotation=90, ha="right", fontsize=8,
               color=ORANGE, transform=curve.get_xaxis_transform())  # fmt: skip
    curve.set_xscale("log")
    curve.set_xlabel("error rate of a cell, mean over its levels")
    curve.set_ylabel("held-out accuracy (%), mean and range")
    curve.legend(fontsize=8, loc="lower left")
    spread.boxplot(
        [[100 * a for a in row["accuracy"]] for row in kinds],
        tick_labels=[row["name"].replace(", ", ",\n") for row in kinds],
        whis=(5, 95),
        widths=0.5,
        medianprops={"color": BLUE},
    )
    if kinds:
        spread.axhline(100 * kinds[0]["clean"], color=GREY, linewidth=1, linestyle=":")
    spread.set_ylabel(f"held-out accuracy (%), {kinds[0]['trials'] if kinds else 0} trials")
    save(drawn, "albert_reram.png", folder)


def markdown(facts: dict[str, Any], kinds: Sequence[dict[str, Any]],
             costs: dict[str, list[dict[str, Any]]]) -> str:  # fmt: skip
    """The tables with the command above them."""
    text = io.StringIO()
    trials = kinds[0]["trials"]
    with redirect_stdout(text):
        print(f"Made by `{command_line()}`.\n")
        print(
            f"Accuracy (measured): last off-ramp of the float network, {facts['texts']} held-out "
            f"texts of {facts['corpus']}, fold {facts['fold']}, {trials} trials; a table of "
            f"{facts['shape'][0]} x {facts['shape'][1]} codes, {percent(facts['density'])} of them "
            "not zero. Cell rate: the mean over a cell's levels.\n"
        )
        accuracy_table(kinds)
        for name, found in costs.items():
            print(f"\n{name}: one sentence after power-up (modelled)\n")
            cost_table(found)
    return text.getvalue()
