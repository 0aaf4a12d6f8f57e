"""cocotb: the decoders' repeated K-steps, parts and packed elements against plain lists."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from rtl_benches import CodecBench, pack
from scoreboard import Scoreboard

from shiftforge.sim.rtl.cocotb_run import bench_config

CONFIG = bench_config()
LANES = CONFIG.lanes
ROWS = 256
TRAFFIC = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.5), (0.3, 0.5)]
Vector = list[int]
# base, count: whole parts, a short last part, one K-step, a single part.
JOBS = ((0, 48), (64, 40), (128, 8), (144, 16), (168, 24))


def filled(part: int, pack_two: bool, bits: int, seed: str) -> tuple[list[Any], list[list[Vector]]]:
    """Buffer rows (mask, banks), and the vectors of each of ``JOBS`` laid out in them."""
    rng = random.Random(seed)
    masks = [0] * ROWS
    banks = [[rng.randrange(256) for _ in range(LANES)] for _ in range(ROWS)]
    runs = []
    for base, count in JOBS:
        density = rng.choice((0.2, 0.6, 1.0))
        run = [
            [rng.randrange(1, 2**bits) if rng.random() < density else 0 for _ in range(LANES)]
            for _ in range(count)
        ]
        runs.append(run)
        for start in range(0, count, part):
            used = [0] * LANES
            for index, vector in enumerate(run[start : start + part]):
                masks[base + start + index] = pack([int(v != 0) for v in vector], 1)
                for lane, value in enumerate(vector):
                    if value:
                        row, half = divmod(used[lane], 2) if pack_two else (used[lane], 0)
                        at = banks[base + start + row]
                        if pack_two:
                            at[lane] = at[lane] & ~(15 << 4 * half) | value << 4 * half
                        else:
                            at[lane] = value
                        used[lane] += 1
    return [(m, pack(b, 8)) for m, b in zip(masks, banks, strict=True)], runs


async def follow(bench: CodecBench, vectors: Scoreboard, jobs: Scoreboard, seen: list[int]) -> None:
    """Vectors in order; at each end of a job, how many vectors have gone out; when they went."""
    dut, cycle = bench.dut, 0
    while True:
        await ReadOnly()
        if dut.out_valid_o.value and dut.out_ready_i.value:
            names = ("out_tag_o", "out_nonzero_o", "out_data_o")
            vectors.observe(tuple(int(getattr(dut, name).value) for name in names))
            seen.append(cycle)
        if dut.done_o.value:
            jobs.observe((int(dut.done_tag_o.value), len(seen)))
        cycle += 1
        await RisingEdge(dut.clk_i)


async def deliver(
    bench: CodecBench,
    runs: Sequence[list[Vector]],
    order: Sequence[int],
    passes: int,
    traffic: tuple[float, float],
) -> None:
    """Ask for runs in an order; every vector has to come, as often as asked, and in place."""
    vectors, jobs, seen = Scoreboard("vectors"), Scoreboard("jobs"), list[int]()
    total = 0
    for tag, which in enumerate(order):
        for step in range(0, len(runs[which]), LANES):
            for vector in runs[which][step : step + LANES] * passes:
                vectors.expect((tag, int(any(vector)), pack(vector, 8)))
                total += 1
        jobs.expect((tag, total - 1))
    running = [
        cocotb.start_soon(bench.toggle("out_ready_i", traffic[1])),
        cocotb.start_soon(follow(bench, vectors, jobs, seen)),
    ]
    for tag, which in enumerate(order):
        await bench.job(*JOBS[which], tag, traffic[0])
    for _ in range(total * 8):
        if vectors.done:
            break
        await RisingEdge(bench.dut.clk_i)
    assert vectors.finish() == total
    assert jobs.finish() == len(order)
    if traffic == (0.0, 0.0):
        assert seen[-1] - seen[0] == total - 1  # a vector every cycle
    for task in running:
        task.cancel()
    await RisingEdge(bench.dut.clk_i)


@cocotb.test()
@cocotb.parametrize(traffic=TRAFFIC, part=[16, ROWS], passes=[1, 2, CONFIG.passes])
async def steps_repeat(dut: object, traffic: tuple[float, float], part: int, passes: int) -> None:
    bench = CodecBench(dut, seed=11)
    await bench.reset()
    rows, runs = filled(part, False, CONFIG.af_bits, f"{traffic}{part}")
    await bench.load(rows)
    await bench.configure({"job_passes": passes, "job_part": part})
    await deliver(bench, runs, (0, 1, 2, 3, 4, 2, 1), passes, traffic)


@cocotb.test()
@cocotb.parametrize(traffic=TRAFFIC, part=[16, ROWS], wide=[False, True])
async def second_operands_come(
    dut: object, traffic: tuple[float, float], part: int, wide: bool
) -> None:
    bench = CodecBench(dut, seed=12)
    await bench.reset()
    two = CONFIG.weight_pack == 2 and not wide
    bits = CONFIG.af_bits if wide else CONFIG.weight_bits
    rows, runs = filled(part, two, bits, f"{traffic}{part}{wide}")
    await bench.load(rows)
    # The second operand's decoder knows no passes, whatever the run has.
    await bench.configure({"job_passes": 3, "job_part": part, "wide": int(wide), "packed": 1})
    await deliver(bench, runs, (4, 3, 2, 1, 0, 0), 1, traffic)
