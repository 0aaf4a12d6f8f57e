"""cocotb: one column of the array against the contract, with and without idle cycles."""

from __future__ import annotations

import random

import cocotb
import numpy as np
import unit_model
from cocotb.triggers import RisingEdge
from column_cases import SETTLE, accumulators, directed, want, words
from rtl_benches import ColumnBench, pack
from rtl_coverage import Coverage, column_coverage
from scoreboard import Scoreboard

from shiftforge.sim.rtl.cocotb_run import bench_config

CONFIG = bench_config()
LANES, BITS, EXP_BITS = CONFIG.lanes, CONFIG.af_bits, CONFIG.exp_bits
SATURATING = CONFIG.accumulator == "sat32"


def dot(a: list[int], b: list[int]) -> int:
    left = unit_model.integers(np.array(a, dtype=np.uint8), BITS, EXP_BITS)
    codes = np.array(b, dtype=np.uint8)
    if CONFIG.weights == "af":
        return int(left @ unit_model.integers(codes, BITS, EXP_BITS))
    return int(left @ unit_model.shift_integers(codes, CONFIG.terms))


def pass_dot(a: list[int], b: list[int], number: int) -> int:
    """One mantissa-term pass: the bits of B's significands that belong to it."""
    low, total = number * CONFIG.terms, 0
    for x, y in zip(a, b, strict=True):
        sig, exponent = unit_model.af_parts(y, BITS, EXP_BITS)
        part = abs(sig) & ((2**CONFIG.terms - 1) << low)
        left = int(unit_model.integers(np.array(x, dtype=np.uint8), BITS, EXP_BITS))
        total += left * (-part if sig < 0 else part) * 2**exponent
    return total


@cocotb.test()
@cocotb.parametrize(
    idle=[0.0, 0.5],
    post=[(0, 0, False, 4, -3), (7, 1500, True, 10, -9), (-3, -20000, False, 0, 2)],
)
async def rows_equal_the_contract(
    dut: object, idle: float, post: tuple[int, int, bool, int, int]
) -> None:
    shift, bias, relu, frac, out_bias = post
    bench = ColumnBench(dut, seed=3)
    await bench.reset()
    await bench.configure(
        {
            "shift": shift & 0x7F,
            "bias": bias & 0xFFFFFFFF,
            "relu": int(relu),
            "frac": frac,
            "out_bias": out_bias & 0xFF,
        }
    )
    accs, codes = Scoreboard("accumulator"), Scoreboard("code")
    running = [
        cocotb.start_soon(bench.watch("acc_valid_o", "acc_o", accs)),
        cocotb.start_soon(bench.watch("code_valid_o", "code_o", codes)),
    ]
    rng = random.Random(f"{idle}{post}")
    for _ in range(12):
        totals = [0] * LANES
        steps = rng.randrange(1, 6)
        coded = CONFIG.takes_codes and rng.random() < 0.5
        passes = CONFIG.passes if coded else 1
        bits = BITS if coded else CONFIG.weight_bits
        for step in range(steps * passes):
            if step % passes == 0:
                b = [rng.randrange(2**bits) for _ in range(LANES)]
            for row in range(LANES):
                a = [rng.randrange(2**BITS) for _ in range(LANES)]
                nonzero = rng.random() < 0.8
                if nonzero:
                    totals[row] += pass_dot(a, b, step % passes) if coded else dot(a, b)
                if SATURATING:
                    totals[row] = unit_model.saturate(totals[row], *unit_model.INT32)
                last = step == steps * passes - 1
                if last:
                    accs.expect(totals[row] % 2**CONFIG.acc_bits)
                    codes.expect(
                        unit_model.post(
                            totals[row], shift, bias, relu, frac, out_bias, BITS, EXP_BITS
                        )
                    )
                await bench.send(
                    {
                        "a": pack(a, BITS),
                        "b": pack(b, CONFIG.b_bits),
                        "b_codes": int(coded),
                        "pass": step % passes,
                        "nonzero": int(nonzero),
                        "first": int(step == 0),
                        "last": int(last),
                        "row": row,
                    },
                    idle,
                )
    for _ in range(SETTLE):
        await RisingEdge(dut.clk_i)  # type: ignore[attr-defined]
    assert accs.finish() == codes.finish() == 12 * LANES
    for task in running:
        task.cancel()


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.3])
async def every_point_is_hit(dut: object, idle: float) -> None:
    """The directed streams: every accumulator, every code, and the coverage of what was sent."""
    found = Coverage({})
    for name, sums in directed(CONFIG).items():
        bench = ColumnBench(dut, seed=5)
        await bench.reset()
        post = {key: int(value) for key, value in vars(sums.post).items()}
        bits = {"shift": 7, "bias": 32, "out_bias": 8}
        await bench.configure({k: v % 2 ** bits.get(k, 32) for k, v in post.items()})
        accs, codes = Scoreboard(f"{name}: accumulator"), Scoreboard(f"{name}: code")
        running = [
            cocotb.start_soon(bench.watch("acc_valid_o", "acc_o", accs)),
            cocotb.start_soon(bench.watch("code_valid_o", "code_o", codes)),
        ]
        both = zip(accumulators(CONFIG, sums)[:, -1].tolist(), want(CONFIG, sums), strict=True)
        for number, (acc, code) in enumerate(both):
            accs.expect(acc % 2**CONFIG.acc_bits, f"sum {number}")
            codes.expect(int(code), f"sum {number}")
        for word in words(CONFIG, sums):
            if "valid" in word:
                sent = {k: v for k, v in word.items() if k not in post and k != "valid"}
                await bench.send({"b_codes": 0, "pass": 0, **sent}, idle)
        for _ in range(SETTLE):
            await RisingEdge(dut.clk_i)  # type: ignore[attr-defined]
        assert accs.finish() == codes.finish() == len(sums.a)
        for task in running:
            task.cancel()
        found += column_coverage(CONFIG, sums.a, sums.b, sums.post)
    cocotb.log.info("\n%s", found.table())
    found.require()
