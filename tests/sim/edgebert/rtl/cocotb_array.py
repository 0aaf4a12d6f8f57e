"""cocotb: the array in passes and with plain weights against the golden reference."""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray
from rtl_benches import ArrayBench, pack
from scoreboard import Scoreboard

from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.mac import matmul_af, matmul_shift
from shiftforge.sim.rtl.cocotb_run import bench_config

CONFIG = bench_config()
LANES, BITS, WIDTH = CONFIG.lanes, CONFIG.af_bits, CONFIG.acc_bits
FORMAT = AfFormat(BITS, CONFIG.exp_bits)
Codes = NDArray[np.uint8]


def operands(tiles: int, steps: int, bits: int, seed: int) -> tuple[Codes, Codes]:
    """(tiles * n, K) and (n, K): towards the largest sum first, then both ways around it."""
    rng = np.random.default_rng(seed)
    depth, top = steps * LANES, 2 ** (BITS - 1)
    a = rng.integers(0, 2**BITS, (tiles * LANES, depth))
    b = rng.integers(0, 2**bits, (LANES, depth))
    a[rng.random(a.shape) < 0.2] = 0
    b[rng.random(b.shape) < 0.2] = 0
    rise = depth * 7 // 10
    a[:, :rise] = top - 1
    b[:, :rise] = 2**bits // 2 - 1
    a[1::2, :rise] |= top  # odd rows go to the least sum
    b[:, rise:] |= (top - 1) & ~15 if bits == BITS else 0
    a[:, rise:] |= (top - 1) & ~15
    a[:, depth // 2 : depth // 2 + LANES] = 0
    return a.astype(np.uint8), b.astype(np.uint8)


def vectors(codes: Codes, width: int, times: int) -> list[int]:
    """Of each row tile, K-step by K-step, its n rows ``times`` times."""
    found = []
    for tile in range(0, len(codes), LANES):
        for k in range(0, codes.shape[1], LANES):
            block = codes[tile : tile + LANES, k : k + LANES]
            found += [pack(row, width) for row in block.tolist()] * times
    return found


@cocotb.test()
@cocotb.parametrize(traffic=[(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.4, 0.4)], coded=[False, True])
async def rows_equal_golden(dut: object, traffic: tuple[float, float], coded: bool) -> None:
    tiles, steps = (2, 110) if traffic == (0.0, 0.0) else (3, 7)
    terms, mode = CONFIG.terms, CONFIG.accumulator
    times = CONFIG.passes if coded else 1
    a, b = operands(tiles, steps, BITS if coded else CONFIG.weight_bits, seed=5)
    if coded:
        acc = matmul_af(a, b.T, LANES, mode, FORMAT, terms)
        whole = matmul_af(a, b.T, LANES, mode, FORMAT)
        bound = np.abs(matmul_af(a, b.T, LANES, "exact", FORMAT)).max()
        if mode == "sat32" and bound > 2**31:
            # The rails are reached, and where a pass saturates the order of the passes shows.
            assert (np.abs(acc) > 2**30).any() and (acc != whole).any()
        else:
            assert np.array_equal(acc, whole)
    else:
        acc = matmul_shift(a, b.T, terms, LANES, mode, FORMAT)

    bench = ArrayBench(dut, seed=9)
    await bench.reset()
    await bench.configure({"k_tiles": steps, "passes": times, "b_codes": int(coded)})
    rows, fired = Scoreboard("rows"), [0, 0]
    per_tile = steps * times * LANES
    for row, values in enumerate(acc.tolist()):
        tile, place = divmod(row, LANES)
        tag = (tile + 1) * per_tile - LANES + place
        rows.expect((place, tag, pack([v % 2**WIDTH for v in values], WIDTH)))
    left = [
        cocotb.start_soon(bench.watch(rows, fired)),
        cocotb.start_soon(bench.stream("b", vectors(b, CONFIG.b_bits, 1) * tiles, traffic[1])),
    ]
    await bench.stream("a", vectors(a, BITS, times), traffic[0])
    for _ in range(16):
        await RisingEdge(dut.clk_i)  # type: ignore[attr-defined]
    assert rows.finish() == tiles * LANES
    assert fired[1] == tiles * per_tile
    if traffic == (0.0, 0.0):
        assert fired[0] == fired[1] - 1  # a row every cycle, in passes too
    for task in left:
        task.cancel()
