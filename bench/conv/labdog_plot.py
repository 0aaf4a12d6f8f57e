"""The picture of ``labdog_distil.py``: SQNR over layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftforge.atomic import replacing

__all__ = ["plot"]


def plot(results: Mapping[str, Any], path: Path) -> None:
    """SQNR over layers, one panel a format."""
    from matplotlib.figure import Figure

    rows = results["formats"]
    figure = Figure(figsize=(11, 2.6 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (label, row) in zip(axes, rows.items(), strict=True):
        for stage, colour in (("post_training", "tab:blue"), ("distilled", "tab:orange")):
            if stage in row:
                layers = row[stage]["layers_db"]
                text = f"{stage.replace('_', '-')}, logits {row[stage]['sqnr_db']:.1f} dB"
                axis.plot(range(len(layers)), list(layers.values()), ".-", color=colour, label=text)
        axis.set_title(label, fontsize=10)
        axis.set_ylabel("SQNR, dB")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="upper right")
    first = next(iter(rows.values()))["post_training"]["layers_db"]
    axes[-1].set_xticks(range(len(first)), list(first), rotation=90, fontsize=6)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110)
