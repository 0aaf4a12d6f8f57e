"""``shiftforge cosim``: a processing unit's RTL in simulation, held against the reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.generator.cli.options import json_option

if TYPE_CHECKING:
    from shiftforge.sim.rtl.cosim import CosimReport

__all__ = ["UNITS", "command"]

UNITS = ("matmul",)
"""What can be simulated by name."""
_DEFAULT_SHAPE = "128x768x128"


@click.command("cosim", short_help="Simulate a unit's RTL and compare it, bit for bit.")
@click.option("--unit", default=UNITS[0], show_default=True, metavar="NAME", help="What to run.")
@click.option("--n", "lanes", type=int, default=16, show_default=True, help="Lanes of the unit.")
@click.option("--weights", type=click.Choice(["af", "shift"]), default="af", show_default=True)
@click.option(
    "--terms",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="Powers of two a shift weight.",
)
@click.option(
    "--accumulator",
    type=click.Choice(["sat32", "exact"]),
    default="sat32",
    show_default=True,
    help="32 bits, saturating, or as wide as the longest product needs.",
)
@click.option(
    "--shape",
    default=_DEFAULT_SHAPE,
    show_default=True,
    metavar="MxKxN",
    help="Product of (M, K) activations and (K, N) weights.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the generated SystemVerilog here.",
)
@json_option
def command(
    unit: str,
    lanes: int,
    weights: Literal["af", "shift"],
    terms: int,
    accumulator: Literal["sat32", "exact"],
    shape: str,
    seed: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Generate a unit in SystemVerilog, simulate it with Verilator, compare with the reference.

    Two products of random real-valued operands run, one dense and one sparse. Built simulations
    are kept in $XDG_CACHE_HOME/shiftforge/rtl (~/.cache) and used again for equal text and tools.
    Exit code 1 when any code differs; the first one is told by tile, row and lane.
    """
    from shiftforge.generator.cli.folder import output_folder_problems
    from shiftforge.generator.cli.output import note, print_json
    from shiftforge.generator.emit.rtl import rtl_design
    from shiftforge.generator.plan.unit import UnitConfig
    from shiftforge.sim.rtl.cosim import check_product, cosim_matmul
    from shiftforge.sim.rtl.verilator import verilator_root

    # Everything wrong with the arguments and the tools is told at once.
    problems = [] if output is None else output_folder_problems(output)
    if unit not in UNITS:
        problems.append(
            Problem(f"unknown unit {unit!r}", "choose one of: " + ", ".join(UNITS), "--unit")
        )
    size = config = None
    try:
        size = _shape(shape)
    except InputError as error:
        problems += error.problems
    try:
        config = UnitConfig(lanes=lanes, weights=weights, terms=terms, accumulator=accumulator)
        if size is not None:
            check_product(config, size)
    except InputError as error:
        problems += error.problems
    try:
        verilator_root()
    except InputError as error:
        problems += error.problems
    if problems or config is None or size is None:
        raise InputError(problems)

    if output is not None:
        rtl_design(config).write(output)
        note(f"SystemVerilog in {output}")
    report = cosim_matmul(config, size, seed=seed)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if report.mismatches:
        raise CheckFailed(f"RTL and golden: {report.first}")


def _shape(text: str) -> tuple[int, int, int]:
    """(M, K, N) of "MxKxN"; raises InputError."""
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(re.fullmatch("[1-9][0-9]{0,6}", part) for part in parts):
        raise InputError(
            Problem(f"{text!r} is no shape", f"write MxKxN, such as {_DEFAULT_SHAPE}", "--shape")
        )
    m, k, n = map(int, parts)
    return m, k, n


def _print(report: CosimReport) -> None:
    from shiftforge.generator.cli.output import print_table

    terms = f", {report.terms} term{'s' if report.terms > 1 else ''}"
    print_table(
        "",
        ("", "x".join(map(str, report.shape)) + ", dense and sparse"),
        [
            ("unit", report.unit),
            ("n", report.n),
            ("weights", report.weights + (terms if report.weights == "shift" else "")),
            ("accumulator", report.accumulator),
            ("vectors", f"{report.vectors:,} ({report.codes:,} codes)"),
            ("mismatches", f"{report.mismatches:,}"),
            ("cycles", f"{report.cycles:,}"),
            ("ideal_cycles", f"{report.ideal_cycles:,}"),
            ("utilisation", f"{report.utilisation:.1%}"),
            ("cycles_per_second", f"{report.cycles_per_second:,.0f} (simulated)"),
        ],
    )
