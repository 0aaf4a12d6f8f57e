"""Softmax with the span mask, and entropy, of the RTL against golden."""

from __future__ import annotations

import numpy as np
import pytest
import sfu_ports
from numpy.typing import NDArray
from sfu_cases import SLOW, planted, same, used, vectors

from shiftforge.errors import CheckFailed
from shiftforge.generator.emit.rtl_sfu import render_sfu
from shiftforge.generator.plan.sfu import SfuConfig
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.entropy import entropy, exits
from shiftforge.sim.golden.edgebert.softmax import softmax_af, span_rows, span_table
from shiftforge.sim.rtl.sfu import SfuModel, build_sfu, pack_lanes, unpack_lanes
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
CONFIGS = [
    CONFIG,
    pytest.param(SfuConfig(lanes=2, fraction=6, af_bits=5, exp_bits=2), marks=SLOW),
    pytest.param(SfuConfig(lanes=16, fraction=16), marks=SLOW),
    pytest.param(SfuConfig(lanes=32, fraction=12, row=128), marks=SLOW),
]
FAULTS = {
    "span mask one column off": (
        "sfu_softmax.sv",
        "$signed({1'b0, row_first}) - 10'(i)",
        "$signed({1'b0, row_first}) - 10'(i) - 10'sd1",
    ),
    "span mask without the absolute value": (
        "sfu_softmax.sv",
        "apart[9] ? -apart[8:0]",
        "apart[9] ? apart[8:0]",
    ),
    "padding in the sum": ("sfu_exprow.sv", "if (keep_o[i]) part", "if (1'b1) part"),
    "padding in the maximum": ("sfu_exprow.sv", "(keep[i] && $signed", "(1'b1 && $signed"),
    "logarithm left out": ("sfu_exprow.sv", "if (log_valid) offset_q <= log;", ""),
    "table one off": ("sfu_rom_exp2.sv", "case (index_i)", "case (index_i + 5'd1)"),
}
QUICK = ("span mask one column off",)


def score_rows(config: SfuConfig, seed: int, most: int) -> list[NDArray[np.int64]]:
    """Random rows of many lengths and spreads, and the extremes of 32 bits."""
    rng = np.random.default_rng(seed)
    top, n, one = 2**31, config.lanes, 1 << config.fraction
    rows = [
        np.array([7]),
        np.array([-top]),
        np.array([-top, top - 1]),
        np.full(config.row, -top),
        np.full(n + 1, top - 1),
        np.arange(config.row) * one // 8,
        -np.arange(n - 1 + n) * one * 3,
    ]
    for _ in range(most):
        length = int(rng.choice([rng.integers(1, config.row + 1), rng.integers(1, 3 * n)]))
        spread = one * float(rng.choice([0.01, 1, 4, 40]))
        rows.append((rng.normal(0, spread, length) + rng.normal(0, 40 * one)).astype(np.int64))
    return rows


def check_softmax(config: SfuConfig, model: SfuModel, most: int, pause: int) -> None:
    rng = np.random.default_rng(11)
    fmt, n = AfFormat(config.af_bits, config.exp_bits), config.lanes
    table = span_table(256 * 9 + 77, 17, config.row)
    words = [
        {"mask_we": 1, "mask_addr": x, "mask_data": int(value)} for x, value in enumerate(table)
    ]
    want: list[int] = []
    count = 0
    for row in score_rows(config, 5, most):
        query = int(rng.integers(0, len(row)))
        bias = int(rng.choice([-10, -8, -7, -20, 3]))
        mask = span_rows(table, query + 1, len(row))[query:]
        code = softmax_af(row[None], config.fraction, bias, mask, fmt)[0]
        want += np.pad(code, (0, -len(row) % n)).tolist()
        setting = {"len": len(row), "query": query, "out_bias": bias, "in_valid": 1}
        # Padding is no zero: it must not matter.
        for vector in vectors(row, n, 2**31 - 1):
            words.append({**setting, "in_data": pack_lanes(vector, 32)})
        count += len(vectors(row, n, 0))
    run = model.run(words, pause=pause)
    got = [unpack_lanes(r["out_code"], fmt.bits, n, signed=False) for r in run.outputs]
    same(np.array(got, dtype=np.int64).reshape(-1), np.array(want, dtype=np.int64))
    assert sum(r["out_last"] for r in run.outputs) == most + 7
    if pause == 0:
        assert run.cycles <= len(table) + 3 * count + 40 * (most + 7) + 4020


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_lint(config: SfuConfig) -> None:
    for top in ("sfu_softmax", "sfu_entropy"):
        lint(used(render_sfu(config), top), top)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_softmax(config: SfuConfig) -> None:
    model = build_sfu(config, sfu_ports.softmax(config))
    check_softmax(config, model, 60, 0)
    check_softmax(config, model, 30, 9)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=SLOW) for n in FAULTS])
def test_a_planted_fault_is_caught(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.softmax(CONFIG), planted(FAULTS[name], CONFIG))
    with pytest.raises(CheckFailed, match="differ"):
        check_softmax(CONFIG, model, 12, 0)


def check_entropy(config: SfuConfig, model: SfuModel) -> None:
    rng = np.random.default_rng(12)
    rows = score_rows(config, 6, 80)
    words, want, decided = [], [], []
    for number, row in enumerate(rows):
        value = int(entropy(row[None], config.fraction)[0])
        # Thresholds at the value and on both sides of it.
        threshold = max(value + number % 3 - 1, 0) if number % 4 else int(rng.integers(0, 1 << 32))
        want.append(value)
        decided.append(bool(exits(value, threshold)))
        setting = {"len": len(row), "threshold": threshold, "in_valid": 1}
        for vector in vectors(row, config.lanes, 2**31 - 1):
            words.append({**setting, "in_data": pack_lanes(vector, 32)})
    run = model.run(words)
    got = np.array([r["entropy"] for r in run.outputs], dtype=np.int64)
    same(got, np.array(want, dtype=np.int64))
    same(np.array([r["exit"] for r in run.outputs]), np.array(decided, dtype=np.int64))
    assert {True, False} == set(decided)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_entropy_and_exit(config: SfuConfig) -> None:
    check_entropy(config, build_sfu(config, sfu_ports.entropy(config)))


def test_a_strict_threshold_is_caught() -> None:
    fault = ("sfu_entropy.sv", "entropy <= threshold2_q", "entropy < threshold2_q")
    model = build_sfu(CONFIG, sfu_ports.entropy(CONFIG), planted(fault, CONFIG))
    with pytest.raises(CheckFailed, match="differ"):
        check_entropy(CONFIG, model)
