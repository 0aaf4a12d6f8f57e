"""Tables, exponential, logarithm, GELU and element-wise sum of the RTL against golden."""

from __future__ import annotations

import numpy as np
import pytest
import sfu_ports
from sfu_cases import SLOW, planted, same, used
from sfu_checks import check_gelu, check_sum
from sfu_model import SfuModel, build_sfu
from sfu_streams import gelu_group, sum_group

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.edgebert import sfu as plan
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig, sfu_tables
from shiftforge.sim.golden.edgebert import tables
from shiftforge.sim.golden.edgebert.softmax import log2_sum, power
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
LONGEST_V = (32 << 15) * 3 // 2 + (9 << 15)
PROBE = {"sfu_exp2_probe.sv": sfu_ports.EXP2_PROBE}
GELU_FAULTS = {
    "sign": (
        "sfu_gelu.sv",
        "positive0_q <= data_i[i][31] ?",
        "positive0_q <= !data_i[i][31] ?",
    ),
    "table one off": ("sfu_rom_gelu.sv", "case (index_i)", "case (index_i + 7'd1)"),
}
ADD_FAULT = ("sfu_add.sv", "(apart[7] ? 8'(a_bias_i) : 8'(b_bias_i))", "8'(b_bias_i)")
EXP2_FAULT = ("sfu_rom_exp2.sv", "case (index_i)", "case (index_i + 5'd1)")


def test_tables_equal_those_of_golden() -> None:
    mine = {table.name: table.entries for table in sfu_tables()}
    even, odd = tables.rsqrt_tables()
    assert mine == {
        "exp2": tables.exp2_table(),
        "log2": tables.log2_table(),
        "rsqrt0": even,
        "rsqrt1": odd,
        "gelu": tables.gelu_table(),
    }
    assert (plan.LOG2E, plan.LN2) == (tables.LOG2E, tables.LN2) == (47274, 45426)
    assert all(-2048 <= step < 2048 for table in sfu_tables() for _, step in table.words)


@pytest.mark.parametrize("part", ["exp2", "log2", "gelu", "add"])
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        pytest.param(SfuConfig(lanes=16, fraction=16), marks=SLOW),
        pytest.param(SfuConfig(lanes=2, fraction=6, af_bits=4, exp_bits=2), marks=SLOW),
    ],
    ids=str,
)
def test_lint(part: str, config: SfuConfig) -> None:
    lint(used(render_sfu(config), f"sfu_{part}"), f"sfu_{part}")


def check_exp2(model: SfuModel, step: int) -> None:
    v = np.arange(0, LONGEST_V, step, dtype=np.int64)
    for part in np.array_split(v, -(-len(v) // 100000)):
        run = model.run([{"valid": 1, "v": int(x)} for x in part])
        same(np.array([r["exp"] for r in run.outputs], dtype=np.int64), power(part))


def test_exponential() -> None:
    check_exp2(build_sfu(CONFIG, sfu_ports.EXP2, PROBE), 37)


@SLOW
def test_every_exponential() -> None:
    check_exp2(build_sfu(CONFIG, sfu_ports.EXP2, PROBE), 1)


def test_an_index_off_by_one_is_caught_in_the_exponential() -> None:
    with pytest.raises(CheckFailed, match="differ"):
        check_exp2(build_sfu(CONFIG, sfu_ports.EXP2, {**PROBE, **planted(EXP2_FAULT, CONFIG)}), 997)


def test_logarithm() -> None:
    rng = np.random.default_rng(1)
    one = 1 << 22
    edges = [one << k for k in range(10)]
    total = np.concatenate(
        [
            np.array([e + d for e in edges for d in range(-64, 65)], dtype=np.int64),
            rng.integers(one, one * 512, 20000),
            (1 << rng.integers(22, 31, 9000)) + rng.integers(0, one, 9000),
        ]
    )
    total = np.clip(total, one, one * 512)
    run = build_sfu(CONFIG, sfu_ports.LOG2).run([{"valid": 1, "sum": int(x)} for x in total])
    same(np.array([r["log"] for r in run.outputs], dtype=np.int64), log2_sum(total))


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        pytest.param(SfuConfig(lanes=2, fraction=6), marks=SLOW),
        pytest.param(SfuConfig(lanes=16, fraction=16), marks=SLOW),
    ],
    ids=str,
)
def test_gelu_of_all_16_bit_values_at_one_vector_a_cycle(config: SfuConfig) -> None:
    check_gelu(config, build_sfu(config, sfu_ports.gelu(config)), gelu_group(config))


@pytest.mark.parametrize(
    "name", [n if n == "sign" else pytest.param(n, marks=SLOW) for n in GELU_FAULTS]
)
def test_a_planted_fault_is_caught_in_gelu(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.gelu(CONFIG), planted(GELU_FAULTS[name], CONFIG))
    with pytest.raises(CheckFailed, match=r"gelu: .* row \d+, vector 0, lane [0-3]: "):
        check_gelu(CONFIG, model, gelu_group(CONFIG, 61))


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        pytest.param(SfuConfig(lanes=8, af_bits=6, exp_bits=2), marks=SLOW),
        pytest.param(SfuConfig(lanes=2, af_bits=4, exp_bits=2), marks=SLOW),
    ],
    ids=str,
)
def test_sum_of_codes(config: SfuConfig) -> None:
    """All pairs of codes at one set of biases, then random codes at random and extreme biases."""
    model = build_sfu(config, sfu_ports.add(config))
    check_sum(config, model, sum_group(config, 1 << 16, 4000))


def test_a_planted_fault_is_caught_in_the_sum() -> None:
    model = build_sfu(CONFIG, sfu_ports.add(CONFIG), planted(ADD_FAULT, CONFIG))
    with pytest.raises(CheckFailed, match=r"add: .* row \d+, vector 0, lane [0-3]: "):
        check_sum(CONFIG, model, sum_group(CONFIG, 0, 200))


def test_impossible_units_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        SfuConfig(lanes=3, exp_bits=4, fraction=5, row=1000)
    assert len(caught.value.problems) == 4
