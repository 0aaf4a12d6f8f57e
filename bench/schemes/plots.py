"""The study's picture: accuracy lost against float, over stored bits and over additions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.common.pictures import BLUE, GREEN, GREY, ORANGE, figure, save
from bench.schemes.settings import Study

__all__ = ["draw"]

_RED, _PURPLE, _SKY, _BLACK = "#d55e00", "#cc79a7", "#56b4e9", "#222222"
# Colour and marker of each family; families in _LINES are joined in the order of their cost.
_LOOK: Mapping[str, tuple[str, str]] = {
    "uniform": (GREY, "s"),
    "shift": (BLUE, "o"),
    "inq": (_SKY, "D"),
    "apot": (_PURPLE, "^"),
    "flightnn": (ORANGE, "v"),
    "dtssq": (_RED, "o"),
    "ternary": (GREEN, "P"),
    "binary": (_BLACK, "X"),
}
_LINES = ("uniform", "shift", "flightnn", "dtssq")
_LEGEND: Mapping[str, str] = {
    "uniform": "uniform INT-k (LSQ)",
    "shift": "shift, every weight alike",
    "inq": "INQ",
    "apot": "APoT",
    "flightnn": "FLightNN",
    "dtssq": "DTSSQ",
    "ternary": "TWN",
    "binary": "binary",
}
# Where the text stands from its point, in points, and its alignment: families keep apart.
_BESIDE: Mapping[str, tuple[int, int, str]] = {
    "dtssq": (0, 8, "center"),
    "shift": (5, -10, "left"),
    "uniform": (5, 5, "left"),
    "flightnn": (5, -10, "left"),
}
_TICKS = (0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7)
# Points this much further below the others leave no room for them: they go into a panel below.
_GAP = 1.0


def _short(label: str) -> str:
    """What stands beside a point: its family is told by colour."""
    return label.rpartition(" ")[2] if label[-1] in "%m" else ""


def _low(summary: Sequence[Mapping[str, Any]]) -> float:
    """Below which rows are left out of the picture's scale, with a note."""
    values = sorted((entry["over"] for entry in summary), reverse=True)
    for above, below in pairwise(values):
        if above - below > _GAP:
            return float(below + above) / 2
    return float("-inf")


def _panel(axes: Any, rows: Sequence[Mapping[str, Any]], key: str, first: bool) -> None:
    for family, (colour, marker) in _LOOK.items():
        own = sorted((r for r in rows if r["family"] == family), key=lambda r: r[key])
        if not own:
            continue
        axes.errorbar(
            [r[key] for r in own],
            [r["over"] for r in own],
            yerr=[r["over_spread"] for r in own],
            color=colour,
            marker=marker,
            markersize=6,
            linewidth=1.2 if family in _LINES else 0,
            elinewidth=0.9,
            capsize=2.5,
            zorder=4 if family == "dtssq" else 3,
            label=_LEGEND[family] if first else None,
        )
        for r in own:
            text = _short(r["label"]) or (r["label"] if family == "uniform" else "")
            x, y, side = _BESIDE.get(family, (5, -10, "left"))
            if text:
                axes.annotate(
                    text,
                    (r[key], r["over"]),
                    xytext=(x, y),
                    textcoords="offset points",
                    ha=side,
                    fontsize=7,
                    color=colour,
                )


def draw(study: Study, summary: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Two panels sharing their axis of differences to the float network of the same seed.

    Error bars are the differences' sample standard deviation.
    """
    made = figure(9.6, 4.6, 2)
    if made is None:
        return
    drawn, panels = made
    low = _low(summary)
    shown = [entry for entry in summary if "bits" in entry and entry["over"] >= low]
    hidden = [entry for entry in summary if entry["over"] < low]
    scales = (("bits", "stored bits a weight"), ("adds_mac", "additions a multiply-accumulate"))
    for place, (axes, (key, label)) in enumerate(zip(panels, scales, strict=True)):
        axes.axhline(0, color=_BLACK, linewidth=1, linestyle="--", zorder=1)
        axes.annotate(
            "float",
            (0, 0),
            xycoords=("axes fraction", "data"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=7.5,
        )
        _panel(axes, shown, key, place == 0)
        axes.set_xlabel(label)
        if key == "bits":
            axes.set_xlim(min(e[key] for e in shown) - 0.7, max(e[key] for e in shown) + 0.7)
        else:
            axes.set_xscale("log")
            axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
            axes.minorticks_off()
            axes.set_xlim(0.8 * min(e[key] for e in shown), 1.25 * max(e[key] for e in shown))
    panels[1].sharey(panels[0])
    panels[0].set_ylabel("test accuracy against float, points")
    if hidden:
        text = "below: " + ", ".join(f"{e['label']} {e['over']:+.1f}" for e in hidden)
        panels[1].annotate(text, (0.98, 0.02), xycoords="axes fraction", fontsize=7.5, ha="right")
    drawn.legend(loc="upper center", ncols=8, fontsize=8, columnspacing=1.2, handletextpad=0.4)
    drawn.suptitle(" ")
    panels[0].set_title(
        f"{study.network} on {study.name}, {len(study.seeds)} seeds", loc="left", fontsize=9
    )
    panels[1].set_title(
        "INT-k: rows of an array multiplier; the others: terms", loc="left", fontsize=9
    )
    save(drawn, path.name, path.parent)
