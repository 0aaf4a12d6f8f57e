"""cocotb: the blocks of the special function unit, with idle cycles."""

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
from sfu_checks import row_numbers
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


async def compare(bench: SfuBench, groups: Sequence[Group], idle: float) -> None:
    """Every result of the groups, in order, and nothing else."""
    await bench.reset()
    running = cocotb.start_soon(bench.watch())
    count = 0
    for group in groups:
        await bench.write(group.writes)
        numbers = iter(row_numbers(group.rows))
        for row in group.rows:
            if row.settings is not None:
                await bench.settings(row.settings)
            for place, want in enumerate(row.want):
                last = (int(place == len(row.want) - 1),) if bench.parts()[-1] == "last" else ()
                name = f"row {next(numbers)}, vector {place // row.count}"
                bench.board.expect(want + last, name)
            count += len(row.want)
            await bench.row(row.beats, idle)
        await bench.settle()
    assert bench.board.finish() == count
    running.cancel()


@cocotb.test()
@cocotb.parametrize(idle=IDLE)
async def softmax(dut: object, idle: float) -> None:
    await compare(SoftmaxBench(dut, CONFIG, 1), [softmax_group(CONFIG, 8)], idle)


@cocotb.test()
@cocotb.parametrize(idle=IDLE)
async def layer_norm(dut: object, idle: float) -> None:
    await compare(LayerNormBench(dut, CONFIG, 2), norm_groups(CONFIG, [2, 33], 2), idle)


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
