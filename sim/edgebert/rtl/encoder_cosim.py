"""Random encoder layers on the processing unit: RTL, golden and OpenCL, every stage compared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.encoder import BIASED, LayerNumbers, LayerShape
from shiftforge.generator.edgebert.encoder_program import plan_layers
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.rtl.encoder_compare import StageCheck, compare_layer, written_in
from shiftforge.sim.edgebert.rtl.encoder_image import build_layer_image, numbers_of
from shiftforge.sim.edgebert.rtl.encoder_report import (
    CommandTotal,
    LayerFigures,
    LayerReport,
    by_layer,
    command_totals,
    joined,
)
from shiftforge.sim.edgebert.rtl.encoder_run import build_unit, run_image
from shiftforge.sim.edgebert.rtl.random_encoder import Case, random_layer, random_layers
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.bitmask import Codes
from shiftforge.sim.golden.edgebert.encoder import LayerWeights, Unit, encoder_layer
from shiftforge.sim.rtl.divergence import RtlDivergence
from shiftforge.sim.rtl.trace import trace_kind
from shiftforge.sim.rtl.verilator import BuildError

__all__ = [
    "CommandTotal",
    "LayerFigures",
    "LayerReport",
    "check_layer",
    "cosim_layer",
    "golden_unit",
    "random_case",
]

Stages: TypeAlias = dict[str, NDArray[Any]]

MEMORY_BITS = 16  # beats of the bench; larger layers take as many as they need
MOST_MEMORY_BITS = 24
MOST_LAYERS = 1000
KERNEL_LIMIT_S = 3600.0


def check_layer(design: UnitDesign, shape: LayerShape, layers: int = 1) -> None:
    """Raise InputError where the layers fit not the unit, or not the bench's memory."""
    if not 1 <= layers <= MOST_LAYERS:
        raise InputError(Problem(f"{layers:,} layers", f"give 1 to {MOST_LAYERS:,}", "layers"))
    one, two = (_beats(design, shape, count) for count in (1, 2))
    # Each layer after the first takes as much as the second: no need to plan a thousand to know.
    beats = one + (layers - 1) * (two - one)
    if beats > 1 << MOST_MEMORY_BITS:
        what = "the layer takes" if layers == 1 else f"{layers} layers take"
        raise InputError(
            Problem(
                f"{what} {beats:,} beats of external memory",
                f"choose a shape that takes at most {1 << MOST_MEMORY_BITS:,}",
                "shape",
            )
        )


def _beats(design: UnitDesign, shape: LayerShape, layers: int) -> int:
    """Beats of external memory that layers take. Raises InputError where the unit cannot run."""
    return plan_layers(design, shape, [LayerNumbers(dict.fromkeys(BIASED, 0))] * layers).beats


def random_case(config: UnitConfig, shape: LayerShape, seed: int, spans: bool) -> Case:
    """A layer in the unit's own formats."""
    kind: Codes = "af"
    if config.weights == "shift":
        kind = "shift1" if config.terms == 1 else "shift2"
    fmt = AfFormat(config.af_bits, config.exp_bits)
    return random_layer(
        shape.hidden, shape.heads, shape.ffn, shape.length, kind, spans, seed=seed, fmt=fmt
    )


def golden_unit(design: UnitDesign) -> Unit:
    """The unit's numbers for the reference."""
    config, sfu = design.config, design.functions
    return Unit(
        config.lanes,
        config.accumulator,
        sfu.fraction,
        AfFormat(config.af_bits, config.exp_bits),
        config.terms if config.weights == "shift" else 0,
    )


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What the RTL is compared with: the stages of each layer, and the seconds they took."""

    golden: list[Stages]
    kernels: tuple[Stages, ...] | None
    kernel_seconds: float | None
    wall: dict[str, float]


def _wanted(
    design: UnitDesign, device: str | None, x: NDArray[np.uint8],
    layers: Sequence[LayerWeights],
) -> _Wanted:  # fmt: skip
    unit, started = golden_unit(design), time.perf_counter()
    golden: list[Stages] = []
    codes = x
    for layer in layers:
        golden.append(encoder_layer(codes, layer, unit))
        codes = golden[-1]["norm2"]
    wall = {"golden": time.perf_counter() - started}
    if device is None:
        return _Wanted(golden, None, None, wall)
    from shiftforge.sim.edgebert.opencl.run import Limits, run_layers

    # In a child process: what a runtime's compiler has to say stays there.
    started = time.perf_counter()
    done = run_layers(design, device, x, layers, unit, limits=Limits(KERNEL_LIMIT_S))
    wall["opencl"] = time.perf_counter() - started
    return _Wanted(golden, done.stages, done.seconds, wall)


def cosim_layer(
    design: UnitDesign,
    shape: LayerShape,
    *,
    layers: int = 1,
    seed: int = 0,
    spans: bool = True,
    opencl: str | None = None,
    trace: Path | None = None,
    cache: Path | None = None,
) -> LayerReport:
    """Run a random layer on the RTL, ``layers`` times in one program, and compare every stage of
    every layer with golden.

    The layers share their weights and have exponent biases of their own, as ALBERT's. spans:
    attention heads have masks. opencl: compare the kernels on this device as well. trace: the file
    (.vcd, .fst) that takes the simulation's trace. cache: folder of built simulations, by default
    that of ``build_model``. Reference and kernels run beside the simulation. A difference is told
    in the report. Raises InputError for layers that do not fit, or without the tools; ToolFailed
    where the RTL cannot be built, CheckFailed where it does not finish.
    """
    check_layer(design, shape, layers)
    config = design.config
    wall: dict[str, float] = {}
    started = time.perf_counter()

    def took(part: str) -> None:
        nonlocal started
        wall[part] = time.perf_counter() - started
        started = time.perf_counter()

    case = random_case(config, shape, seed, spans)
    weights = random_layers(case, layers, AfFormat(config.af_bits, config.exp_bits))
    plan = plan_layers(design, shape, [numbers_of(layer) for layer in weights])
    image = build_layer_image(plan, case.layer, case.x)
    bits = max(MEMORY_BITS, (plan.beats - 1).bit_length())
    kind = None if trace is None else trace_kind(trace)
    took("prepare")
    # A thread is enough: it waits for a child, or is in numpy, while this one waits for its own.
    with ThreadPoolExecutor(1) as beside:
        task = beside.submit(_wanted, design, opencl, case.x, weights)
        try:
            program = build_unit(design, bits, trace=kind, cache=cache)
        except BuildError as error:
            raise BuildError(f"the RTL cannot be built: {error}") from error
        took("build")
        run = run_image(program, plan, image, trace=trace, seed=seed)
        took("simulate")
        want = task.result()
        took("wait")
    checks: list[list[StageCheck]] = []
    first: RtlDivergence | None = None
    for index, golden in enumerate(want.golden):
        kernels = None if want.kernels is None else want.kernels[index]
        own, found = compare_layer(plan, index, run.layers[index], run.commands, golden, kernels)
        checks.append(own)
        first = first or found
    if first is not None and first.layer is not None and not first.tapped:
        # Cycles of writes are noted where they are asked for: once more, the same.
        image = build_layer_image(plan, case.layer, case.x)
        again = run_image(program, plan, image, times=True, seed=seed)
        if again.written is not None:
            first = written_in(plan, first, image, again.written, want.golden[first.layer])
    took("compare")
    return LayerReport(
        unit="layer",
        n=config.lanes,
        weights=config.weights,
        terms=config.terms,
        accumulator=config.accumulator,
        buffers=config.buffers,
        shape=(shape.length, shape.hidden, shape.heads, shape.ffn),
        layers=layers,
        seed=seed,
        opencl=opencl,
        vectors=sum(check.vectors for own in checks for check in own),
        codes=sum(check.values for own in checks for check in own),
        mismatches=sum(check.mismatches for own in checks for check in own),
        cycles=run.cycles,
        ideal_cycles=plan.ideal_cycles,
        utilisation=plan.ideal_cycles / run.cycles,
        ratio=run.cycles / plan.ideal_cycles,
        cycles_per_second=run.cycles / run.seconds,
        seconds=run.seconds,
        reads=run.reads,
        writes=run.writes,
        by_layer=by_layer(plan, run, checks),
        stages=joined(checks),
        commands=command_totals(run),
        opencl_seconds=want.kernel_seconds,
        wall={**want.wall, **wall},
        divergence=None if first is None else first.to_dict(),
        first="" if first is None else str(first),
    )
