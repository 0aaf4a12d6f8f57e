"""The Pareto front as a picture; matplotlib is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.cli.plots import is_picture_of

if TYPE_CHECKING:
    from shiftforge.generator.exploring import FrontPoint

__all__ = ["SOFTWARE", "is_plot", "plot_front"]

SOFTWARE = "ShiftForge explore"
_MARKS = "osD^vP*X"


def is_plot(path: Path) -> bool:
    """Whether a file is a picture of ours, and so may be replaced."""
    return is_picture_of(path, SOFTWARE)


def plot_front(
    path: Path, network: str, front: Sequence[FrontPoint], counted: Mapping[int, float]
) -> None:
    """Rates over ALMs, RAM as colour, a mark a board. counted: fps of front points by number."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    from shiftforge.atomic import replacing

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    boards = list(dict.fromkeys(point.board for point in front))
    ram = [100 * point.ram_fraction for point in front]
    for number, board in enumerate(boards):
        own = [point for point in front if point.board == board]
        shown = axis.scatter(
            [100 * p.alm_fraction for p in own], [p.fps for p in own],
            c=[100 * p.ram_fraction for p in own], cmap="viridis", vmin=min(ram), vmax=max(ram),
            s=22, marker=_MARKS[number % len(_MARKS)], label=board,
        )  # fmt: skip
    figure.colorbar(shown, ax=axis, label="RAM blocks, % of the board (at least)")
    if counted:
        own = [front[k] for k in counted]
        axis.scatter(
            [100 * p.alm_fraction for p in own], list(counted.values()), s=90, marker="o",
            facecolors="none", edgecolors="#d55e00", linewidths=1.4,
            label="counted in clocked runs",
        )  # fmt: skip
    axis.set_yscale("log")
    for ticks in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        ticks(StrMethodFormatter("{x:,.0f}"))
    axis.tick_params(axis="y", which="both", labelsize=8)
    axis.set_xlabel("ALMs, % of the board, without its own logic (modelled)")
    axis.set_ylabel("frames a second (modelled)")
    axis.set_title(f"{network}: designs that no other one betters", fontsize=10)
    axis.grid(True, which="both", linewidth=0.3)
    axis.legend(fontsize=8, loc="lower right")
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": SOFTWARE})
