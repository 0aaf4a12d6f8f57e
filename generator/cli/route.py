"""``shiftforge route``: a block of the processing unit placed and routed, and its critical path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import click

from shiftforge.cli.buffers import BufferSize
from shiftforge.cli.command import CheckedCommand, FiniteRange
from shiftforge.cli.options import json_option
from shiftforge.errors import InputError, Problem, Problems

if TYPE_CHECKING:
    from shiftforge.generator.edgebert.blocks import Block
    from shiftforge.sim.rtl.route import Routing

__all__ = ["command"]

SEEDS = "1,2,3,4,5"
MOST_SEEDS = 32


def _early(**values: Any) -> list[Problem]:
    """The options alone; whether tools are there is seen later."""
    from shiftforge.generator.edgebert.blocks import block_problems

    problems = Problems(block_problems(_block(**values)))
    problems.check(_seeds, values["seeds"])
    return problems


def _block(
    block: str, lanes: int, weights: Literal["af", "shift"], terms: int, buffer: int | None,
    tile_buffer: int | None, **_: Any,
) -> Block:  # fmt: skip
    from shiftforge.generator.edgebert.blocks import Block

    sizes = {"buffer": buffer, "tile_buffer": tile_buffer}
    given = {name: size for name, size in sizes.items() if size is not None}
    return Block(block, lanes, weights, terms, **given)


def _seeds(text: str) -> list[int]:
    """The numbers of "1,2,3"; raises InputError."""
    parts = text.split(",")
    found = [int(part) for part in parts if re.fullmatch(r" *[0-9]{1,9} *", part)]
    if len(found) != len(parts) or len(set(found)) != len(found) or len(found) > MOST_SEEDS:
        remedy = f"write up to {MOST_SEEDS} different numbers, such as {SEEDS}"
        raise InputError(Problem(f"{text!r} is no list of seeds", remedy, "--seeds"))
    return found


@click.command(
    "route",
    cls=CheckedCommand,
    early=_early,
    short_help="Place and route a block of the processing unit: area, clock, critical path.",
)
@click.option(
    "--block",
    required=True,
    help="array, post (one lane), exprow, layernorm, function, matmul, unit, or a module's name.",
)
@click.option("--n", "lanes", type=int, default=4, show_default=True, help="Lanes of the unit.")
@click.option("--weights", type=click.Choice(["af", "shift"]), default="af", show_default=True)
@click.option(
    "--terms",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="Powers of two a shift weight.",
)
@click.option("--seeds", default=SEEDS, show_default=True, help="Of nextpnr; the median is told.")
@click.option(
    "--freq",
    type=FiniteRange(1, 1000),
    metavar="MHZ",
    help="The clock that is aimed at, in the SDC file.  [default: that of the project's, 150]",
)
@click.option(
    "--buffer",
    type=BufferSize(),
    metavar="BYTES",
    help="Of each data buffer of the unit: small (65,536), published (131,072), or another size.  "
    "[default: small]",
)
@click.option(
    "--tile-buffer",
    type=int,
    metavar="BYTES",
    help="Of the special functions' tile buffer.  [default: 32768]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Seeds at a time; nextpnr takes one processor and up to some GB each.",
)
@json_option
def command(seeds: str, freq: float | None, jobs: int, as_json: bool, **values: Any) -> None:
    """Place and route a block of the processing unit on a Lattice LFE5U-85, speed grade 6.

    Yosys (synth_ecp5) and nextpnr run out of context, the block between registers at every port,
    under the SDC file that a project has too. Printed are cells, the highest clock (median over the
    seeds) and the critical path of the median seed by the names of the RTL. A block that needs more
    than the part has is told with what it needs, and has no clock. Results are kept in
    $XDG_CACHE_HOME/shiftforge/route (~/.cache) and used again for equal text, options and tools.
    """
    from shiftforge.cli.output import print_json, progress
    from shiftforge.generator.edgebert.constraints import TARGET_MHZ
    from shiftforge.sim.rtl.route import route

    block, numbers = _block(**values), _seeds(seeds)
    done = 0
    with progress() as advance:

        def finished(seed: int) -> None:
            nonlocal done
            done += 1
            advance("seeds", done, len(numbers))

        routing = route(
            block.text(), block.top, TARGET_MHZ if freq is None else freq,
            seeds=numbers, jobs=jobs, finished=finished,
        )  # fmt: skip
    if as_json:
        print_json(report(block, routing))
    else:
        _print(block, routing)


def report(block: Block, routing: Routing) -> dict[str, Any]:
    """The result as JSON; ``fmax_mhz`` and ``critical_path`` are null where it does not fit."""
    from shiftforge.sim.rtl.nextpnr import PART, SPEED_GRADE
    from shiftforge.sim.rtl.route import tool_versions

    path = routing.path
    return {
        "block": block.name,
        "module": block.top,
        "n": block.lanes,
        "weights": block.weights,
        "terms": block.terms,
        "buffer": block.buffer,
        "tile_buffer": block.tile_buffer,
        "part": f"{PART}-{SPEED_GRADE}",
        "target_mhz": routing.target_mhz,
        "fits": not routing.too_many,
        **routing.used,
        "available": routing.available,
        "fmax_mhz": _rounded(routing.fmax_mhz),
        "fmax_by_seed": {seed: _rounded(mhz) for seed, mhz in routing.fmax_by_seed.items()},
        "critical_path": path and {"text": str(path), **vars(path)},
        "tools": tool_versions(),
        "digest": routing.digest,
    }


def _rounded(mhz: float | None) -> float | None:
    return None if mhz is None else round(mhz, 2)


def _print(block: Block, routing: Routing) -> None:
    from shiftforge.cli.output import print_table, print_text
    from shiftforge.sim.rtl.nextpnr import PART, SPEED_GRADE

    weights = block.weights + (f"-{block.terms}" if block.weights == "shift" else "")
    rows = [("module", block.top), ("weights", weights)]
    names = {"lut4": "LUT4", "carry": "carry LUTs", "comb": "LUT cells in all", "ff": "flip-flops"}
    names |= {"dsp": "MULT18X18D", "ram": "DP16KD"}
    for kind, name in names.items():
        available = f" of {routing.available[kind]:,}" if kind not in ("lut4", "carry") else ""
        rows.append((name, f"{routing.used[kind]:,}{available}"))
    if routing.fmax_mhz is None:
        every = ", ".join(f"{names[kind]} {text}" for kind, text in routing.too_many.items())
        rows.append(("Fmax", f"does not fit: {every}"))
    else:
        clocks = ", ".join(f"{mhz:.1f}" for mhz in routing.fmax_by_seed.values())
        rows.append(("Fmax", f"{routing.fmax_mhz:.1f} MHz (seeds: {clocks})"))
    title = f"{PART}-{SPEED_GRADE}, {routing.target_mhz:g} MHz"
    print_table("", (f"{block.name}, n = {block.lanes}", title), rows)
    path = routing.path
    if path is None:
        return
    steps = [
        (step.at, step.source, f"{step.logic_ns:.2f}", f"{step.routing_ns:.2f}")
        for step in path.steps
    ]
    print_table("Critical path", ("At", "source", "logic, ns", "routing, ns"), steps)
    total = path.logic_ns + path.routing_ns
    print_text(
        f"{path.begin} → {path.end}: {total:.2f} ns, {path.logic_ns:.2f} in logic, "
        f"{path.routing_ns:.2f} in routing, {path.levels} levels"
    )
