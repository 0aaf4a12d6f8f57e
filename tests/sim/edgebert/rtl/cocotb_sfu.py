"""cocotb: the blocks of the special function unit, with idle cycles and back-pressure."""

from __future__ import annotations

from collections.abc import Sequence

import cocotb
from sfu_benches import (
    AddBench,
    DvfsBench,
    EntropyBench,
    GeluBench,
    LayerNormBench,
    SfuBench,
    SoftmaxBench,
)
from sfu_streams import (
    Group,
    dvfs_groups,
    entropy_group,
    gelu_group,
    norm_groups,
    softmax_group,
    sum_group,
)

from shiftforge.sim.rtl.cocotb_run import sfu_bench_config

CONFIG = sfu_bench_config()
IDLE = [0.0, 0.5]
PRESSURE = [0.0, 0.6]


async def compare(
    bench: SfuBench, groups: Sequence[Group], idle: float, pressure: float = 0.0
) -> None:
    """Every result of the groups, in order, and nothing else."""
    await bench.reset()
    running = [cocotb.start_soon(bench.watch())]
    if bench.PRESSED:
        running.append(cocotb.start_soon(bench.press(pressure)))
    count = 0
    for group in groups:
        await bench.write(group.writes)
        for number, row in enumerate(group.rows):
            for vector, want in enumerate(row.want):
                last = (int(vector == len(row.want) - 1),) if bench.parts()[-1] == "last" else ()
                bench.board.expect(want + last, f"row {number}, vector {vector}")
            count += len(row.want)
            await bench.row(row.beats, idle)
        await bench.settle()
    assert bench.board.finish() == count
    for task in running:
        task.cancel()


@cocotb.test()
@cocotb.parametrize(idle=IDLE, pressure=PRESSURE)
async def softmax(dut: object, idle: float, pressure: float) -> None:
    await compare(SoftmaxBench(dut, CONFIG, 1), [softmax_group(CONFIG, 8)], idle, pressure)


@cocotb.test()
@cocotb.parametrize(idle=IDLE, pressure=PRESSURE)
async def layer_norm(dut: object, idle: float, pressure: float) -> None:
    groups = norm_groups(CONFIG, [2, 33], 2)
    await compare(LayerNormBench(dut, CONFIG, 2), groups, idle, pressure)


@cocotb.test()
@cocotb.parametrize(idle=IDLE)
async def entropy(dut: object, idle: float) -> None:
    await compare(EntropyBench(dut, CONFIG, 3), [entropy_group(CONFIG, 12)], idle)


@cocotb.test()
@cocotb.parametrize(idle=IDLE)
async def gelu(dut: object, idle: float) -> None:
    await compare(GeluBench(dut, CONFIG, 4), [gelu_group(CONFIG, 61)], idle)


@cocotb.test()
@cocotb.parametrize(idle=IDLE)
async def add(dut: object, idle: float) -> None:
    await compare(AddBench(dut, CONFIG, 5), [sum_group(CONFIG, 400, 300)], idle)


@cocotb.test()
@cocotb.parametrize(idle=IDLE)
async def dvfs(dut: object, idle: float) -> None:
    await compare(DvfsBench(dut, CONFIG, 6), dvfs_groups(CONFIG, 6), idle)
