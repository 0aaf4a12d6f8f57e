"""Feature-map memory of MobileNetV2: the planned asymmetric buffer beside the usual one.

    python bench/conv/memory_plan.py [--units 16] [--pixels 7] [--out FOLDER]

For each width and resolution, in bytes of on-chip memory:

* planned: what the generated design allocates (proved free of overlaps by the planner);
* bound: the largest sum of maps alive together, in whole lines; no plan can be smaller;
* symmetric: two buffers of the largest map each; + kept: with the maps that a residual addition
  still needs, for which such a pair has no room.

A line holds ``units`` channels x ``pixels`` pixels; maps are padded to whole lines ("padding" is
the share of the bound that is padding). Computed from shapes alone, exact, nothing is measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import RESULTS, command_line, print_table
from bench.common.pictures import BLUE, GREY, ORANGE, figure, save
from bench.conv.shapes import mobilenet_v2
from shiftforge.boards.load import load_board
from shiftforge.generator.conv.memory import StoredMap, plan_memory
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.types import QuantizedModel

WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)
RESOLUTIONS = (96, 128, 160, 192, 224)
BOARD = "a10gx1150"


@dataclass(frozen=True)
class Sizes:
    """Bytes for one network; blocks: RAM blocks of the planned buffer on the board."""

    width: float
    resolution: int
    planned: int
    bound: int
    symmetric: int
    kept: int
    blocks: int
    padding: float


def sizes(width: float, resolution: int, units: int, pixels: int) -> Sizes:
    """Plan one network and read off its memory."""
    model = mobilenet_v2(width, resolution)
    # Every size shall be shown, also those that would not fit.
    shipped = load_board(BOARD)
    board = replace(shipped, ram_blocks=100 * shipped.ram_blocks, alm=100 * shipped.alm)
    plan = make_plan(model, board, array_for(model, units, pixels))
    line = plan.array.line_bytes
    return Sizes(
        width,
        resolution,
        plan.buffer_bytes,
        plan.memory.lower_bound_lines * line,
        plan.symmetric_bytes,
        plan.memory.symmetric_residual_lines * line,
        plan.area.feature_map_blocks,
        1 - unpadded_bound(model) / (plan.memory.lower_bound_lines * line),
    )


def unpadded_bound(model: QuantizedModel) -> int:
    """The bound with maps of exactly channels x rows x columns bytes."""
    scheduled = schedule(model)
    bytes_of: dict[str, int] = {}
    born: dict[str, int] = {}
    dies: dict[str, int] = {}
    image, name = scheduled.image, scheduled.image.name
    if not scheduled.streamed:
        bytes_of[name] = image.channels * image.rows * image.columns
        born[name], dies[name] = 0, 1
    for layer in scheduled.layers:
        for read in (layer.input, layer.skip):
            if read is not None and read.name in bytes_of:
                dies[read.name] = layer.index + 1
        if not layer.direct:
            bytes_of[layer.result.name] = prod(layer.result.shape)
            born[layer.result.name] = dies[layer.result.name] = layer.index + 1
    maps = [StoredMap(n, size, born[n], dies[n]) for n, size in bytes_of.items()]
    return plan_memory(maps).lower_bound_lines


def draw(found: Sequence[Sizes], folder: Path, what: str) -> None:
    """Bytes over resolution at width 1, and over width at the largest resolution."""
    made = figure(9.5, 3.6, columns=2)
    if made is None:
        return
    drawn, axes = made
    largest = max(s.resolution for s in found)
    panels = (
        ("resolution (width 1.0)", [s for s in found if s.width == 1.0], "resolution"),
        (f"width (resolution {largest})", [s for s in found if s.resolution == largest], "width"),
    )
    top = max(s.symmetric + s.kept for s in found) / 1e6
    for axis, (label, shown, field) in zip(axes, panels, strict=True):
        at = range(len(shown))
        usual = [s.symmetric / 1e6 for s in shown]
        axis.bar([x - 0.2 for x in at], usual, 0.4, color=GREY, label="symmetric double buffer")
        kept = [s.kept / 1e6 for s in shown]
        left = [x - 0.2 for x in at]
        axis.bar(left, kept, 0.4, bottom=usual, color=ORANGE, label="and what residuals keep")
        planned = [s.planned / 1e6 for s in shown]
        axis.bar([x + 0.2 for x in at], planned, 0.4, color=BLUE, label="planned")
        for x, s in enumerate(shown):
            axis.hlines(
                s.bound / 1e6,
                x,
                x + 0.4,
                color="black",
                linewidth=1.4,
                label="bound" if x == 0 else None,
            )
            text = f"{s.planned / 1e6:.2f}"
            axis.annotate(
                text,
                (x + 0.2, s.planned / 1e6),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axis.set_xticks(list(at), [f"{getattr(s, field):g}" for s in shown])
        axis.set_xlabel(label)
        axis.set_ylim(0, top * 1.08)
        axis.grid(axis="x", visible=False)
    axes[0].set_ylabel("MB on chip")
    axes[0].legend(loc="upper left")
    drawn.suptitle(f"MobileNetV2: feature-map memory as planned, {what}", fontsize=10)
    save(drawn, "memory_plan.png", folder)


def main() -> None:
    """Print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--units", type=int, default=16, choices=(16, 32))
    parser.add_argument("--pixels", type=int, default=7, choices=range(1, 17), metavar="1..16")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    units, pixels = arguments.units, arguments.pixels
    found = [sizes(w, r, units, pixels) for w in WIDTHS for r in RESOLUTIONS]
    limit = int(load_board(BOARD).ram_blocks * load_board(BOARD).limits.ram)
    print(f"# {command_line()}")
    print(
        f"Bytes of feature-map memory, lines of {units} x {pixels} B; blocks: M20K of the planned "
        f"buffer ({limit:,} of {BOARD} are planned with)"
    )
    rows = [
        [
            f"{s.width:g} x {s.resolution}",
            f"{s.planned:,}",
            f"{s.bound:,}",
            f"{s.symmetric:,}",
            f"{s.kept:,}",
            f"{s.planned / s.symmetric:.1%}",
            f"{s.planned / (s.symmetric + s.kept):.1%}",
            f"{s.padding:.1%}",
            f"{s.blocks:,}",
        ]
        for s in found
    ]
    head = ["width x resolution", "planned", "bound", "symmetric", "+ kept", "of symmetric"]
    print_table([*head, "of both", "padding", "blocks"], rows)
    above = [s for s in found if s.planned > s.bound]
    print(f"{len(found) - len(above)} of {len(found)} plans meet the bound.")
    draw(found, arguments.out, f"{units} x {pixels} array")


if __name__ == "__main__":
    main()
