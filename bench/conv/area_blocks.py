"""ALMs of the blocks around the lanes of the convolution array (Yosys, Cyclone V).

    python bench/conv/area_blocks.py [--out FOLDER]

What the area model counts a lane, a result, a unit, a byte or a column (area_text.py lists them).
area_check.py runs them beside Python. Nothing was placed or routed.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np

from bench.common.machine import command_line, print_table
from bench.common.reports import run_report
from bench.conv.area_text import BLOCKS, Block, block_text, blocks_digest
from shiftforge.sim.rtl.area import FAMILY, Cells, synthesise

__all__ = ["figures", "fitted", "measure_block"]

CODE = re.compile(r"code_width(\d+)_least1_rightbits(\d)_floor(\d)")
SUM = re.compile(r"pool_sum_places(\d+)_bits(\d+)")
PRODUCT = re.compile(r"pool_code_bits(\d+)_plus(\d+)_minus(\d+)_right19")
ROUNDING = re.compile(r"round_width32_least(\d)_rightbits(\d)_leftbits(\d)_oneadder0")
OUTPUT = re.compile(r"output_width32_least(\d)_rightbits(\d)()")


def measure_block(block: Block, cache: Path | None = None) -> Cells:
    """Cells of one variant, without DSP blocks."""
    name = f"block_{block.name}"
    text = {f"{name}.sv": block_text(block)}
    return synthesise(text, name, dsp=False, flat=True, cache=cache).total()


def figures(cells: Cells) -> dict[str, float]:
    """luts: their ALMs, by size; tables: how many; ff: flip-flops."""
    return {"luts": round(cells.alms, 2), "tables": cells.luts, "ff": cells.flip_flops}


def measure() -> dict[str, Any]:
    """All figures, a block each."""
    blocks = {}
    for block in BLOCKS:
        blocks[block.name] = {"each": block.each, **figures(measure_block(block))}
        print(f"{block.name}: {blocks[block.name]['luts']}", file=sys.stderr, flush=True)
    return {"text_sha256": blocks_digest(), "family": FAMILY, "blocks": blocks}


def fitted(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Coefficients by row of the generator's table: of one figure, or lines through several."""
    blocks = found["blocks"]

    def line(name: str, values: Sequence[int], figure: str = "luts") -> tuple[float, float]:
        slope, constant = np.polyfit(values, [blocks[name.format(v)][figure] for v in values], 1)
        return round(float(constant), 1), round(float(slope), 2)

    ring, ring_unit = line("ring_units{}", (8, 16, 24, 32, 48))
    ring_ff, ring_ff_unit = line("ring_units{}", (8, 16, 24, 32, 48), "ff")
    clamp, clamp_bit = line("clamp_width{}", (10, 16, 24, 32))
    front = blocks["front_units16_sources1"]
    more = blocks["front_units16_sources2"]["luts"] - front["luts"]
    adds = [blocks[f"add_bits{bits}"] for bits in range(4)]
    rows: dict[str, dict[str, Any]] = {
        "accumulator": {"luts_bit": line("accumulate_width{}", (20, 24, 28, 32))[1]},
        "largest": _largest(blocks),
        "decoder": {k: blocks["decode"][k] for k in ("luts", "ff")},
        "ring": {"luts": ring, "luts_unit": ring_unit, "ff": ring_ff, "ff_unit": ring_ff_unit},
        "window": {"luts": blocks["window_places3"]["luts"],
                   "ff_place": blocks["window_places4"]["ff"] - blocks["window_places3"]["ff"]},
        "standard": {"luts_column": round(front["luts"] / 16, 2), "ff_column": front["ff"] // 16,
                     "luts_more": round(more / 16, 2)},
        "clamp": {"luts": clamp, "luts_bit": clamp_bit, "ff": blocks["clamp_width32"]["ff"]},
        "add": {"luts": [b["luts"] for b in adds], "ff": [b["ff"] for b in adds]},
        "select": {k: blocks["select"][k] for k in ("luts", "ff")},
    }  # fmt: skip
    rows["code"], rows["pool_sum"], rows["pool_code"] = (
        _codes(blocks), _pool_sums(blocks), _pool_codes(blocks)
    )  # fmt: skip
    masks = [blocks[f"masks_width26_least1_rightbits{bits}"] for bits in range(5)]
    rows["masks"] = {k: [b[k] for b in masks] for k in ("luts", "ff")}
    rows["round"], rows["output"] = _rounding(blocks, ROUNDING), _rounding(blocks, OUTPUT)
    return rows


def _largest(blocks: dict[str, Any]) -> dict[str, float]:
    """What an accumulator takes more, by bits that are compared."""
    plain, bits = blocks["accumulate_width24"]["luts"], (9, 12, 15)
    found = [blocks[f"largest_width24_bits{b}"]["luts"] - plain for b in bits]
    slope, constant = np.polyfit(bits, found, 1)
    return {"luts": round(float(constant), 1), "luts_bit": round(float(slope), 2)}


def _codes(blocks: dict[str, Any]) -> dict[str, float]:
    """A plane through widths and bits of the right shift; what a free smallest code takes more."""
    points = [(*(int(v) for v in parts.groups()), block["luts"], block["ff"])
              for name, block in blocks.items() if (parts := CODE.fullmatch(name))]  # fmt: skip
    own = [p for p in points if p[2]]
    table = [[1, p[0], p[1]] for p in own]
    constant, width, right = np.linalg.lstsq(np.array(table, float), [p[3] for p in own])[0]
    (free,) = (p for p in points if not p[2])
    like = next(p for p in own if p[:2] == free[:2])
    ff_bit = (own[-1][4] - own[0][4]) / (own[-1][0] - own[0][0])
    return {"luts": round(float(constant), 1), "luts_bit": round(float(width), 2),
            "luts_right": round(float(right), 2), "luts_free": free[3] - like[3],
            "ff": own[0][4] - round(ff_bit * own[0][0]), "ff_bit": ff_bit}  # fmt: skip


def _pool_sums(blocks: dict[str, Any]) -> dict[str, float]:
    """By places and bits of the sum."""
    points = [([1.0, *(int(v) for v in parts.groups())], block)
              for name, block in blocks.items() if (parts := SUM.fullmatch(name))]  # fmt: skip
    return _planes(points, ("", "_place", "_bit"))


def _pool_codes(blocks: dict[str, Any]) -> dict[str, float]:
    """By bits of the sum, digits of the constant, and bits of all digits."""
    points = []
    for name, block in blocks.items():
        if parts := PRODUCT.fullmatch(name):
            bits, *digits = (int(v) for v in parts.groups())
            terms = sum(mask.bit_count() for mask in digits)
            points.append(([1.0, bits, terms, terms * bits], block))
    return _planes(points, ("", "_bit", "_term", "_digit"))


def _planes(
    points: Sequence[tuple[list[float], dict[str, Any]]], ends: Sequence[str]
) -> dict[str, float]:
    """Through figures of blocks by amounts. ends: of the coefficients' names, an amount each."""
    figures = [(block["luts"], block["ff"]) for _, block in points]
    fits = np.linalg.lstsq(np.array([own for own, _ in points]), np.array(figures))[0]
    return {f"{kind}{end}": round(float(value), 2)
            for kind, values in zip(("luts", "ff"), fits.T, strict=True)
            for end, value in zip(ends, values, strict=True)}  # fmt: skip


def _rounding(blocks: dict[str, Any], names: re.Pattern[str]) -> dict[str, float]:
    """By bits of the right shift, over both constants; with none; by bits of a left shift."""
    points = []
    for name, block in blocks.items():
        if parts := names.fullmatch(name):
            own = (int(v or 0) for v in parts.groups())
            points.append((*own, block["luts"], block["ff"]))
    varying = [p for p in points if p[1] and not p[2]]
    slope, constant = np.polyfit([p[1] for p in varying], [p[3] for p in varying], 1)
    left = [p for p in points if p[2]]
    found = {"luts": round(float(constant), 1), "luts_right": round(float(slope), 2),
             "ff": max(p[4] for p in varying)}  # fmt: skip
    if left:
        plain = next(p for p in points if p[:3] == (left[0][0], left[0][1], 0))
        found["luts_left"] = round((left[0][3] - plain[3]) / left[0][2], 2)
    found["luts_constant"] = min(p[3] for p in points if not p[1])
    return found


def report(found: dict[str, Any]) -> str:
    """The table as Markdown."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print(f"# Blocks around the lanes\n\n`{command_line()}`\n")
        print(
            f"Yosys synth_intel_alm -nodsp, family {FAMILY}; not placed, not routed. ALMs of "
            "look-up tables: 6-input ones\n+ 0.75 x 5-input ones + 0.5 x (smaller ones, adder "
            "bits). The area model adds a quarter for each\nflip-flop beyond two an ALM.\n"
        )
        rows = [[name, b["each"], f"{b['luts']:.1f}", f"{b['tables']}", f"{b['ff']}"]
                for name, b in found["blocks"].items()]  # fmt: skip
        print_table(["block", "each", "ALMs of LUTs", "LUTs", "flip-flops"], rows)
    return text.getvalue()


def main() -> None:
    """Synthesise, or take from the cache; write both files."""
    run_report("area_blocks", __doc__, measure, report)


if __name__ == "__main__":
    main()
