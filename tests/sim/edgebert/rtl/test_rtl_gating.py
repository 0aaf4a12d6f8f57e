"""A row of zeros costs no toggles: register bits of the columns are counted cycle by cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matmul_cases import small
from numpy.typing import NDArray
from toggles import TILE, Stage, build_probe, count_toggles, stages

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl import render_unit
from shiftforge.generator.edgebert.rtl_latency import array_latency
from shiftforge.generator.edgebert.unit import UnitConfig

SLOW = pytest.mark.slow
STEPS = 24
CONFIG = small(4)
# What the columns did before: zeros into the operand, through the lanes and into the sums.
FAULTS = {
    "zeros into the operand register": {
        "pu_array.sv": [("if (a_nonzero_i) a_code_q", "a_code_q")],
    },
    "zeros through the lanes": {
        "pu_array.sv": [("if (a_nonzero_i) a_code_q", "a_code_q")],
        "pu_vmac.sv": [("assign go = valid_i && nonzero_i;", "assign go = valid_i;")],
    },
    "zeros into every sum": {
        "pu_vmac.sv": [("go || (valid_i && needed_i)", "valid_i")],
    },
}


def operands(config: UnitConfig, gated: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(steps, n, n) each: random vectors, of A's some and of B's a few all zero."""
    n = config.lanes
    rng = np.random.default_rng(8)
    a = rng.integers(1, 2**config.af_bits, (STEPS, n, n))
    b = rng.integers(0, 2**config.weight_bits, (STEPS, n, n))
    a[rng.random((STEPS, n)) < gated] = 0
    b[rng.random((STEPS, n)) < 0.1] = 0
    return a.astype(np.uint8), b.astype(np.uint8)


def check_still(
    config: UnitConfig, counted: list[Stage], a: NDArray[np.uint8], found: NDArray[np.int64]
) -> int:
    """The number of gated cycles; raises CheckFailed where one moved a register."""
    steps, n, _ = a.shape
    gated = [(s, r) for s in range(steps) for r in range(n) if not a[s, r].any()]
    for number, stage in enumerate(counted):
        # The accumulators start from zero in a tile's first step, and are told in its last.
        kept = stage.name in ("sum", "accumulator")
        moved = [
            (s, r)
            for s, r in gated
            if not (kept and s in (0, steps - 1)) and found[(s + 1) * n + r + stage.after, number]
        ]
        if moved:
            raise CheckFailed(f"{stage.name}: {len(moved)} of {len(gated)} rows moved, {moved[0]}")
    return len(gated)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weights": "shift"},
        pytest.param({"weights": "shift", "terms": 2, "accumulator": "exact"}, marks=SLOW),
        pytest.param({"lanes": 8}, marks=SLOW),
    ],
    ids=str,
)
def test_a_row_of_zeros_moves_nothing(changes: dict[str, Any]) -> None:
    config = small(**{"lanes": 4, **changes})
    counted = [*stages(config), TILE]
    a, b = operands(config, 0.4)
    model = build_probe(config, counted)
    found = count_toggles(model, config, counted, a, b, array_latency(config.lanes))
    assert check_still(config, counted[:-1], a, found) > STEPS
    # Rows that are not zero do move, in every stage; the tile changes only between steps.
    assert (found[:, :-1].sum(axis=0) > STEPS).all()
    tile = np.flatnonzero(found[:, -1])
    assert len(tile) <= STEPS and len(set(tile % config.lanes)) == 1


@pytest.mark.parametrize("name", FAULTS)
def test_what_moved_before_is_found(name: str) -> None:
    text = render_unit(CONFIG)
    replace = {}
    for path, changes in FAULTS[name].items():
        replace[path] = text[path]
        for right, wrong in changes:
            assert text[path].count(right) == 1
            replace[path] = replace[path].replace(right, wrong)
    counted = stages(CONFIG)
    a, b = operands(CONFIG, 0.4)
    model = build_probe(CONFIG, counted, replace)
    found = count_toggles(model, CONFIG, counted, a, b, array_latency(CONFIG.lanes))
    with pytest.raises(CheckFailed, match="rows moved"):
        check_still(CONFIG, counted, a, found)
