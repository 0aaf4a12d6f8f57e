"""The ALBERT study's pictures: accuracy over entropy threshold, depth and sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.common.pictures import BLUE, GREEN, GREY, ORANGE, figure, save

__all__ = ["draw_sparsity", "draw_thresholds"]

Record = Mapping[str, Any]


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * v for v in values]


def draw_thresholds(records: Mapping[str, Record], title: str, name: str, folder: Path) -> None:
    """Held-out accuracy over the threshold, and over the average exit layer it leads to.

    records: by the name in the legend."""
    drawn = figure(9.0, 3.6, columns=2)
    if drawn is None:
        return
    whole, (left, right) = drawn
    for (label, record), colour in zip(records.items(), (BLUE, ORANGE, GREEN, GREY), strict=False):
        sweep = record["held_out"]["sweep"]
        accuracy = _percent([p["accuracy"] for p in sweep])
        left.plot([p["threshold"] for p in sweep], accuracy, color=colour, label=label)
        right.plot([p["layer"] for p in sweep], accuracy, color=colour, marker=".", label=label)
    left.set_xlabel("entropy threshold (nats)")
    right.set_xlabel("average exit layer")
    for axes in (left, right):
        axes.set_ylabel("held-out accuracy (%)")
    left.legend()
    whole.suptitle(title)
    save(whole, name, folder)


def draw_sparsity(
    records: Sequence[Record], base: Record, title: str, name: str, folder: Path
) -> None:
    """Held-out accuracy over the share of zeros: encoder by movement and magnitude, word table."""
    drawn = figure(9.0, 3.6, columns=2)
    if drawn is None:
        return
    whole, (left, right) = drawn
    share = base["held_out"]["accuracy"][-1]
    level, error = 100 * share, 100 * (share * (1 - share) / base["held_out"]["texts"]) ** 0.5
    looks = {"movement": (BLUE, "o", left), "magnitude": (ORANGE, "s", left)}
    looks["words"] = (GREEN, "D", right)
    for group, (colour, marker, axes) in looks.items():
        key = "word_zeros" if group == "words" else "encoder_zeros"
        own = sorted((r for r in records if r["job"]["group"] == group), key=lambda r: r[key])
        if own:
            axes.plot(
                _percent([r[key] for r in own]),
                _percent([r["held_out"]["accuracy"][-1] for r in own]),
                color=colour, marker=marker, label=group,
            )  # fmt: skip
    for axes, what in ((left, "encoder weights"), (right, "word table")):
        axes.axhline(level, color=GREY, linestyle="--", linewidth=1, label="unpruned")
        axes.axhspan(level - error, level + error, color=GREY, alpha=0.15, label="± standard error")
        axes.set_xlabel(f"zeros in the {what} (%)")
        axes.set_ylabel("held-out accuracy (%)")
        axes.legend()
    whole.suptitle(title)
    save(whole, name, folder)
