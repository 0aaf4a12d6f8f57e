"""Layer norm of the RTL against golden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sfu_ports
from numpy.typing import NDArray
from sfu_cases import SLOW, planted, same, used, vectors

from shiftforge.errors import CheckFailed
from shiftforge.generator.emit.rtl_sfu import render_sfu
from shiftforge.generator.plan.sfu import SfuConfig
from shiftforge.sim.golden.edgebert.afcode import AfFormat, af_to_fixed, fixed_to_af
from shiftforge.sim.golden.edgebert.layernorm import layer_norm, norm_constants
from shiftforge.sim.rtl.sfu import SfuModel, build_sfu, pack_lanes, unpack_lanes
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
CONFIGS = [
    CONFIG,
    pytest.param(SfuConfig(lanes=2, fraction=6, af_bits=5, exp_bits=2), marks=SLOW),
    pytest.param(SfuConfig(lanes=16, fraction=16), marks=SLOW),
    pytest.param(SfuConfig(lanes=32, fraction=12, norm_row=4096), marks=SLOW),
]
FAULTS = {
    "gamma and beta exchanged": (
        "sfu_layernorm.sv",
        ".rdata_o({beta, gamma})",
        ".rdata_o({gamma, beta})",
    ),
    "table one off": ("sfu_rom_rsqrt0.sv", "case (index_i)", "case (index_i + 5'd1)"),
    "parity of the exponent": ("sfu_layernorm.sv", "odd_q = p_q[0]", "odd_q = !p_q[0]"),
    "padding in the mean": ("sfu_layernorm.sv", "if (keep1_q[i]) part", "if (1'b1) part"),
    "padding in the squares": ("sfu_layernorm.sv", "keep_square[i] ? 32'(", "1'b1 ? 32'("),
    "epsilon unscaled": ("sfu_layernorm.sv", "{1'b0, block_q, 1'b0}), .value_o", "6'd0), .value_o"),
}
QUICK = ("gamma and beta exchanged",)
Rows = list[tuple[NDArray[np.int64], str]]


def norm_rows(config: SfuConfig, size: int, rng: np.random.Generator, most: int) -> Rows:
    """Random rows of many means and spreads, constant rows, outliers, and 32-bit extremes."""
    one, top = 1 << config.fraction, 2**31
    outlier = rng.integers(-3, 4, size)
    outlier[size // 2] = (1 << 19) - 1
    rows = [
        np.full(size, 0),
        np.full(size, -37),
        np.full(size, top - 1),
        np.where(np.arange(size) % 2 == 0, -top, top - 1),
        np.where(np.arange(size) == 0, 1, 0),
        np.where(np.arange(size) == size - 1, -top, 5),
        outlier,
    ]
    for _ in range(most):
        spread = float(rng.choice([2, 40, one, 12 * one, 100 * one]))
        rows.append(np.rint(rng.normal(0, spread, size) + rng.normal(0, 2 * spread)))
    return [(row.astype(np.int64), "fixed") for row in rows] + [
        (rng.integers(0, 1 << config.af_bits, size), "code") for _ in range(max(most // 2, 2))
    ]


def check_norm(
    config: SfuConfig, model: SfuModel, sizes: list[int], most: int, pause: int = 0
) -> None:
    rng = np.random.default_rng(21)
    fmt, n = AfFormat(config.af_bits, config.exp_bits), config.lanes
    words: list[dict[str, int]] = []
    want: list[NDArray[Any]] = []
    codes: list[NDArray[Any]] = []
    groups = [
        (size, epsilon, gamma_frac)
        for size in sizes
        for epsilon, gamma_frac in ((0.0, int(rng.integers(0, 16))), (1e-3, 12))
    ]
    for size, epsilon, gamma_frac in groups:
        # Up to what fits 32 bits.
        epsilon = min(epsilon, 2.0 ** (23 - 2 * config.fraction) / size)
        host = norm_constants(size, config.fraction, epsilon)
        gamma = rng.integers(-(1 << 15), 1 << 15, size)
        beta = rng.integers(-1000, 1000, size) << int(rng.choice([0, 5, 21]))
        if gamma_frac == 12:
            gamma = rng.integers(3000, 5000, size)
        for at, (g, b) in enumerate(zip(vectors(gamma, n, -1), vectors(beta, n, -1), strict=True)):
            words.append(
                {
                    "param_we": 1,
                    "param_addr": at,
                    "gamma": pack_lanes(g, 16),
                    "beta": pack_lanes(b, 32),
                }
            )
        setting = {
            "len": size,
            "recip": host.reciprocal,
            "len_bits": host.size_bits,
            "root": host.root,
            "root_shift": host.root_shift,
            "epsilon": host.epsilon,
            "gamma_frac": gamma_frac,
            "in_valid": 1,
        }
        # Parameters are written between rows: wait for the row under way.
        for row, kind in norm_rows(config, size, rng, most):
            in_bias, out_bias = int(rng.integers(-20, 14)), int(rng.choice([-10, -5, -4, -3]))
            x = af_to_fixed(row, in_bias, config.fraction, fmt) if kind == "code" else row
            y = layer_norm(x[None], gamma, beta, gamma_frac, host)[0]
            want.append(np.pad(y, (0, -size % n)))
            codes.append(
                np.pad(fixed_to_af(y, config.fraction, out_bias, fmt), (0, -size % n)).astype(int)
            )
            bits = config.af_bits if kind == "code" else 32
            for vector in vectors(row, n, 77 if kind == "fixed" else 1):
                words.append(
                    {
                        **setting,
                        "from_code": int(kind == "code"),
                        "in_bias": in_bias,
                        "out_bias": out_bias,
                        f"in_{'code' if kind == 'code' else 'data'}": pack_lanes(vector, bits),
                    }
                )
        words += [{} for _ in range(WAIT * (size // n + 20))]
    run = model.run(words, pause=pause)
    data = [unpack_lanes(r["out_data"], 32, n, signed=True) for r in run.outputs]
    same(np.array(data, dtype=np.int64).reshape(-1), np.concatenate(want))
    found = [unpack_lanes(r["out_code"], config.af_bits, n, signed=False) for r in run.outputs]
    same(np.array(found, dtype=np.int64).reshape(-1), np.concatenate(codes))
    assert sum(r["out_last"] for r in run.outputs) == len(want)


WAIT = 6  # cycles an element vector that the last row of a group takes at most, pauses included


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_lint(config: SfuConfig) -> None:
    lint(used(render_sfu(config), "sfu_layernorm"), "sfu_layernorm")


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_layer_norm(config: SfuConfig) -> None:
    model = build_sfu(config, sfu_ports.layernorm(config))
    check_norm(config, model, [2, 3, config.lanes, 33, 63, 64], 12)
    check_norm(config, model, [768, config.norm_row], 4)
    check_norm(config, model, [100], 6, pause=8)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=SLOW) for n in FAULTS])
def test_a_planted_fault_is_caught(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.layernorm(CONFIG), planted(FAULTS[name], CONFIG))
    with pytest.raises(CheckFailed, match="differ"):
        check_norm(CONFIG, model, [33, 64], 6)
