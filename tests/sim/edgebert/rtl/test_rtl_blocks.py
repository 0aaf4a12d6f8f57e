"""The blocks under cocotb: pytest chooses lanes and formats, cocotb the traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from column_cases import build_column, check_column, pairs
from matmul_cases import small
from rtl_coverage import ColumnPost
from scoreboard import Scoreboard

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl import render_unit
from shiftforge.sim.rtl.cocotb_run import build_bench, run_cocotb

HERE = [Path(__file__).parent]
SLOW = pytest.mark.slow


def run(bench: str, module: str, lanes: int, changes: dict[str, Any]) -> int:
    config = small(lanes, **changes)
    passed, _ = run_cocotb(build_bench(config, bench), config, module, HERE)
    return passed


@pytest.mark.parametrize("lanes", [4, *(pytest.param(n, marks=SLOW) for n in (2, 8, 16, 32))])
def test_codec(lanes: int) -> None:
    assert run("codec_bench", "cocotb_codec", lanes, {}) == 25


@pytest.mark.parametrize(
    ("lanes", "changes"),
    [
        (4, {}),
        pytest.param(2, {"weights": "shift"}, marks=SLOW),
        pytest.param(16, {"weights": "shift", "terms": 2}, marks=SLOW),
        pytest.param(32, {"accumulator": "exact"}, marks=SLOW),
        pytest.param(8, {"af_bits": 5, "exp_bits": 2, "accumulator": "exact"}, marks=SLOW),
    ],
)
def test_column(lanes: int, changes: dict[str, Any]) -> None:
    assert run("column_bench", "cocotb_column", lanes, changes) == 8


# Shifts to the left, none, and to the right; biases up to the ends; all of the codes' range.
SPREAD = (
    ColumnPost(0, 0, False, 8, -3),
    ColumnPost(-3, 77, False, 10, -1),
    ColumnPost(5, -1234, False, 2, -2),
    ColumnPost(9, 3, True, 4, -6),
    ColumnPost(16, 2**31 - 1, False, 12, 11),
    ColumnPost(1, -(2**31), True, 0, 20),
)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"multipliers": "blocks"}, marks=pytest.mark.slow),
        {"weights": "shift"},
        {"weights": "shift", "terms": 2},
    ],
    ids=str,
)
def test_every_pair_over_a_spread_of_post_processing(changes: dict[str, Any]) -> None:
    """All codes of an activation with all codes of a weight, from decoder to AF code."""
    config = small(2, **changes)
    model = build_column(config)
    count = 2 ** (config.af_bits + config.weight_bits)
    for number, post in enumerate(SPREAD):
        assert check_column(config, model, [pairs(config, number % 2, post)]) == count


@SLOW
def test_a_dropped_mask_bit_is_caught_by_the_codec_bench() -> None:
    config = small(4)
    text = render_unit(config)["pu_mask_encoder.sv"]
    faulty = text.replace("assign mask_o[i] =", "assign mask_o[i] = (i != 2) &&")
    assert faulty != text
    program = build_bench(config, "codec_bench", replace={"pu_mask_encoder.sv": faulty})
    with pytest.raises(CheckFailed, match="cocotb tests failed"):
        run_cocotb(program, config, "cocotb_codec", HERE)


def test_a_scoreboard_that_compares_nothing_fails() -> None:
    with pytest.raises(CheckFailed, match="nothing was compared"):
        Scoreboard("empty").finish()
    waiting = Scoreboard("waiting")
    waiting.expect(1)
    with pytest.raises(CheckFailed, match="never came"):
        waiting.finish()
    with pytest.raises(CheckFailed, match="expected 1"):
        waiting.observe(2)
    waiting.observe(1)
    with pytest.raises(CheckFailed, match="not expected"):
        waiting.observe(1)


def test_a_module_without_tests_fails(tmp_path: Path) -> None:
    (tmp_path / "cocotb_nothing.py").write_text("x = 1\n", encoding="utf-8")
    config = small(4)
    with pytest.raises(CheckFailed):
        run_cocotb(build_bench(config, "codec_bench"), config, "cocotb_nothing", [tmp_path])
