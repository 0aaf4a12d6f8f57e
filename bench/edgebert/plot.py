"""The picture of ``area.py``: area a lane, cycles and energy over n."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.common.pictures import BLUE, GREY, ORANGE, figure, save
from bench.edgebert.model import MACS

__all__ = ["draw"]

PURPLE = "#cc79a7"
LINES = (
    # variant, colour, line style, marker, label
    ("af-lut", ORANGE, "-", "o", "AF × AF, in LUTs"),
    ("af", ORANGE, "--", "o", "AF × AF, ⅓ DSP block a lane"),
    ("shift2", PURPLE, "-", "s", "SHIFT, 2 terms, with passes"),
    ("shift2-none", PURPLE, "--", "s", "SHIFT, 2 terms, weights only"),
    ("shift1", BLUE, "-", "^", "SHIFT, 1 term, with passes"),
    ("shift1-none", BLUE, "--", "^", "SHIFT, 1 term, weights only"),
)
NAMES = {"af": "AF × AF", "shift2": "SHIFT, 2 terms", "shift1": "SHIFT, 1 term"}
# Tambe et al., "Algorithm-Hardware Co-Design of Adaptive Floating-Point Encodings for Resilient
# Deep Learning Inference", DAC 2020: hybrid float-integer PE, 8-bit operands, vectors of 4, 8, 16.
PUBLISHED = ((4, 205.3), (8, 98.4), (16, 46.9))


def draw(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Three panels; nothing, with a word, without matplotlib."""
    made = figure(15, 4.6, columns=3)
    if made is None:
        return
    from matplotlib.ticker import NullFormatter

    drawn, (area, cycles, energy) = made
    by = {
        key: sorted((r for r in rows if r["variant"] == key), key=lambda r: int(r["n"]))
        for key, *_ in LINES
    }
    for key, colour, style, marker, text in LINES:
        area.plot(
            [r["n"] for r in by[key]],
            [r["array"]["alms"] / r["n"] ** 2 for r in by[key]],
            style,
            color=colour,
            marker=marker,
            markersize=4.5,
            markerfacecolor=colour if style == "-" else "white",
            label=text,
        )
        if key not in NAMES:
            continue
        n = [r["n"] for r in by[key]]
        cycles.plot(n, [_lanes(r, "ideal_cycles") for r in by[key]], ":", color=colour,
                    linewidth=1.5, label=f"{NAMES[key]}, ideal")  # fmt: skip
        ran = [r for r in by[key] if r["cycles"] is not None]
        if ran:
            points = [r["n"] for r in ran], [_lanes(r, "cycles") for r in ran]
            cycles.plot(*points, marker, color=colour, label=f"{NAMES[key]}, measured in RTL")
        inside = [sum(r["energy"].values()) - r["energy"]["external"] for r in by[key]]
        energy.plot(n, [uj / MACS * 1e9 for uj in inside], color=colour, marker=marker,
                    markersize=4.5, label=f"{NAMES[key]}, on chip, modelled, 45 nm")  # fmt: skip
    energy.plot(*zip(*PUBLISHED, strict=True), "D:", color=GREY, markersize=4.5,
                label="AF8 PE, DAC 2020, published an operation, 16 nm")  # fmt: skip
    energy.set_yscale("log")
    energy.set_ylim(top=2.5 * energy.get_ylim()[1])
    energy.yaxis.set_minor_formatter(NullFormatter())
    for axis in (area, cycles, energy):
        axis.set_xscale("log", base=2)
        ticks = [r["n"] for r in by["af"]]
        axis.set_xticks(ticks, [str(n) for n in ticks])
        axis.set_xlabel("n (n × n lanes)")
    area.set(
        ylabel="ALMs a lane",
        ylim=(0, 1.28 * max(r["array"]["alms"] / r["n"] ** 2 for r in rows)),
        title="Multiply-accumulate array (Yosys, Cyclone V)",
    )
    highest = max(_lanes(r, "cycles") for r in rows if r["cycles"] or r["variant"] in NAMES)
    cycles.set(
        ylabel="cycles × lanes a multiply-accumulate",
        ylim=(0.95, max(1.25, 1.35 * highest - 0.35 + 0.1)),
        title="ALBERT-base layer, sequence 128",
        xlabel="n; below it: cycles of the layer, ideal, AF × AF",
    )
    cycles.set_xticks(
        [r["n"] for r in by["af"]],
        [f"{r['n']}\n{r['ideal_cycles'] / 1e6:.3g} M" for r in by["af"]],
    )
    energy.set(ylabel="fJ a multiply-accumulate", title="Energy of a layer's products")
    area.legend(loc="upper right", ncols=2, fontsize=7.5, columnspacing=1.0, handlelength=2.4)
    cycles.legend(loc="upper left", ncols=2, fontsize=7.5, columnspacing=1.0)
    energy.legend(loc="upper right", fontsize=8)
    save(drawn, "edgebert_area.png", folder)


def _lanes(row: dict[str, Any], cycles: str) -> float:
    """Lane cycles a multiply-accumulate; of the ideal ones where there is no measurement."""
    found = row[cycles] if row[cycles] is not None else row["ideal_cycles"]
    return float(found) * int(row["n"]) ** 2 / MACS
