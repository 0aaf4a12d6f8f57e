"""cocotb: every vector that goes through encoder, buffers and decoder comes back as it was."""

from __future__ import annotations

import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from rtl_benches import CodecBench, pack
from rtl_coverage import Coverage, mask_coverage
from scoreboard import Scoreboard

from shiftforge.sim.rtl.cocotb_run import bench_config

CONFIG = bench_config()
BITS = CONFIG.af_bits
SEEN: list[Coverage] = []  # of the vectors that came back, test by test
PATTERNS = ("random", "empty", "full", "single", "alternating", "zeros of both signs")


def vector(kind: str, index: int, rng: random.Random) -> list[int]:
    lanes = CONFIG.lanes
    values = [rng.randrange(1, 2 ** (BITS - 1)) | rng.getrandbits(1) << (BITS - 1)] * lanes
    values = [(v + i) % 2**BITS or 1 for i, v in enumerate(values)]
    if kind == "random":
        return [v if rng.random() < 0.5 else 0 for v in values]
    if kind == "empty":
        return [0] * lanes
    if kind == "single":
        return [v if i == index % lanes else 0 for i, v in enumerate(values)]
    if kind == "alternating":
        return [v if (i + index) % 2 else 0 for i, v in enumerate(values)]
    if kind == "zeros of both signs":
        return [rng.choice((0, 2 ** (BITS - 1), v)) for v in values]
    return values


@cocotb.test()
@cocotb.parametrize(
    kind=PATTERNS,
    traffic=[(0.0, 0.0), (0.4, 0.0), (0.0, 0.6), (0.3, 0.5)],
)
async def vectors_come_back(dut: object, kind: str, traffic: tuple[float, float]) -> None:
    idle, pressure = traffic
    bench = CodecBench(dut, seed=7)
    await bench.reset()
    rng = random.Random(f"{kind}{traffic}")
    writes, reads, jobs = Scoreboard("writes"), Scoreboard("vectors"), Scoreboard("jobs")
    tasks = [
        bench.toggle("write_ready_i", pressure),
        bench.toggle("out_ready_i", pressure),
        bench.watch(
            ["write_mask_addr_o", "write_mask_o"], "write_valid_o", "write_ready_i", writes
        ),
        bench.watch(
            ["out_tag_o", "out_nonzero_o", "out_data_o"], "out_valid_o", "out_ready_i", reads
        ),
        bench.watch(["done_tag_o"], "done_o", "done_o", jobs),
    ]
    running = [cocotb.start_soon(task) for task in tasks]

    runs = []
    for slot, base, count in ((0, 0, 30), (3, 40, 1), (1, 64, 50)):
        vectors = [vector(kind, i, rng) for i in range(count)]
        runs.append((slot, base, vectors))
        for index, values in enumerate(vectors):
            zero = 2 ** (BITS - 1)
            mask = pack([int(v % zero != 0) for v in values], 1)
            writes.expect(((base + index) % 256, mask))
        await bench.write(
            {"slot": slot, "base": base}, [pack(values, BITS) for values in vectors], idle
        )
    for _ in range(400):
        if writes.done:
            break
        await RisingEdge(dut.clk_i)  # type: ignore[attr-defined]
    writes.finish()

    # Each run twice and out of order: a job starts from its base whatever came before.
    for tag, which in enumerate((1, 0, 0, 2, 1, 2)):
        _, base, vectors = runs[which]
        for values in vectors:
            kept = [v if v % 2 ** (BITS - 1) else 0 for v in values]
            reads.expect((tag, int(any(kept)), pack(kept, 8)))
        jobs.expect((tag,))
        await bench.job(base, len(vectors), tag, idle)
    for _ in range(4000):
        if reads.done:
            break
        await RisingEdge(dut.clk_i)  # type: ignore[attr-defined]
    assert reads.finish() == 2 * 81
    assert jobs.finish() == 6
    if traffic == (0.0, 0.0):
        dut.count_slot_i.value = 1  # type: ignore[attr-defined]
        await RisingEdge(dut.clk_i)  # type: ignore[attr-defined]
        counts = [
            sum(1 for values in runs[2][2] if values[i] % 2 ** (BITS - 1))
            for i in range(CONFIG.lanes)
        ]
        await RisingEdge(dut.clk_i)  # type: ignore[attr-defined]
        assert int(dut.count_o.value) == pack(counts, 9)  # type: ignore[attr-defined]
    for task in running:
        task.cancel()
    sent = np.array([values for _, _, vectors in runs for values in vectors])
    SEEN.append(mask_coverage(sent, 2 ** (BITS - 1) - 1, "vector"))


@cocotb.test()
async def every_mask_pattern_came_back(dut: object) -> None:
    """The last test: coverage of those before."""
    found = sum(SEEN, Coverage({}))
    cocotb.log.info("\n%s", found.table())
    found.require()
