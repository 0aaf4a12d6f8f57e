"""Matrix products of random real-valued operands: the RTL against golden and OpenCL's kernels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.matmul import MatmulOptions, MatmulPlan, plan_matmul
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.quant.formats import adaptivfloat, shift
from shiftforge.quant.formats import encode as levels
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.sim.edgebert.operands import ProductOperands
from shiftforge.sim.edgebert.rtl.matmul import MatmulRun, build_matmul, run_matmul
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.mac import matmul_af, matmul_shift
from shiftforge.sim.golden.edgebert.post import (
    Activation,
    post_af,
    shift_amount_af,
    shift_amount_shift,
)
from shiftforge.sim.rtl.divergence import RtlDivergence, at_code, first_place, in_strips
from shiftforge.sim.rtl.trace import trace_kind
from shiftforge.sim.rtl.verilator import BuildError

__all__ = [
    "KINDS",
    "CosimReport",
    "Operands",
    "check_product",
    "cosim_matmul",
    "golden",
    "random_operands",
]

KINDS = ("dense", "sparse")
"""Operands of a run, in this order; sparse ones pass through ReLU at the end as well."""
FRACTION = 10
MEMORY_BITS = 18  # beats of the bench; larger products take as many as they need
MOST_MEMORY_BITS = 22
KERNEL_LIMIT_S = 3600.0
WEIGHT_DEVIATION = 0.05
KEPT_ACTIVATIONS, KEPT_WEIGHTS, ZERO_ROWS = 0.5, 0.4, 0.1


@dataclass(frozen=True, eq=False)
class Operands(ProductOperands):
    """Biases have FRACTION bits. out_bias: exponent bias of the result."""

    out_bias: int
    relu: bool


@dataclass(frozen=True)
class CosimReport:
    """The figures of all products of a run.

    n: lanes. buffers: bytes of A, B and C. opencl: the device whose kernels were compared, or None.
    vectors: compared result vectors of up to n codes; codes: those codes. mismatches: codes of the
    RTL, and of the kernels, that differ from golden. utilisation: ideal_cycles over cycles.
    cycles_per_second: simulated cycles a second of wall-clock, files included. opencl_seconds:
    wall-clock of the kernels. divergence: the first difference, as ``RtlDivergence.to_dict`` gives
    it; first: the same as text, empty where there is none. by_kind: mismatches of each product.
    """

    unit: str
    n: int
    weights: str
    terms: int
    accumulator: str
    buffers: tuple[int, int, int]
    shape: tuple[int, int, int]
    seed: int
    opencl: str | None
    vectors: int
    codes: int
    mismatches: int
    cycles: int
    ideal_cycles: int
    utilisation: float
    cycles_per_second: float
    opencl_seconds: float | None
    divergence: dict[str, Any] | None
    first: str
    by_kind: dict[str, int]


def random_operands(
    config: UnitConfig, m: int, k: int, n: int, kind: str, rng: np.random.Generator
) -> Operands:
    """Quantised operands of a layer-like product, kind one of KINDS.

    Activations are normal, with columns of different spread; sparse ones are rectified, thinned
    and hold rows of zeros. Weights are normal, sparse ones pruned. Formats follow the values.
    """
    fmt = adaptivfloat.AdaptivFloatFormat(config.af_bits, config.exp_bits)
    af = AfFormat(config.af_bits, config.exp_bits)
    x = rng.standard_normal((m, k)) * np.exp(0.5 * rng.standard_normal(k))
    w = rng.standard_normal((n, k)) * WEIGHT_DEVIATION
    offset = rng.standard_normal(n) * 0.1
    if kind == "sparse":
        x = np.maximum(x, 0) * (rng.random((m, k)) < KEPT_ACTIVATIONS)
        x[rng.random(m) < ZERO_ROWS] = 0
        w = w * (rng.random((n, k)) < KEPT_WEIGHTS)
    x_bias = adaptivfloat.choose_bias(x, fmt) if x.any() else 0
    a = adaptivfloat.encode(x, fmt, x_bias).astype(np.uint8)
    if config.weights == "af":
        w_bias = adaptivfloat.choose_bias(w, fmt) if w.any() else 0
        b = adaptivfloat.encode(w, fmt, w_bias).astype(np.uint8)
        amount = np.full(n, shift_amount_af(x_bias, w_bias, FRACTION, 0, af), dtype=np.int64)
    else:
        form = ShiftFormat(4, config.terms)
        z = levels.choose_exponent(w, levels.format_levels(form))
        first, second = shift.codes_from_ints(levels.encode(w, z, form), form)
        b = first if config.terms == 1 else (first | (second << 4)).astype(np.uint8)
        amount = shift_amount_shift(x_bias, z, FRACTION, af)
    real = x @ w.T + offset
    return Operands(
        a=a,
        b=b,
        shift=amount,
        bias=np.rint(np.ldexp(offset, FRACTION)).astype(np.int64),
        out_bias=adaptivfloat.choose_bias(real, fmt),
        relu=kind == "sparse",
    )


def golden(config: UnitConfig, given: Operands) -> NDArray[np.uint8]:
    """The codes (M, N) of the product by the integer reference."""
    fmt = AfFormat(config.af_bits, config.exp_bits)
    if config.weights == "af":
        acc = matmul_af(given.a, given.b.T, config.lanes, config.accumulator, fmt)
    else:
        acc = matmul_shift(given.a, given.b.T, config.terms, config.lanes, config.accumulator, fmt)
    activation: Activation = "relu" if given.relu else "none"
    return post_af(acc, given.shift, given.bias, activation, FRACTION, given.out_bias, fmt)


def _plan(config: UnitConfig, shape: tuple[int, int, int], given: Operands) -> MatmulPlan:
    return plan_matmul(config, shape, MatmulOptions(FRACTION, given.out_bias, given.relu))


def check_product(config: UnitConfig, shape: tuple[int, int, int]) -> None:
    """Raise InputError where a product (M, K, N) fits neither the unit nor the bench's memory."""
    beats = plan_matmul(config, shape).beats
    if beats > 1 << MOST_MEMORY_BITS:
        raise InputError(
            Problem(
                f"the product takes {beats:,} beats of external memory",
                f"choose a shape that takes at most {1 << MOST_MEMORY_BITS:,}",
                "shape",
            )
        )


def cosim_matmul(
    config: UnitConfig,
    shape: tuple[int, int, int],
    *,
    seed: int = 0,
    opencl: str | None = None,
    trace: Path | None = None,
    cache: Path | None = None,
) -> CosimReport:
    """Run one product (M, K, N) of each of KINDS on the RTL and compare every code.

    seed: of the operands, and of the values from which registers start. opencl: compare the kernels
    on this device as well. trace: the file (.vcd, .fst) that takes the trace, one a product, named
    after its kind. cache: folder of built simulations, by default that of ``build_model``. A
    difference is told in the report. Raises InputError for a product that does not fit, or without
    the tools; ToolFailed where the RTL cannot be built, CheckFailed where it does not finish.
    """
    check_product(config, shape)
    bits = max(MEMORY_BITS, (plan_matmul(config, shape).beats - 1).bit_length())
    form = None if trace is None else trace_kind(trace)
    try:
        program = build_matmul(config, memory_bits=bits, trace=form, cache=cache)
    except BuildError as error:
        raise BuildError(f"the RTL cannot be built: {error}") from error
    kernels = None if opencl is None else _Kernels(config, opencl)
    rng = np.random.default_rng(seed)
    codes = mismatches = cycles = ideal = 0
    by_kind: dict[str, int] = {}
    seconds = 0.0
    first: RtlDivergence | None = None
    told = ""
    for kind in KINDS:
        given = random_operands(config, *shape, kind, rng)
        plan = _plan(config, shape, given)
        file = None if trace is None else trace.with_stem(f"{trace.stem}-{kind}")
        run = run_matmul(program, plan, given, trace=file, strict=False, seed=seed)
        want = golden(config, given)
        sides = {"RTL": run.codes} | ({} if kernels is None else {"OpenCL": kernels.run(given)})
        counts = {side: _differing(found, want) for side, found in sides.items()}
        if run.malformed:
            counts["RTL"] = want.size
        if first is None and any(counts.values()):
            first = _located(kind, run, sides, want, config.lanes)
            # Cycles of writes are noted where they are asked for: once more, the same.
            again = run_matmul(program, plan, given, strict=False, times=True, seed=seed)
            first = _written_in(plan, first, again, want)
            wrong = " and ".join(f"{count:,} of {side}" for side, count in counts.items() if count)
            told = f"{first}; of {want.size:,} codes, {wrong} differ from golden"
        by_kind[kind] = sum(counts.values())
        mismatches += by_kind[kind]
        codes += want.size
        cycles += run.cycles
        ideal += run.ideal_cycles
        seconds += run.seconds
    m, _, n = shape
    return CosimReport(
        unit="matmul",
        n=config.lanes,
        weights=config.weights,
        terms=config.terms,
        accumulator=config.accumulator,
        buffers=config.buffers,
        shape=shape,
        seed=seed,
        opencl=opencl,
        vectors=len(KINDS) * m * -(-n // config.lanes),
        codes=codes,
        mismatches=mismatches,
        cycles=cycles,
        ideal_cycles=ideal,
        utilisation=ideal / cycles,
        cycles_per_second=cycles / seconds,
        opencl_seconds=None if kernels is None else kernels.seconds,
        divergence=None if first is None else first.to_dict(),
        first=told,
        by_kind=by_kind,
    )


class _Kernels:
    """The matrix unit's kernels on a device, in a process of their own: what a runtime's compiler
    has to say stays there. seconds: of their runs."""

    def __init__(self, config: UnitConfig, device: str) -> None:
        self.config, self.device, self.seconds = config, device, 0.0

    def run(self, given: Operands) -> NDArray[np.uint8]:
        """The codes (M, N) of a product."""
        from shiftforge.sim.edgebert.opencl.product import ProductOptions
        from shiftforge.sim.edgebert.opencl.run import run_product

        options = ProductOptions(given.relu, FRACTION, given.out_bias)
        done = run_product(self.config, self.device, given, options, time_limit_s=KERNEL_LIMIT_S)
        self.seconds += done.seconds
        codes: NDArray[np.uint8] = done.values.astype(np.uint8)
        return codes


def _differing(got: NDArray[np.uint8], want: NDArray[Any]) -> int:
    """How many codes differ; all of them where the shapes do."""
    return int(np.count_nonzero(got != want)) if got.shape == want.shape else int(want.size)


def _located(
    kind: str,
    run: MatmulRun,
    sides: dict[str, NDArray[np.uint8]],
    want: NDArray[Any],
    lanes: int,
) -> RtlDivergence:
    """The first difference in the order of computation."""
    wrong, stage = run.malformed, f"{kind} product"
    for side, found in sides.items():
        if found.shape != want.shape:
            wrong = wrong or f"{side} has the shape {found.shape}, expected {want.shape}"
    if wrong:
        return RtlDivergence.of_fault(stage, wrong, want.size, ("product", 0, run.cycles))
    different = np.logical_or.reduce([found != want for found in sides.values()])
    _, row, column = first_place(different[None], lanes)
    return RtlDivergence(
        stage,
        at=(("row", row), ("column", column)),
        got=int(sides["RTL"][row, column]),
        want=int(want[row, column]),
        differing=int(np.count_nonzero(different)),
        total=want.size,
        command="product",
        start=0,
        end=run.cycles,
        row_tile=row // lanes,
        column_tile=column // lanes,
        lane=column % lanes,
        opencl=int(sides["OpenCL"][row, column]) if "OpenCL" in sides else None,
    )


def _written_in(
    plan: MatmulPlan, found: RtlDivergence, again: MatmulRun, want: NDArray[Any]
) -> RtlDivergence:
    """The difference with its cycle, from a second run that noted its writes."""
    if again.written is None or again.image is None:
        return found
    if found.row is not None:
        return at_code(found, plan.c, again.image, again.written)
    return in_strips(found, plan.c, again.image, want.astype(np.uint8), again.written)
