"""The matrix engine's other products: two activations, results transposed or in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matmul_cases import build, random_case, small
from numpy.typing import NDArray

from shiftforge.generator.edgebert.matmul import MatmulOptions, plan_matmul
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.rtl.matmul import ExternalMemory, run_matmul
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.mac import matmul_af, matmul_shift
from shiftforge.sim.golden.edgebert.post import post_af
from shiftforge.sim.rtl.checks import check_codes

UNITS: list[tuple[int, dict[str, Any]]] = [
    (4, {}),
    (4, {"weights": "shift"}),
    (2, {"weights": "shift", "terms": 2, "accumulator": "exact"}),
    (16, {"weights": "shift", "terms": 2}),
]
PRODUCTS: list[tuple[tuple[int, int, int], dict[str, Any]]] = [
    ((13, 20, 29), {"transpose": True}),
    ((4, 3, 4), {"transpose": True}),
    ((5, 20, 9), {"both_codes": True}),
    ((21, 60, 33), {"both_codes": True}),
    ((1, 1, 1), {"both_codes": True}),
    ((9, 20, 17), {"both_codes": True, "transpose": True}),
    ((13, 24, 96), {"parts": 3}),
    ((29, 40, 64), {"parts": 4, "group": 2}),
]


def run_product(
    config: UnitConfig, shape: tuple[int, int, int], seed: int, options: dict[str, Any]
) -> None:
    """Run on the RTL and compare every code."""
    case = random_case(config, *shape, seed)
    if options.get("both_codes"):
        rng = np.random.default_rng(seed)
        case.b[:] = rng.integers(0, 256, case.b.shape) * (rng.random(case.b.shape) < 0.6)
    common = {"frac": case.frac, "out_bias": case.out_bias, "relu": case.relu}
    plan = plan_matmul(config, shape, MatmulOptions(**common, **options))
    want = expected(config, case, bool(options.get("both_codes")))
    want = want.T if options.get("transpose") else want
    for memory in (ExternalMemory(), ExternalMemory((3, 7), 60)):
        run = run_matmul(build(config), plan, case, memory)
        assert check_codes(run.codes, want, config.lanes) == want.size
        assert run.busy == run.ideal_cycles


def expected(config: UnitConfig, case: Any, both_codes: bool) -> NDArray[np.uint8]:
    fmt = AfFormat(config.af_bits, config.exp_bits)
    mode = config.accumulator
    if both_codes or config.weights == "af":
        terms = config.terms if config.weights == "shift" else 0
        acc = matmul_af(case.a, case.b.T, config.lanes, mode, fmt, terms)
    else:
        acc = matmul_shift(case.a, case.b.T, config.terms, config.lanes, mode, fmt)
    activation: Any = "relu" if case.relu else "none"
    return post_af(acc, case.shift, case.bias, activation, case.frac, case.out_bias, fmt)


@pytest.mark.parametrize(("lanes", "changes"), UNITS[:1])
def test_products(lanes: int, changes: dict[str, Any]) -> None:
    for seed, (shape, options) in enumerate(PRODUCTS):
        run_product(small(lanes, **changes), shape, seed, options)


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "changes"), UNITS[1:])
def test_products_of_every_unit(lanes: int, changes: dict[str, Any]) -> None:
    for seed, (shape, options) in enumerate(PRODUCTS):
        if options.get("parts", 1) > 1 and lanes == 16:
            shape = (shape[0], shape[1], 16 * options["parts"])
        run_product(small(lanes, **changes), shape, seed, options)
