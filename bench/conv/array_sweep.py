"""Modelled speed and area of the convolution array over its shape, for MobileNetV2 at 224x224.

    python bench/conv/array_sweep.py [--board NAME] [--terms 1|2] [--check] [--out FOLDER]

For R = 16 and 32 units and 1 to 16 pixels: cycles a frame, utilisation (sum of MACs / (cycles x
lanes), everything that the cycle model counts), frames a second at the board's assumed clock, and
ALMs. All of it is modelled (shiftforge.generator.cost): nothing was compiled or run on hardware.
``--check`` captures and quantises the network and holds its plan against that of its shapes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import RESULTS, command_line, print_table
from bench.common.pictures import BLUE, GREEN, GREY, ORANGE, figure, save
from bench.conv.shapes import mobilenet_v2
from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.errors import InputError
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.quant.graph.types import QuantizedModel

UNITS, PIXELS = (16, 32), range(1, 17)
SHOWN = (16, 7)
LABEL_FPS = 75  # distance of two labels in the picture
COLOURS = {"standard": GREY, "pointwise": BLUE, "depthwise": ORANGE}


@dataclass(frozen=True)
class Published:
    """A published MobileNetV2-224 accelerator: frames a second on hardware, at its own clock."""

    short: str
    source: str
    device: str
    fps: float


PUBLISHED = (
    Published(
        "DTSSQ",
        '"Hardware acceleration method for lightweight convolutional neural networks", '
        "Computer Engineering and Design, 2024(3)",
        "Arria 10 GX1150",
        311.6,
    ),
    Published(
        "Bai 2018",
        'Bai et al., "A CNN Accelerator on FPGA Using Depthwise Separable Convolution", '
        "IEEE TCAS-II, 2018",
        "Arria 10 SoC",
        266.6,
    ),
    Published(
        "Electronics 2023",
        '"A High-Performance FPGA-Based Depthwise Separable Convolution Accelerator", '
        "Electronics 12(7):1571, 2023",
        "Arria 10 GX660",
        205.1,
    ),
    Published(
        "Wu 2019",
        'Wu et al., "A High-Performance CNN Processor Based on FPGA for MobileNets", FPL 2019',
        "ZU9",
        809.8,
    ),
    Published(
        "FILM-QNN",
        'Sun et al., "FILM-QNN: Efficient FPGA Acceleration of Deep Neural Networks with '
        'Intra-Layer, Mixed-Precision Quantization", FPGA 2022',
        "ZCU102",
        537.9,
    ),
    Published(
        "LUTMUL",
        'Xie et al., "LUTMUL: Exceed Conventional FPGA Roofline Limit by LUT-based Efficient '
        'Multiplication for Neural Network Inference", ASP-DAC 2025',
        "Alveo U280",
        1627.0,
    ),
)


def sweep(model: QuantizedModel, board: Board) -> tuple[list[Plan], list[str]]:
    """Plans of all shapes that fit the board, and why the others do not."""
    plans, refused = [], []
    for units in UNITS:
        for pixels in PIXELS:
            try:
                plans.append(make_plan(model, board, array_for(model, units, pixels)))
            except InputError as error:
                refused.append(f"{units} x {pixels}: {error.problems[0].what}")
    return plans, refused


def row(plan: Plan) -> list[str]:
    """A plan's line of the table."""
    array, board = plan.array, plan.board
    return [
        f"{array.units} x {array.pixels}",
        f"{array.lanes:,}",
        f"{plan.ideal_cycles:,}",
        f"{plan.modelled_cycles:,}",
        f"{plan.macs / (plan.ideal_cycles * array.lanes):.1%}",
        f"{plan.utilisation:.1%}",
        f"{plan.modelled_fps:,.0f}",
        f"{plan.macs / plan.modelled_cycles:,.0f}",
        f"{plan.area.alm:,}",
        f"{plan.area.alm / board.alm:.1%}",
        f"{plan.area.ram_blocks:,}",
    ]


def print_layers(plan: Plan) -> None:
    """Cycles and utilisation by kind of layer; the rest of the picture in three lines."""
    rows = []
    for mode, name in (("pointwise", "1x1, stem and classifier"), ("depthwise", "depthwise 3x3")):
        layers = [x.cycles for x in plan.layers if x.mode == mode]
        macs, cycles = sum(c.macs for c in layers), sum(c.modelled for c in layers)
        worst = min(c.utilisation for c in layers)
        rows.append(
            [
                name,
                str(len(layers)),
                f"{macs / plan.macs:.1%}",
                f"{cycles / plan.modelled_cycles:.1%}",
                f"{macs / (cycles * plan.array.lanes):.1%}",
                f"{worst:.1%}",
            ]
        )
    print_table(["layers", "count", "of MACs", "of cycles", "utilisation", "lowest"], rows)


def draw_sweep(plans: Sequence[Plan], folder: Path) -> None:
    """Utilisation over pixels; frames a second over area beside published figures."""
    made = figure(11.5, 4.2, columns=2)
    if made is None:
        return
    drawn, (left, right) = made
    board = plans[0].board
    for units, colour, marker in ((16, BLUE, "o"), (32, GREEN, "s")):
        shown = [p for p in plans if p.array.units == units]
        if not shown:
            continue
        pixels = [p.array.pixels for p in shown]
        left.plot(
            pixels,
            [100 * p.utilisation for p in shown],
            marker=marker,
            color=colour,
            markersize=4,
            label=f"R = {units}, modelled",
        )
        ideal = [100 * p.macs / (p.ideal_cycles * p.array.lanes) for p in shown]
        left.plot(pixels, ideal, linestyle=":", color=colour, label=f"R = {units}, ideal")
        area = [100 * p.area.alm / board.alm for p in shown]
        right.scatter(
            area,
            [p.modelled_fps for p in shown],
            s=18,
            marker=marker,
            color=colour,
            label=f"R = {units}, modelled",
        )
        for p, x in zip(shown, area, strict=True):
            if p.array.pixels in (7, 14):
                right.annotate(
                    f"{units} x {p.array.pixels}",
                    (x, p.modelled_fps),
                    (-8, -14),
                    textcoords="offset points",
                    fontsize=8,
                    color=colour,
                )
    left.axhline(80, color=GREY, linewidth=1, linestyle="--")
    left.set(xlabel="pixels", ylabel="utilisation, %", ylim=(0, 100), xticks=list(PIXELS))
    left.legend(loc="lower left")
    below = -1e9
    for work in sorted(PUBLISHED, key=lambda w: w.fps):
        right.axhline(work.fps, color=GREY, linewidth=0.8)
        below = max(work.fps, below + LABEL_FPS)
        right.annotate(
            f"{work.short}, {work.device}: {work.fps:g}",
            (1.02, below),
            fontsize=8,
            va="center",
            xycoords=("axes fraction", "data"),
            color="#555555",
            annotation_clip=False,
        )
    right.set(
        xlabel=f"ALMs, % of {board.alm:,} (modelled)",
        ylabel="frames a second",
        xlim=(0, None),
        ylim=(0, None),
    )
    right.legend(loc="upper left")
    drawn.suptitle(
        f"MobileNetV2 1.0 at 224x224 on {board.name}: modelled at {board.clock_mhz_assumed:g} MHz "
        f"(assumed), {plans[0].array.terms}-term shift lanes; grey: published, own clocks",
        fontsize=9.5,
    )
    save(drawn, "array_sweep.png", folder)


def draw_layers(plan: Plan, folder: Path) -> None:
    """Utilisation of every layer; a bar as wide as the layer's share of the frame's cycles."""
    made = figure(10, 4.2)
    if made is None:
        return
    drawn, (axis,) = made
    start = 0.0
    seen: set[str] = set()
    for layer in plan.layers:
        share = 100 * layer.cycles.modelled / plan.modelled_cycles
        name = {"pointwise": "1x1, stem and classifier"}.get(layer.mode, layer.mode)
        label = None if name in seen else name
        seen.add(name)
        axis.bar(
            start,
            100 * layer.cycles.utilisation,
            share,
            align="edge",
            label=label,
            color=COLOURS[layer.mode],
            edgecolor="white",
            linewidth=0.25,
        )
        if share > 1.6:
            axis.annotate(
                str(layer.index + 1),
                (start + share / 2, 1.5),
                ha="center",
                fontsize=7,
                color="white",
            )
        start += share
    total = 100 * plan.utilisation
    axis.axhline(total, color="black", linewidth=1.2)
    axis.annotate(
        f"whole\nnetwork\n{total:.1f} %",
        (100, total),
        (5, 0),
        va="center",
        textcoords="offset points",
        annotation_clip=False,
    )
    axis.set(
        xlim=(0, 100),
        ylim=(0, 108),
        ylabel="lanes at work, %",
        xlabel="share of the frame's cycles, %; layers in order, some with their numbers",
    )
    axis.grid(axis="x", visible=False)
    axis.legend(loc="upper center", ncols=3)
    array = plan.array
    axis.set_title(
        f"MobileNetV2 1.0 at 224x224, {array.units} x {array.pixels} x 9 array: modelled "
        f"utilisation of each layer ({plan.modelled_cycles:,} cycles, {plan.modelled_fps:.0f} fps "
        f"at {plan.board.clock_mhz_assumed:g} MHz, assumed)",
        fontsize=9.5,
    )
    save(drawn, f"layers_{array.units}x{array.pixels}.png", folder)


def check(plan: Plan) -> int:
    """Compare each layer with the captured, quantised network; returns the differences found."""
    from shiftforge.quant.capture.source import load_source
    from shiftforge.quant.data.inputs import load_frames
    from shiftforge.quant.quantize import Quantisation, quantize

    graph = load_source("mobilenet_v2_random")
    images = load_frames("random:0", graph.preprocess, limit=1).images
    model = quantize(
        graph, images, Quantisation(rounding="nearest", terms=plan.array.terms, first_last="same")
    )
    real = make_plan(model, plan.board, array_for(model, *SHOWN))
    pairs = list(zip(plan.layers, real.layers, strict=True))
    wrong = sum(a.cycles != b.cycles or a.tiling != b.tiling for a, b in pairs)
    memory = (plan.buffer_bytes, plan.symmetric_bytes) == (real.buffer_bytes, real.symmetric_bytes)
    print(
        f"check: {len(pairs) - wrong} of {len(pairs)} layers of the captured network have the same "
        f"cycles and tiles; memory {'equal' if memory else 'DIFFERENT'}"
    )
    return wrong + (not memory)


def main() -> int:
    """Exit status 1 where --check finds a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--board", default="a10gx1150")
    parser.add_argument("--terms", type=int, choices=(1, 2), default=2, help="of the shift lanes")
    parser.add_argument("--check", action="store_true", help="against the captured network")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    model, board = mobilenet_v2(terms=arguments.terms), load_board(arguments.board)
    print(f"# {command_line()}")
    print(
        f"MobileNetV2 1.0 at 224x224 on {board.name} ({board.title}), {arguments.terms}-term shift "
        f"lanes. Modelled, at {board.clock_mhz_assumed:g} MHz (assumed)."
    )
    plans, refused = sweep(model, board)
    head = ["R x pixels", "lanes", "ideal cycles", "cycles", "ideal util.", "util.", "fps"]
    print_table([*head, "MAC/cycle", "ALM", "of board", "RAM blocks"], [row(p) for p in plans])
    for line in refused:
        print(f"does not fit: {line}")
    print("\nPublished, measured on hardware at clocks of their own (not a like-for-like list):")
    print_table(
        ["work", "device", "fps"], [[p.short, p.device, f"{p.fps:,.1f}"] for p in PUBLISHED]
    )
    for p in PUBLISHED:
        print(f"  {p.short}: {p.source}")
    chosen = [p for p in plans if (p.array.units, p.array.pixels) == SHOWN]
    if plans:
        draw_sweep(plans, arguments.out)
    if not chosen:
        return 0
    print(f"\nThe {SHOWN[0]} x {SHOWN[1]} array, modelled:")
    print_layers(chosen[0])
    draw_layers(chosen[0], arguments.out)
    return 1 if arguments.check and check(chosen[0]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
