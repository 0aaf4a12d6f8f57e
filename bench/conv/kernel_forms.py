"""Cycles of a MobileNetV2 1.0/224 frame: the kernels before one loop a layer, and today's.

    python bench/conv/kernel_forms.py [--device pocl] [--json FILE]

One-term weights in every layer, 16 units x 7 pixels for a10gx1150, at half, the declared and
double latencies. Today's are **counted**: the generated text runs with simulated time, its results
are held against the reference. Those of the form before are **modelled** with the same latencies,
from old_form.toml (see old_form.py), in two ways and with two intervals. What was printed for it
before counted no drain and no re-entry. No board has run either.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import command_line, load, print_table
from bench.common.records import write_json
from bench.conv.old_form import Costs, OldForm, frame_cycles, read_old_form
from shiftforge.generator.conv.latencies import Latencies

SCALES = {"half": 0.5, "declared": 1.0, "double": 2.0}
FIELDS = {
    "half": "cycles_at_half_latency",
    "declared": "cycles",
    "double": "cycles_at_double_latency",
}
ROWS: tuple[tuple[str, Costs, bool], ...] = (
    ("conv's own entries, inner II 1", "conv", False),
    ("conv's own entries, inner II of the rules", "conv", True),
    ("slowest kernel of a tile, inner II 1", "all", False),
    ("slowest kernel of a tile, inner II of the rules", "all", True),
)
"""Name, whose entries are paid for, and whether intervals are the rules'; least first."""


def old_cycles(form: OldForm, latencies: Latencies) -> dict[str, dict[str, int]]:
    """Modelled cycles by row and by share of the latencies."""
    return {
        name: {
            scale: frame_cycles(form, latencies.scaled(factor), costs, rules)
            for scale, factor in SCALES.items()
        }
        for name, costs, rules in ROWS
    }


def count(form: OldForm, device: str, folder: Path) -> dict[str, Any]:
    """Today's kernels with simulated time: what ``emulate --clocked --json`` prints."""
    import shiftforge

    print("quantising ...", flush=True)
    model = shiftforge.quantize(
        "mobilenet_v2_random", calib="random:0", calib_limit=2, rounding="nearest",
        terms=form.terms, first_last="same",
    )  # fmt: skip
    shiftforge.generate(
        model, form.board, output=folder / "project", units=form.units, pixels=form.pixels
    )
    print("counting ...", flush=True)
    started = time.perf_counter()
    found = shiftforge.emulate(folder / "project", device, input="random:1", limit=1, clocked=True)
    return {
        "seconds": time.perf_counter() - started,
        "device": found.device,
        "mismatches": found.mismatches,
        **found.facts,
    }


def report(form: OldForm, old: dict[str, dict[str, int]], new: dict[str, Any]) -> None:
    """The tables."""
    clock = form.clock_mhz

    def fps(cycles: int) -> float:
        return clock * 1e6 / cycles

    print(
        f"\nThe form before ({form.commit[:7]}): the convolution kernel enters its inner loop "
        f"{form.entries:,} times a frame, for {form.iterations:,} iterations; interval of the rules"
        f" {form.inner_ii} there, {form.sends_ii} where the controller sends."
    )
    rows = []
    for name, cycles in old.items():
        rows.append([f"before: {name}", "modelled", *(f"{cycles[s]:,}" for s in SCALES)])
        rows[-1] += [f"{fps(cycles[s]):,.0f}" for s in SCALES]
    printed = form.modelled_cycles
    rows.append(["before: as it was printed (not true)", "modelled", "", f"{printed:,}", ""])
    rows[-1] += ["", f"{fps(printed):,.0f}", ""]
    counted = {s: int(new[FIELDS[s]]) for s in SCALES}
    rows.append(["today", "counted", *(f"{counted[s]:,}" for s in SCALES)])
    rows[-1] += [f"{fps(counted[s]):,.0f}" for s in SCALES]
    head = [f"cycles, {s}" for s in SCALES] + [f"fps, {s}" for s in SCALES]
    print_table(["kernels", "", *head], rows)
    least = old[ROWS[0][0]]["declared"] / counted["declared"]
    most = old[ROWS[-1][0]]["declared"] / counted["declared"]
    print(
        f"At {clock:g} MHz (assumed). Declared latencies: today's frame takes 1/{least:.1f} to "
        f"1/{most:.1f} of the form before's cycles; utilisation {new['utilisation']:.1%}, "
        f"modelled {new['modelled_cycles']:,} cycles. With two terms "
        f"{form.modelled_cycles_two_terms:,} cycles ({fps(form.modelled_cycles_two_terms):,.0f} "
        "frames a second) were printed."
    )
    steady = ", ".join(f"{k} {'yes' if v else 'no'}" for k, v in new["steady"].items())
    print(f"Two frames in a row took the same cycles in every layer: {steady}.")


def main() -> int:
    """Exit status 1 where a result differs from the reference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="pocl", choices=("pocl", "intel-cpu"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    arguments = parser.parse_args()
    print(f"# {command_line()}")
    form, before = read_old_form(), load()
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        new = count(form, arguments.device, Path(name))
    old = old_cycles(form, Latencies(**new["latencies"]))
    report(form, old, new)
    print(f"{new['seconds']:.0f} s with simulated time; load {before} before, {load()} after")
    if arguments.json is not None:
        kept = {
            "command": command_line(),
            "old": {
                "commit": form.commit,
                "entries": form.entries,
                "iterations": form.iterations,
                "inner_ii_of_rules": form.inner_ii,
                "printed_cycles": form.modelled_cycles,
                "printed_cycles_two_terms": form.modelled_cycles_two_terms,
                "modelled_cycles": old,
            },
            "new": {k: v for k, v in new.items() if k not in ("predictions", "timeline")},
        }
        write_json(arguments.json, kept)
    if new["mismatches"]:
        print(f"WRONG: {new['mismatches']} outputs differ from the reference")
    return 1 if new["mismatches"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
