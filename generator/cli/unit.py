"""``shiftforge unit``: a processing unit's RTL with random operands, held against the reference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from shiftforge.cli.buffers import BufferSize
from shiftforge.cli.command import CheckedCommand
from shiftforge.cli.cosim_results import Wanted
from shiftforge.cli.options import device_problems, json_option, overwrite_option
from shiftforge.cli.seeds import Seeds
from shiftforge.cli.unit_print import print_report
from shiftforge.cli.unit_seeds import (
    failures,
    print_seeds,
    run_seeds,
    seeds_json,
    shown_report,
    write_junit,
)
from shiftforge.errors import CheckFailed, InputError, Problem, Problems
from shiftforge.files import output_problems
from shiftforge.generator.edgebert.unit import PUBLISHED_BUFFER

if TYPE_CHECKING:
    from shiftforge.generator.edgebert.encoder import LayerShape
    from shiftforge.generator.edgebert.unit_design import UnitDesign
    from shiftforge.sim.edgebert.rtl.encoder_cosim import LayerReport
    from shiftforge.sim.edgebert.rtl.matmul_cosim import CosimReport

__all__ = ["UNITS", "Choice", "command", "simulate"]

UNITS = ("matmul", "layer")
"""What can be simulated by name."""
FORMS = {"matmul": "MxKxN", "layer": "LxHxHEADSxF"}
DEFAULT_SHAPES = {"matmul": "128x768x128", "layer": "128x768x12x3072"}
NO_DEVICE = "none"


def _early(**values: Any) -> list[Problem]:
    """Nothing here looks at tools or devices, which takes seconds."""
    values.pop("as_json")
    return _choice_problems(Choice(**values))[0]


@click.command(
    "unit",
    cls=CheckedCommand,
    early=_early,
    short_help="Simulate a unit's RTL by itself and compare it, bit for bit.",
)
@click.argument("unit", metavar="[NAME]", default=UNITS[0], required=False)
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
    "--multipliers",
    type=click.Choice(["logic", "blocks"]),
    default="logic",
    show_default=True,
    help="Of AF lanes: rows that are added, or products for a device's multiplier blocks.",
)
@click.option(
    "--buffer",
    type=BufferSize(),
    default=PUBLISHED_BUFFER,
    show_default="published",
    metavar="BYTES",
    help="Of each data buffer (A, B and C): published (131,072), small (65,536), or another size.",
)
@click.option(
    "--shape",
    metavar="SIZES",
    help="Product of (M, K) activations and (K, N) weights: MxKxN (128x768x128). Layer of L "
    "tokens, H columns, HEADS heads and F columns between its last products: LxHxHEADSxF "
    "(128x768x12x3072).",
)
@click.option(
    "--layers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Of a layer: how often it runs, one after the other, in one program.",
)
@click.option(
    "--seed",
    "--seeds",
    "seeds",
    type=Seeds(),
    default="0",
    show_default=True,
    metavar="SEEDS",
    help="Of operands, and of the values from which registers start: 7, 1..20 or 1,4,9..12, a run "
    "each.",
)
@click.option(
    "--opencl",
    "device",
    metavar="DEVICE",
    help="Compare the OpenCL kernels on this device too; none: leave them out. By default the "
    "first usable one of pocl, intel-cpu and intel-fpga-emu.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a trace of all signals (.vcd or .fst); one for each of the two products.",
)
@click.option(
    "--junit",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write JUnit XML: a case for every stage, a suite for every seed.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the generated SystemVerilog here.",
)
@overwrite_option
@json_option
def command(unit: str, as_json: bool, **values: Any) -> None:
    """Generate a unit in SystemVerilog, simulate it with Verilator, compare with the reference.

    NAME is matmul (two products of random real-valued operands, one dense and one sparse) or layer
    (one encoder layer with random weights and span masks, run by the unit itself from a program in
    its memory; every stage is compared). Built simulations are kept in
    $XDG_CACHE_HOME/shiftforge/rtl (~/.cache) and used again for equal text and tools. Exit code 1
    when any value differs; the first one is told by stage, tile, row and lane, and by the cycles in
    which it was computed.
    """
    simulate(Choice(unit, **values), as_json)


@dataclass(frozen=True)
class Choice:
    """The command's options, see its help."""

    unit: str
    lanes: int
    weights: Literal["af", "shift"]
    terms: int
    accumulator: Literal["sat32", "exact"]
    multipliers: Literal["logic", "blocks"]
    buffer: int
    shape: str | None
    layers: int
    seeds: tuple[int, ...]
    device: str | None
    trace: Path | None
    output: Path | None
    overwrite: bool
    junit: Path | None = None


def simulate(choice: Choice, as_json: bool) -> None:
    """Run what was chosen and print it. Raises InputError, CheckFailed and ToolFailed."""
    from shiftforge.cli.output import note, print_json
    from shiftforge.generator.edgebert.rtl import rtl_design
    from shiftforge.sim.edgebert.rtl.encoder_cosim import cosim_layer
    from shiftforge.sim.edgebert.rtl.matmul_cosim import cosim_matmul
    from shiftforge.sim.rtl.verilator import verilator_root

    # The arguments' problems first: it takes seconds to see what works.
    layers = choice.layers
    problems, size, design = _choice_problems(choice)
    problems.stop()
    problems.check(verilator_root)
    opencl = problems.check(_opencl_device, choice.device)
    problems.stop()
    assert design is not None and size is not None
    if choice.output is not None:
        rtl_design(design).write(choice.output, overwrite=choice.overwrite)
        note(f"SystemVerilog in {choice.output}")

    def ran(seed: int, trace: Path | None) -> CosimReport | LayerReport:
        if design.sfu is None:
            return cosim_matmul(
                design.config, _product(size), seed=seed, opencl=opencl, trace=trace
            )
        return cosim_layer(
            design, _layer(size), layers=layers, seed=seed, opencl=opencl, trace=trace
        )

    found = run_seeds(choice.seeds, choice.trace, ran)
    write_junit(choice.junit, choice.unit, found)
    report = shown_report(found)
    if report is not None and as_json:
        print_json(seeds_json(report, found))
    elif report is not None:
        print_report(report)
        print_seeds(found)
    told = failures(found)
    if told:
        raise CheckFailed("\n".join(told))


def _choice_problems(
    choice: Choice,
) -> tuple[Problems, tuple[int, ...] | None, UnitDesign | None]:
    """What is wrong with the choice itself; the sizes and the unit where they are good."""
    from shiftforge.generator.design import check_folder

    unit, problems = choice.unit, Problems()
    if choice.output is not None:
        problems.check(check_folder, choice.output)
    problems += [] if choice.trace is None else _trace_problems(choice.trace)
    problems += Wanted(junit=choice.junit).problems()
    if unit not in UNITS:
        problems.append(Problem(f"unknown unit {unit!r}", "choose one of: " + ", ".join(UNITS)))
    if unit == "matmul" and choice.layers != 1:
        problems.append(Problem("a product has no layers", "leave it out", "--layers"))
    if choice.device not in (None, NO_DEVICE):
        problems += device_problems([str(choice.device)])
    kind = unit if unit in UNITS else UNITS[0]
    shape = DEFAULT_SHAPES[kind] if choice.shape is None else choice.shape
    size = problems.check(_shape, shape, kind)
    return problems, size, problems.check(_design, choice, kind, size)


def _design(choice: Choice, kind: str, size: tuple[int, ...] | None) -> UnitDesign:
    """The unit, which has to suit the sizes where these are known. Raises InputError."""
    from shiftforge.generator.edgebert.sentence import choose_layer_unit
    from shiftforge.generator.edgebert.unit import UnitConfig
    from shiftforge.generator.edgebert.unit_design import UnitDesign
    from shiftforge.sim.edgebert.rtl.encoder_cosim import check_layer
    from shiftforge.sim.edgebert.rtl.matmul_cosim import check_product

    numbers: dict[str, Any] = {
        "weights": choice.weights, "terms": choice.terms, "accumulator": choice.accumulator,
        "multipliers": choice.multipliers,
        "a_buffer": choice.buffer, "b_buffer": choice.buffer, "c_buffer": choice.buffer,
    }  # fmt: skip
    if kind == "matmul" or size is None:
        config = UnitConfig(lanes=choice.lanes, **numbers)
        if kind == "matmul" and size is not None:
            check_product(config, _product(size))
        return UnitDesign(config)
    design = choose_layer_unit(choice.lanes, _layer(size), **numbers)
    check_layer(design, _layer(size), choice.layers)
    return design


def _opencl_device(asked: str | None) -> str | None:
    """The device to compare with, by default the first usable one, or None where there is none.

    Raises InputError where the one that was asked for is not usable.
    """
    from shiftforge.cli.devices import tell_skipped
    from shiftforge.cli.output import note
    from shiftforge.sim.opencl.probe import first_usable, require_device

    if asked == NO_DEVICE:
        return None
    if asked is not None:
        return require_device(asked).name
    device, skipped = first_usable()
    tell_skipped(skipped)
    if device is None:
        note("OpenCL is left out")
    return device


def _trace_problems(trace: Path) -> list[Problem]:
    from shiftforge.sim.rtl.trace import trace_kind

    problems = Problems()
    problems.check(trace_kind, trace)
    return [*problems, *output_problems(trace)]


def _shape(text: str, unit: str) -> tuple[int, ...]:
    """The sizes of "MxKxN" or "LxHxHEADSxF"; raises InputError."""
    parts = text.lower().split("x")
    good = all(re.fullmatch("[1-9][0-9]{0,6}", part) for part in parts)
    if len(parts) != FORMS[unit].count("x") + 1 or not good:
        remedy = f"write {FORMS[unit]}, such as {DEFAULT_SHAPES[unit]}"
        raise InputError(Problem(f"{text!r} is no shape", remedy, "--shape"))
    return tuple(map(int, parts))


def _product(size: tuple[int, ...]) -> tuple[int, int, int]:
    m, k, n = size
    return m, k, n


def _layer(size: tuple[int, ...]) -> LayerShape:
    from shiftforge.generator.edgebert.encoder import LayerShape

    return LayerShape(*size)
