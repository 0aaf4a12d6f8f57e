"""Operands for the matrix product tests, their expected results, and one call for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import unit_model
from numpy.typing import NDArray

from shiftforge.generator.edgebert.matmul import MatmulOptions, plan_matmul
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.operands import ProductOperands
from shiftforge.sim.edgebert.rtl.matmul import ExternalMemory, MatmulRun, build_matmul, run_matmul
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.mac import matmul_af, matmul_shift
from shiftforge.sim.golden.edgebert.post import Activation, post_af
from shiftforge.sim.rtl.checks import check_codes

MEMORY_BITS = 15


@dataclass(frozen=True, eq=False)
class Case(ProductOperands):
    """Codes and post-processing of one product."""

    frac: int = 6
    out_bias: int = -2
    relu: bool = False


def expected(config: UnitConfig, case: Case) -> NDArray[np.uint8]:
    """From the golden reference."""
    fmt = AfFormat(config.af_bits, config.exp_bits)
    lanes, mode = config.lanes, config.accumulator
    if config.weights == "af":
        acc = matmul_af(case.a, case.b.T, lanes, mode, fmt)
    else:
        acc = matmul_shift(case.a, case.b.T, config.terms, lanes, mode, fmt)
    activation: Activation = "relu" if case.relu else "none"
    return post_af(acc, case.shift, case.bias, activation, case.frac, case.out_bias, fmt)


def expected_apart(config: UnitConfig, case: Case) -> NDArray[np.uint8]:
    """From the second model, which shares nothing with the first (slow)."""
    bits, exp_bits = config.af_bits, config.exp_bits
    a = unit_model.integers(case.a, bits, exp_bits)
    if config.weights == "af":
        b = unit_model.integers(case.b, bits, exp_bits)
    else:
        b = unit_model.shift_integers(case.b, config.terms)
    acc = unit_model.accumulate(a, b, config.lanes, config.accumulator == "sat32")
    result = np.empty(acc.shape, dtype=np.uint8)
    for o in range(acc.shape[1]):
        values, where = np.unique(acc[:, o], return_inverse=True)
        codes = [
            unit_model.post(
                int(v),
                int(case.shift[o]),
                int(case.bias[o]),
                case.relu,
                case.frac,
                case.out_bias,
                bits,
                exp_bits,
            )
            for v in values
        ]
        result[:, o] = np.array(codes, dtype=np.uint8)[where]
    return result


def random_case(
    config: UnitConfig, m: int, k: int, n: int, seed: int, *, density: float = 0.6
) -> Case:
    """Codes of all kinds (0x80 among them), zero vectors, saturating rows and columns."""
    rng = np.random.default_rng(seed)

    def codes(rows: int, bits: int) -> NDArray[np.uint8]:
        full = rng.integers(0, 2**bits, (rows, k)) * (rng.random((rows, k)) < density)
        full[rng.random(rows) < 0.1] = 0
        full[rng.random((rows, k)) < 0.05] = 2 ** (bits - 1)
        return full.astype(np.uint8)

    case = Case(
        a=codes(m, config.af_bits),
        b=codes(n, config.weight_bits),
        shift=rng.integers(4, 18, n),
        bias=rng.integers(-3000, 3000, n),
        relu=bool(rng.integers(2)),
    )
    top = 2 ** (config.af_bits - 1) - 1
    case.a[-1], case.a[0] = top, 2 * top + 1
    case.b[-1] = top if config.weights == "af" else 2**config.weight_bits // 2 - 1
    case.shift[0], case.bias[0] = -40, 2**31 - 1
    case.shift[-1], case.bias[-1] = 20, 5
    if n > 2:
        case.shift[1], case.bias[1] = 63, -(2**31)
        case.shift[2], case.bias[2] = 0, -7
    return case


def tie_case(config: UnitConfig) -> Case:
    """Small activations against one, halved: every second result is a tie."""
    a = np.zeros((16, config.lanes), dtype=np.uint8)
    a[:, 0] = np.arange(16) + 1
    b = np.zeros((4, config.lanes), dtype=np.uint8)
    b[:, 0] = 1
    return Case(a, b, shift=np.array([1, 2, 3, 4]), bias=np.array([1, 3, 0, 0]), out_bias=-6)


def pair_case(config: UnitConfig, lane: int, seed: int) -> Case:
    """Each activation code against each weight code, alone in one lane."""
    rng = np.random.default_rng(seed)
    count = 2**config.weight_bits
    a = np.zeros((2**config.af_bits, config.lanes), dtype=np.uint8)
    b = np.zeros((count, config.lanes), dtype=np.uint8)
    a[:, lane] = np.arange(len(a))
    b[:, lane] = rng.permutation(count)
    return Case(
        a=a,
        b=b,
        shift=rng.integers(-3, 20, count),
        bias=np.where(rng.random(count) < 0.5, 0, rng.integers(-500, 500, count)),
        frac=int(rng.integers(0, 14)),
        out_bias=int(rng.integers(-9, 3)),
    )


def build(config: UnitConfig, faulty: Mapping[str, str] | None = None) -> Path:
    return build_matmul(config, memory_bits=MEMORY_BITS, replace=faulty)


def run_case(
    program: Path,
    config: UnitConfig,
    case: Case,
    *,
    memory: ExternalMemory | None = None,
    group: int | None = None,
    seed: int = 0,
) -> MatmulRun:
    """Run the product and compare every code; raises CheckFailed at a difference. seed: of the
    values from which registers start."""
    plan = plan_matmul(
        config,
        (*case.a.shape, case.b.shape[0]),
        MatmulOptions(case.frac, case.out_bias, case.relu, group),
    )
    run = run_matmul(program, plan, case, memory, seed=seed)
    compared = check_codes(run.codes, expected(config, case), config.lanes)
    assert compared == case.a.shape[0] * case.b.shape[0]
    return run


def small(lanes: int, **changes: object) -> UnitConfig:
    """Buffers of at least 256 vectors, so that few strips fit and slots are used again."""
    size = max(1024, 256 * lanes)
    buffers = {"a_buffer": size, "b_buffer": size, "c_buffer": size}
    return replace(UnitConfig(lanes=lanes), **buffers, **changes)  # type: ignore[arg-type]
