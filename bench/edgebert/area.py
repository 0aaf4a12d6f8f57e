"""Area, cycles and modelled energy of the EdgeBERT unit for n = 2 ... 32: AF x AF and AF x SHIFT.

    python bench/edgebert/area.py [--n 2,4,8,16,32] [--whole 16] [--flat 2,4]
        [--cycles FILE] [--simulate 16,32] [--out FOLDER]

Area is Yosys' mapping to Cyclone V (no place and route). Cycles of a layer are measured where
FILE (results/edgebert_cycles.json) has them: ``--simulate`` runs ``shiftforge unit layer``
for these n and writes it. Ideal cycles are computed, energy is modelled (model.py).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import RESULTS, check_exit, command_line, load, print_table
from bench.common.records import write_json, write_whole
from bench.edgebert.model import USED, EnergyModel, ideal_cycles, layer_energy
from bench.edgebert.plot import draw
from bench.edgebert.tables import (
    MEASURED,
    VARIANTS,
    WHOLE,
    Measured,
    Variant,
    area_table,
    attention_table,
    by_key,
    layer_table,
    unit_table,
)
from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl import TOP as ENGINE
from shiftforge.generator.edgebert.rtl import UNIT_TOP, render_processing_unit, render_unit
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import LANES
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.rtl.area import FAMILY, Cells, Synthesis, synthesise

CYCLES = RESULTS / "edgebert_cycles.json"
ARRAY = "pu_array"
FUNCTION = "pu_function"
FUNCTIONS = (
    *("sfu_add", "sfu_decode", "sfu_entropy", "sfu_exprow", "sfu_gelu", "sfu_layernorm"),
    *("sfu_softmax", "sfu_tiles"),
)
ARRAY_GROUPS = {"pu_lane": "lanes", "pu_vmac": "trees", "pu_acc": "accumulators"}
UNIT_GROUPS = {
    "pu_post": "post-processing",
    "pu_transpose": "post-processing",
    "pu_mask_decoder": "masks",
    "pu_mask_encoder": "masks",
    FUNCTION: "functions",
    "sfu_*": "functions",
}
KEPT = ("shape", "codes", "mismatches", "cycles", "ideal_cycles", "reads", "writes")
"""Of a simulation's report."""
BOUND = 0.05
"""How far the array as one netlist may be from the sum of its modules."""


def array_of(variant: Variant, lanes: int, *, flat: bool = False) -> Synthesis:
    """The multiply-accumulate array: n VMACs, n x n accumulators, operand tiles, decoders."""
    text = render_unit(variant.config(lanes))
    return synthesise(text, ARRAY, dsp=variant.dsp, flat=flat)


def around_array(variant: Variant, lanes: int) -> list[Synthesis]:
    """The matrix engine without its array; the rest of the unit, the same for all variants.

    Block by block: Yosys takes much longer for all in one run. Multipliers of the special functions
    may use DSPs.
    """
    engine = synthesise(render_unit(variant.config(lanes)), ENGINE, leave_out=(ARRAY,))
    text = render_processing_unit(UnitDesign(VARIANTS[0].config(lanes), SfuConfig(lanes=lanes)))
    blocks = {UNIT_TOP: (ENGINE, FUNCTION), FUNCTION: FUNCTIONS, **dict.fromkeys(FUNCTIONS, ())}
    return [engine, *(synthesise(text, top, leave_out=out) for top, out in blocks.items())]


def measure(
    variant: Variant, lanes: int, cycles: Mapping[str, Any], model: EnergyModel, *, whole: bool
) -> Measured:
    """Synthesise one variant, or take it from the cache. whole: what is around the array too."""
    started = time.perf_counter()
    array = array_of(variant, lanes)
    around = around_array(variant, lanes) if whole and variant.key in WHOLE else []
    parts: dict[str, Cells] = {}
    for synthesis in around:
        for group, cells in synthesis.grouped(UNIT_GROUPS, "control").items():
            parts[group] = parts.get(group, Cells()) + cells
    memories = [memory for synthesis in around for memory in synthesis.memories]
    config = variant.config(lanes)
    run = cycles.get(f"{variant.key.removesuffix('-lut')}-{lanes}")
    seconds = time.perf_counter() - started
    if seconds > 1:
        print(f"n = {lanes}, {variant.label}: {seconds:.0f} s in Yosys", file=sys.stderr)
    return Measured(
        n=lanes,
        variant=variant.key,
        lane=array.total("pu_lane"),
        array=array.total(),
        array_parts=_alms(array.grouped(ARRAY_GROUPS, "tiles")),
        around=sum(parts.values(), Cells()) if around else None,
        around_parts=_alms(parts),
        memory_bits=sum(memory.bits for memory in memories),
        m10k=sum(memory.blocks for memory in memories),
        ideal_cycles=ideal_cycles(config),
        cycles=None if run is None else int(run["cycles"]),
        energy=layer_energy(config, model) if variant.key in WHOLE else None,
    )


def _alms(groups: Mapping[str, Cells]) -> dict[str, float]:
    return {name: cells.alms for name, cells in groups.items()}


def simulate(lanes: Sequence[int], path: Path) -> None:
    """Run the layer in RTL for AF and both SHIFT formats; keep each report in the file."""
    found = read_cycles(path)
    program = Path(sys.executable).parent / "shiftforge"
    for n in lanes:
        for key in MEASURED:
            config = by_key(key).config(n)
            arguments = ["unit", "layer", "--n", str(n), "--weights", config.weights]
            arguments += ["--terms", str(config.terms), "--opencl", "none", "--json"]
            command = [str(program), *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            check_exit(done.returncode, arguments)
            report = json.loads(done.stdout)
            if report["mismatches"] != 0 or report["n"] != n:
                raise CheckFailed(f"shiftforge {' '.join(arguments)}: {done.stdout}")
            kept = {name: report[name] for name in KEPT}
            found[f"{key}-{n}"] = {"command": f"shiftforge {' '.join(arguments)}", **kept}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(found, indent=2, sort_keys=True) + "\n")


def read_cycles(path: Path) -> dict[str, Any]:
    """Reports of earlier simulations by "variant-n"; none where there is no file."""
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def flat_table(lanes: Sequence[int]) -> bool:
    """The array as one netlist against the sum of its modules; whether all are within BOUND."""
    body, good = [], True
    for n in lanes:
        for variant in VARIANTS:
            parts, whole = array_of(variant, n).total(), array_of(variant, n, flat=True).total()
            differ = parts.alms / whole.alms - 1
            good &= abs(differ) <= BOUND and parts.multipliers == whole.multipliers
            body.append([variant.label, str(n), f"{whole.alms:,.1f}", f"{parts.alms:,.1f}"])
            body[-1].append(f"{differ:+.1%}")
    print_table(["array", "n", "one netlist, ALM", "modules x count, ALM", "difference"], body)
    return good


def report(
    rows: Sequence[Measured], flat: Sequence[int], model: EnergyModel, cycles: Path
) -> tuple[str, bool]:
    """All tables as Markdown, and whether the flat arrays are within the bound."""
    text = io.StringIO()
    good = True

    def section(title: str, table: Callable[[], object], *notes: str) -> object:
        print(f"\n{title}\n")
        found = table()
        print("".join(f"\n{note}\n" for note in notes), end="")
        return found

    with contextlib.redirect_stdout(text):
        print("# EdgeBERT unit: area, cycles and energy over n\n")
        print(f"`{command_line()}`")
        section(
            f"## Multiply-accumulate array, a lane (Yosys synth_intel_alm, family {FAMILY})",
            lambda: area_table(rows),
            "ALM = 6-input LUTs + 0.75 x 5-input LUTs + 0.5 x (smaller LUTs, adder bits, MLAB "
            "bits), a lane's own and its share of the adder trees, of the n x n accumulators (MLAB "
            "and saturating adder), and of the operand tiles with their decoders and control. "
            "Flip-flops are not in the ALMs (four fit into one). A DSP block holds three 9-bit "
            "multipliers.",
        )
        section("## Attention on a shift unit", lambda: attention_table(rows),
            "The array alone; the side array's operand routing and result multiplexers are not "
            "counted. AF: AF x AF with its multipliers in LUTs.")  # fmt: skip
        if any(row.around for row in rows):
            section("## Whole unit", lambda: unit_table(rows),
                "RAM is left out of the ALMs. M10K: each RAM by itself in its best shape. The "
                "functions and their buffers are the same for every kind of lane.")  # fmt: skip
        section(
            "## ALBERT-base layer, sequence 128",
            lambda: layer_table(rows),
            f"Measured: cycles of the RTL in simulation ({os.path.relpath(cycles)}); - where there "
            "is no run. Energy is modelled for 45 nm, matrix products only, dense operands:",
            "\n".join(f"- {k}: {v}" for k, v in model.sources(USED).items()),
        )
        if flat:
            title = f"## Check: one netlist against modules x count, bound {BOUND:.0%}"
            good = bool(section(title, lambda: flat_table(flat)))
    return text.getvalue(), good


def _numbers(text: str) -> list[int]:
    found = [int(part) for part in text.split(",") if part]
    if not set(found) <= set(LANES):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(map(str, LANES))}")
    return found


def main() -> int:
    """Exit status 1 where a flat array is beyond the bound."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=_numbers, default=list(LANES), metavar="N,N", help="lanes")
    parser.add_argument(
        "--flat", type=_numbers, default=[2, 4], metavar="N,N", help="check these as one netlist"
    )
    parser.add_argument(
        "--whole", type=_numbers, default=[], metavar="N,N", help="not only the array"
    )
    parser.add_argument("--cycles", type=Path, default=CYCLES, metavar="FILE", help="measured")
    parser.add_argument("--simulate", type=_numbers, default=[], metavar="N,N", help="measure")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    os.nice(19)
    if arguments.simulate:
        simulate(arguments.simulate, arguments.cycles)
    cycles, model = read_cycles(arguments.cycles), EnergyModel()
    before = load()
    rows = [
        measure(variant, n, cycles, model, whole=n in arguments.whole)
        for n in arguments.n
        for variant in VARIANTS
    ]
    rows.sort(key=lambda row: ([v.key for v in VARIANTS].index(row.variant), row.n))
    text, good = report(rows, arguments.flat, model, arguments.cycles)
    print(text)
    write_whole(arguments.out / "edgebert_area.md", text)
    found = [asdict(row) for row in rows]
    saved = {
        "command": command_line(),
        "family": FAMILY,
        "energy_sources": model.sources(USED),
        "load": [before, load()],
        "rows": found,
    }
    write_json(arguments.out / "edgebert_area.json", saved)
    draw(found, arguments.out)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
