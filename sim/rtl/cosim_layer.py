"""A random encoder layer on the processing unit: RTL, golden and OpenCL, every stage compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.generator.plan.layer import BIASED, LayerNumbers, LayerShape
from shiftforge.generator.plan.layer_program import plan_layer, tiles_needed
from shiftforge.generator.plan.sfu import SfuConfig
from shiftforge.generator.plan.unit import UnitConfig
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.bitmask import Codes
from shiftforge.sim.golden.edgebert.encoder import Unit, encoder_layer
from shiftforge.sim.rtl.layer import CommandRun, UnitRun, build_unit, run_image
from shiftforge.sim.rtl.layer_compare import StageCheck, compare_layer, written_in
from shiftforge.sim.rtl.layer_image import build_layer_image, numbers_of
from shiftforge.sim.rtl.random_layer import FRACTION, Case, random_layer
from shiftforge.sim.rtl.trace import trace_kind
from shiftforge.sim.rtl.verilator import BuildError

__all__ = [
    "CommandTotal",
    "LayerReport",
    "check_layer",
    "cosim_layer",
    "golden_unit",
    "layer_units",
    "random_case",
]

MEMORY_BITS = 16  # beats of the bench; larger layers take as many as they need
MOST_MEMORY_BITS = 24
KERNEL_LIMIT_S = 3600.0
LEAST_TILES = 256
MOST_TILES = 4096


@dataclass(frozen=True)
class CommandTotal:
    """The commands of one name, those of all heads together.

    cycles: from the fetch of each to its end. ideal_cycles: of their products. busy: cycles in
    which the array worked; gated: those with a zero row of A; wait_a, wait_b: cycles without a row
    of A, without an operand tile of B.
    """

    name: str
    commands: int
    cycles: int
    ideal_cycles: int
    busy: int
    gated: int
    wait_a: int
    wait_b: int


@dataclass(frozen=True)
class LayerReport:
    """The figures of a layer.

    shape: length, hidden, heads, ffn. opencl: the device whose kernels were compared, or None.
    vectors: compared vectors of up to n values; codes: those values. mismatches: values of the RTL,
    and of the kernels, that differ from golden. ideal_cycles: of all products; utilisation:
    ideal_cycles over cycles. cycles_per_second: simulated cycles a second of wall-clock, files
    included. opencl_seconds: wall-clock of the kernels. divergence: the first difference,
    the fields of ``Divergence``; first: the same as text, empty where there is none.
    """

    unit: str
    n: int
    weights: str
    terms: int
    accumulator: str
    shape: tuple[int, int, int, int]
    seed: int
    opencl: str | None
    vectors: int
    codes: int
    mismatches: int
    cycles: int
    ideal_cycles: int
    utilisation: float
    cycles_per_second: float
    seconds: float
    reads: int
    writes: int
    stages: tuple[StageCheck, ...]
    commands: tuple[CommandTotal, ...]
    opencl_seconds: float | None
    divergence: dict[str, Any] | None
    first: str


def layer_units(lanes: int, shape: LayerShape, **changes: Any) -> tuple[UnitConfig, SfuConfig]:
    """A unit with room for the descriptors of a layer, and its special function unit.

    changes: fields of UnitConfig. Raises InputError.
    """
    most = LEAST_TILES
    while lanes > 0 and min(asdict(shape).values()) > 0 and most < MOST_TILES:
        if tiles_needed(lanes, shape) <= most:
            break
        most *= 2
    config = UnitConfig(lanes=lanes, max_tiles=most, **changes)
    sfu = SfuConfig(
        lanes=lanes, af_bits=config.af_bits, exp_bits=config.exp_bits, fraction=FRACTION
    )
    return config, sfu


def check_layer(config: UnitConfig, sfu: SfuConfig, shape: LayerShape) -> None:
    """Raise InputError where a layer fits neither the unit nor the bench's memory."""
    plan = plan_layer(config, sfu, shape, LayerNumbers(dict.fromkeys(BIASED, 0)))
    if plan.beats > 1 << MOST_MEMORY_BITS:
        raise InputError(
            Problem(
                f"the layer takes {plan.beats:,} beats of external memory",
                f"choose a shape that takes at most {1 << MOST_MEMORY_BITS:,}",
                "shape",
            )
        )


def random_case(config: UnitConfig, shape: LayerShape, seed: int, spans: bool) -> Case:
    """A layer in the unit's own formats."""
    kind: Codes = "af"
    if config.weights == "shift":
        kind = "shift1" if config.terms == 1 else "shift2"
    fmt = AfFormat(config.af_bits, config.exp_bits)
    return random_layer(
        shape.hidden, shape.heads, shape.ffn, shape.length, kind, spans, seed=seed, fmt=fmt
    )


def golden_unit(config: UnitConfig, sfu: SfuConfig) -> Unit:
    """The unit's numbers for the reference."""
    return Unit(
        config.lanes,
        config.accumulator,
        sfu.fraction,
        AfFormat(config.af_bits, config.exp_bits),
        config.terms if config.weights == "shift" else 0,
    )


def _total(name: str, runs: list[CommandRun]) -> CommandTotal:
    return CommandTotal(
        name,
        len(runs),
        cycles=sum(r.cycles for r in runs),
        ideal_cycles=sum(r.command.ideal_cycles for r in runs),
        busy=sum(r.busy for r in runs),
        gated=sum(r.gated for r in runs),
        wait_a=sum(r.wait_a for r in runs),
        wait_b=sum(r.wait_b for r in runs),
    )


def _totals(run: UnitRun) -> tuple[CommandTotal, ...]:
    """In the order in which the names come first."""
    names = dict.fromkeys(r.command.name for r in run.commands)
    return tuple(_total(n, [r for r in run.commands if r.command.name == n]) for n in names)


def _kernels(
    config: UnitConfig, sfu: SfuConfig, device: str, case: Case, unit: Unit
) -> tuple[dict[str, Any], float]:
    from shiftforge.sim.opencl.edgebert_run import run_layer

    # In a child process: what a runtime's compiler has to say stays there.
    done = run_layer(config, sfu, device, case.x, case.layer, unit, time_limit_s=KERNEL_LIMIT_S)
    return done.stages, done.seconds


def cosim_layer(
    config: UnitConfig,
    sfu: SfuConfig,
    shape: LayerShape,
    *,
    seed: int = 0,
    spans: bool = True,
    opencl: str | None = None,
    trace: Path | None = None,
    cache: Path | None = None,
) -> LayerReport:
    """Run one random layer on the RTL and compare every stage with golden.

    spans: attention heads have masks. opencl: compare the kernels on this device as well. trace:
    the file (.vcd, .fst) that takes the simulation's trace. cache: folder of built simulations, by
    default that of ``build_model``. A difference is told in the report. Raises InputError for a
    layer that does not fit, or without the tools; CheckFailed where the RTL cannot be built or
    does not finish.
    """
    check_layer(config, sfu, shape)
    case = random_case(config, shape, seed, spans)
    plan = plan_layer(config, sfu, shape, numbers_of(case.layer))
    image = build_layer_image(plan, case.layer, case.x)
    bits = max(MEMORY_BITS, (plan.beats - 1).bit_length())
    kind = None if trace is None else trace_kind(trace)
    try:
        program = build_unit(config, sfu, bits, trace=kind, cache=cache)
    except BuildError as error:
        raise CheckFailed(f"the RTL cannot be built: {error}") from error
    unit = golden_unit(config, sfu)
    kernels, kernel_seconds = None, None
    if opencl is not None:
        kernels, kernel_seconds = _kernels(config, sfu, opencl, case, unit)
    golden = encoder_layer(case.x, case.layer, unit)
    run = run_image(program, plan, image, trace=trace)
    checks, first = compare_layer(plan, 0, run.layers[0], run.commands, golden, kernels)
    if first is not None and not first.tapped:
        # Cycles of writes are noted where they are asked for: once more, the same.
        image = build_layer_image(plan, case.layer, case.x)
        again = run_image(program, plan, image, times=True)
        if again.written is not None:
            first = written_in(plan, first, image, again.written, golden)
    return LayerReport(
        unit="layer",
        n=config.lanes,
        weights=config.weights,
        terms=config.terms,
        accumulator=config.accumulator,
        shape=(shape.length, shape.hidden, shape.heads, shape.ffn),
        seed=seed,
        opencl=opencl,
        vectors=sum(check.vectors for check in checks),
        codes=sum(check.values for check in checks),
        mismatches=sum(check.mismatches for check in checks),
        cycles=run.cycles,
        ideal_cycles=plan.ideal_cycles,
        utilisation=plan.ideal_cycles / run.cycles,
        cycles_per_second=run.cycles / run.seconds,
        seconds=run.seconds,
        reads=run.reads,
        writes=run.writes,
        stages=tuple(checks),
        commands=_totals(run),
        opencl_seconds=kernel_seconds,
        divergence=None if first is None else asdict(first),
        first="" if first is None else str(first),
    )
