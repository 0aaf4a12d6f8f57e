"""Tables, exponential, logarithm, GELU and element-wise sum of the RTL against golden."""

from __future__ import annotations

import numpy as np
import pytest
import sfu_ports
from sfu_cases import SLOW, planted, same, used

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.emit.rtl_sfu import render_sfu
from shiftforge.generator.plan import sfu as plan
from shiftforge.generator.plan.sfu import SfuConfig, sfu_tables
from shiftforge.sim.golden.edgebert import tables
from shiftforge.sim.golden.edgebert.add import add_af
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.gelu import gelu
from shiftforge.sim.golden.edgebert.softmax import log2_sum, power
from shiftforge.sim.rtl.sfu import SfuModel, build_sfu, pack_lanes, unpack_lanes
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
LONGEST_V = (32 << 15) * 3 // 2 + (9 << 15)
PROBE = {"sfu_exp2_probe.sv": sfu_ports.EXP2_PROBE}
GELU_FAULT = ("sfu_rom_gelu.sv", "case (index_i)", "case (index_i + 7'd1)")
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


def check_gelu(config: SfuConfig, model: SfuModel, step: int = 1) -> None:
    n, top = config.lanes, 2**31
    t = np.arange(-(1 << 15), 1 << 15, step, dtype=np.int64)
    edge = np.arange(-40, 41)
    far = [-top, -top + 1, top - 1, top - 2, *(s * (1 << k) for k in range(31) for s in (-1, 1))]
    cut = 4 << config.fraction
    t = np.concatenate([t, cut + edge, -cut - edge, np.array(far), edge])
    t = np.concatenate([t, np.random.default_rng(2).integers(-2 * cut, 2 * cut, 5000)])
    t = t[: len(t) // n * n]
    words = [{"valid": 1, "data": pack_lanes(x, 32)} for x in t.reshape(-1, n).tolist()]
    run = model.run(words, drain=20)
    assert run.cycles <= len(words) + 40
    got = [unpack_lanes(r["data"], 32, n, signed=True) for r in run.outputs]
    same(np.array(got, dtype=np.int64).reshape(-1), gelu(t, config.fraction))


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
    check_gelu(config, build_sfu(config, sfu_ports.gelu(config)))


def test_an_index_off_by_one_is_caught_in_gelu() -> None:
    model = build_sfu(CONFIG, sfu_ports.gelu(CONFIG), planted(GELU_FAULT, CONFIG))
    with pytest.raises(CheckFailed, match="differ"):
        check_gelu(CONFIG, model, 61)


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
    fmt, n = AfFormat(config.af_bits, config.exp_bits), config.lanes
    rng = np.random.default_rng(3)
    low, high = -36, 40  # what golden takes: at most 40 fraction bits
    codes = 1 << config.af_bits
    a, b = (x.reshape(-1, n) for x in np.divmod(np.arange(codes * codes), codes))
    sets = [(-10, -9, -9)] * len(a)
    more = rng.integers(0, codes, (2, 4000, n))
    for row in range(4000):
        bias_a = int(rng.integers(low, high + 1))
        bias_b = int(np.clip(bias_a + rng.integers(-16, 17), low, high))
        near = int(np.clip(max(bias_a, bias_b) + rng.integers(-9, 10), -64, 63))
        sets.append((bias_a, bias_b, near if row % 4 else int(rng.choice([-64, 63]))))
    a, b = np.concatenate([a, more[0]]), np.concatenate([b, more[1]])
    words = [
        {
            "valid": 1,
            "a": pack_lanes(x, fmt.bits),
            "b": pack_lanes(y, fmt.bits),
            "a_bias": s[0],
            "b_bias": s[1],
            "out_bias": s[2],
        }
        for x, y, s in zip(a.tolist(), b.tolist(), sets, strict=True)
    ]
    run = build_sfu(config, sfu_ports.add(config)).run(words, drain=20)
    got = [unpack_lanes(r["code"], fmt.bits, n, signed=False) for r in run.outputs]
    groups: dict[tuple[int, int, int], list[int]] = {}
    for row, biases in enumerate(sets):
        groups.setdefault(biases, []).append(row)
    want = np.zeros(a.shape, dtype=np.int64)
    for (bias_a, bias_b, bias_o), rows in groups.items():
        want[rows] = add_af(a[rows], bias_a, b[rows], bias_b, bias_o, fmt)
    same(np.array(got, dtype=np.int64), want)


def test_impossible_units_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        SfuConfig(lanes=3, exp_bits=4, fraction=5, row=1000)
    assert len(caught.value.problems) == 4
