"""ALMs of a lane of the convolution array, by what it multiplies with (Yosys, Cyclone V).

    python bench/conv/lane_area.py [--out FOLDER]

A lane with its share of a registered adder tree over nine taps and of a 32-bit accumulator; the
weights' decoders are shared by seven pixels. Also what chooses a lane's operand. The text is in
lane/ and lane_text.py; lane_check.py runs all of it beside numpy. Nothing was placed or routed.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import command_line, print_table
from bench.common.reports import run_report
from bench.conv.lane_text import (
    CELL,
    LANES,
    PIXELS,
    TAPS,
    Lane,
    Window,
    lane_modules,
    lane_top,
    operand_text,
    sum_name,
    sum_top,
    text_digest,
)
from shiftforge.sim.rtl.area import FAMILY, Cells, synthesise

__all__ = ["OPERANDS", "figures_digest", "measure_lane", "measure_operands", "measure_sum"]

OPERANDS = {
    "one_geometry": (Window(1, 1),),
    "two_geometries": (Window(1, 1), Window(2, 0)),
    "two_geometries_late": (Window(1, 1), Window(2, 0), Window(2, 0, late=True)),
}
"""Windows of depthwise layers: of a network without strides, of MobileNetV2 with one term in its
depthwise layers of stride 2, and with two."""
REFERENCE_OPERANDS = 6.0
LABELS = {
    "complement": "complement, ones in the bias",
    "twos": "two's complement",
    "operator": "as an operator",
    "rows": "rows on carry chains",
}


def measure_lane(lane: Lane, cache: Path | None = None) -> Cells:
    """Of all lanes of a unit together: ``lane.pixels`` x 9."""
    text = {**lane_modules(), f"{lane.name}.sv": lane_top(lane, lane.pixels)}
    found = synthesise(text, lane.name, dsp=False, flat=True, leave_out=(CELL,), cache=cache)
    return found.total()


def measure_sum(packed: bool, cache: Path | None = None) -> Cells:
    """Of one pixel's adder tree and accumulator, for products of 16 bits."""
    text = {**lane_modules(), f"{sum_name(packed)}.sv": sum_top(packed)}
    found = synthesise(text, sum_name(packed), flat=True, leave_out=(CELL,), cache=cache)
    return found.total()


def _operand_texts() -> dict[str, str]:
    return {
        f"operands_{name}{'_coded' if coded else ''}": operand_text(
            f"operands_{name}{'_coded' if coded else ''}", windows, PIXELS, coded
        )
        for name, windows in OPERANDS.items()
        for coded in (False, True)
    }


def measure_operands(name: str, cache: Path | None = None) -> Cells:
    """Of the operands of one unit's 63 lanes; name: a module of the operands' text."""
    text = {f"{name}.sv": _operand_texts()[name]}
    return synthesise(text, name, dsp=False, flat=True, cache=cache).total()


def figures_digest() -> str:
    """Of all text that the figures belong to."""
    return text_digest(_operand_texts().values())


def _a_lane(cells: Cells, lanes: int) -> dict[str, float]:
    return {
        "alm": round(cells.alms / lanes, 2),
        "luts": round(cells.luts / lanes, 2),
        "flip_flops": round(cells.flip_flops / lanes, 2),
    }


def measure() -> dict[str, Any]:
    """All figures, a lane each."""
    lanes = {}
    for lane in LANES:
        cells = measure_lane(lane)
        lanes[lane.name] = {
            "kind": lane.kind,
            "terms": lane.terms if lane.shifts else None,
            "bits": None if lane.shifts else lane.bits,
            "packed": lane.packed,
            "reference_alm": lane.reference,
            **_a_lane(cells, TAPS * lane.pixels),
        }
        print(f"{lane.name}: {lanes[lane.name]['alm']}", file=sys.stderr, flush=True)
    return {
        "text_sha256": figures_digest(),
        "family": FAMILY,
        "lanes": lanes,
        "sums": {sum_name(p): _a_lane(measure_sum(p), TAPS) for p in (False, True)},
        "operands": {
            name: _a_lane(measure_operands(name), TAPS * PIXELS) for name in _operand_texts()
        },
    }


def report(found: dict[str, Any]) -> str:
    """The tables as Markdown."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print(f"# A lane of the convolution array\n\n`{command_line()}`\n")
        print(f"Yosys synth_intel_alm -nodsp, family {FAMILY}; not placed, not routed. ALM = "
              "6-input LUTs + 0.75 x 5-input LUTs\n+ 0.5 x (smaller LUTs, adder bits). Flip-flops "
              "are not in it: an ALM has four. As mapped: Yosys leaves gates in\nfront of an adder "
              "as LUTs. Packed: gates of two inputs that feed carry chains (rows of a multiplier, "
              "complements,\nthe accumulator's start) lie in the adders' own input functions, "
              "where an ALM has room for them.\n")  # fmt: skip
        rows = []
        for name, lane in found["lanes"].items():
            if lane["packed"]:
                continue
            size = f"{lane['terms']}" if lane["bits"] is None else f"int{lane['bits']} x int8"
            what = f"{size} shift{'s' if lane['terms'] == 2 else ''}" if lane["terms"] else size
            packed = found["lanes"].get(f"{name}_packed", {}).get("alm")
            reference = lane["reference_alm"]
            rows.append([
                f"{what}, {LABELS[lane['kind']]}", f"{lane['alm']:.1f}",
                f"{packed:.1f}" if packed else "", f"{lane['luts']:.1f}",
                f"{lane['flip_flops']:.1f}", f"{reference:g}" if reference else "",
            ])  # fmt: skip
        plain, packed_sum = found["sums"]["sum"], found["sums"]["sum_packed"]
        rows.append(["int8 x int8 in half a DSP block: the adders", f"{plain['alm']:.1f}",
                     f"{packed_sum['alm']:.1f}", f"{plain['luts']:.1f}",
                     f"{plain['flip_flops']:.1f}", ""])  # fmt: skip
        print_table(
            ["a lane", "ALM as mapped", "ALM packed", "LUTs", "flip-flops", "reference"], rows
        )
        print("\nOperands, a lane (pointwise tap or depthwise window):\n")
        rows = []
        for name in OPERANDS:
            own, coded = (found["operands"][f"operands_{name}{end}"] for end in ("", "_coded"))
            reference = f"{REFERENCE_OPERANDS:g}" if name == "two_geometries" else ""
            rows.append([name.replace("_", " "), f"{own['alm']:.1f}", f"{coded['alm']:.1f}",
                         reference])  # fmt: skip
        print_table(["windows", "ALM window by window", "ALM by one code", "reference"], rows)
    return text.getvalue()


def main() -> None:
    """Synthesise, or take from the cache; write both files."""
    run_report("lane_area", __doc__, measure, report)


if __name__ == "__main__":
    main()
