"""cocotb: the bench that ``cocotb_speed.py`` compares with. Python takes part in every cycle."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


@cocotb.test()
async def step_every_edge(dut: Any) -> None:
    """Clock from cocotb; reads one signal a cycle until it is high."""
    Clock(dut.clk_i, 2, unit="step").start()
    while True:
        await RisingEdge(dut.clk_i)
        if dut.done_o.value == 1:
            return
