"""Matrix products of random real-valued operands: the RTL against golden and OpenCL's kernels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.generator.plan.matmul import MatmulPlan, plan_matmul
from shiftforge.generator.plan.unit import UnitConfig
from shiftforge.quant.formats import adaptivfloat, shift
from shiftforge.quant.formats import encode as levels
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.mac import matmul_af, matmul_shift
from shiftforge.sim.golden.edgebert.post import (
    Activation,
    post_af,
    shift_amount_af,
    shift_amount_shift,
)
from shiftforge.sim.rtl.checks import check_codes
from shiftforge.sim.rtl.matmul import build_matmul, run_matmul
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
WEIGHT_DEVIATION = 0.05
KEPT_ACTIVATIONS, KEPT_WEIGHTS, ZERO_ROWS = 0.5, 0.4, 0.1


@dataclass(frozen=True, eq=False)
class Operands:
    """Codes a (M, K), b (N, K); post-shift (N,); bias (N,) with FRACTION bits; result format."""

    a: NDArray[np.uint8]
    b: NDArray[np.uint8]
    shift: NDArray[np.int64]
    bias: NDArray[np.int64]
    out_bias: int
    relu: bool


@dataclass(frozen=True)
class CosimReport:
    """The figures of all products of a run.

    n: lanes. opencl: the device whose kernels were compared, or None. vectors: compared result
    vectors of up to n codes; codes: those codes. mismatches: codes of the RTL, and of the kernels,
    that differ from golden. utilisation: ideal_cycles over cycles. cycles_per_second: simulated
    cycles a second of wall-clock, files included. opencl_seconds: wall-clock of the kernels. first:
    the first difference, empty where there is none.
    """

    unit: str
    n: int
    weights: str
    terms: int
    accumulator: str
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
    first: str


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
    return plan_matmul(config, *shape, frac=FRACTION, out_bias=given.out_bias, relu=given.relu)


def check_product(config: UnitConfig, shape: tuple[int, int, int]) -> None:
    """Raise InputError where a product (M, K, N) fits neither the unit nor the bench's memory."""
    beats = plan_matmul(config, *shape).beats
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

    opencl: compare the kernels on this device as well. trace: the file (.vcd, .fst) that takes the
    trace, one a product, named after its kind. cache: folder of built simulations, by default that
    of ``build_model``. A difference is told in the report. Raises InputError for a product that
    does not fit, or without the tools; CheckFailed where the RTL cannot be built or does not
    finish.
    """
    check_product(config, shape)
    bits = max(MEMORY_BITS, (plan_matmul(config, *shape).beats - 1).bit_length())
    form = None if trace is None else trace_kind(trace)
    try:
        program = build_matmul(config, memory_bits=bits, trace=form, cache=cache)
    except BuildError as error:
        raise CheckFailed(f"the RTL cannot be built: {error}") from error
    kernels = None if opencl is None else _Kernels(config, opencl)
    rng = np.random.default_rng(seed)
    codes = mismatches = cycles = ideal = 0
    seconds, first = 0.0, ""
    for kind in KINDS:
        given = random_operands(config, *shape, kind, rng)
        plan = _plan(config, shape, given)
        file = None if trace is None else trace.with_stem(f"{trace.stem}-{kind}")
        run = run_matmul(program, plan, given.a, given.b, given.shift, given.bias, trace=file)
        want = golden(config, given)
        sides = {"RTL": run.codes} | ({} if kernels is None else {"OpenCL": kernels.run(given)})
        for side, found in sides.items():
            differ, told = _difference(found, want, config.lanes)
            first = first or (told and f"{kind} operands, {_apart(sides, want)}: {side}: {told}")
            mismatches += differ
        codes += want.size
        cycles, ideal, seconds = (
            cycles + run.cycles,
            ideal + run.ideal_cycles,
            seconds + run.seconds,
        )
    m, _, n = shape
    return CosimReport(
        unit="matmul",
        n=config.lanes,
        weights=config.weights,
        terms=config.terms,
        accumulator=config.accumulator,
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
        first=first,
    )


def _apart(sides: dict[str, NDArray[np.uint8]], want: NDArray[Any]) -> str:
    """Which results stand apart from the others."""
    wrong = [side for side, found in sides.items() if not np.array_equal(found, want)]
    if len(wrong) == 2 and np.array_equal(sides["RTL"], sides["OpenCL"]):
        return "golden differs from RTL and OpenCL"
    if len(wrong) == 2:
        return "all three differ"
    others = [name for name in ("golden", *sides) if name not in wrong]
    return f"{wrong[0]} differs from " + " and ".join(others)


class _Kernels:
    """The matrix unit's kernels on a device. seconds: of their runs."""

    def __init__(self, config: UnitConfig, device: str) -> None:
        from shiftforge.sim.opencl.edgebert import MatrixUnit

        self.unit, self.seconds = MatrixUnit(config, device), 0.0

    def run(self, given: Operands) -> NDArray[np.uint8]:
        """The codes (M, N) of a product."""
        done = self.unit.run(
            given.a,
            given.b,
            given.shift,
            given.bias,
            relu=given.relu,
            fraction=FRACTION,
            out_bias=given.out_bias,
        )
        self.seconds += done.seconds
        codes: NDArray[np.uint8] = done.values.astype(np.uint8)
        return codes


def _difference(got: NDArray[np.uint8], want: NDArray[Any], lanes: int) -> tuple[int, str]:
    """How many codes differ and where the first one is."""
    try:
        check_codes(got, want, lanes)
    except CheckFailed as error:
        same_shape = got.shape == want.shape
        return int(np.count_nonzero(got != want)) if same_shape else int(want.size), str(error)
    return 0, ""
