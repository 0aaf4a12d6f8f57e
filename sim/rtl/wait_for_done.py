"""cocotb: wait for a self-running bench. Clock, stimulus and results are the design's own."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

__all__ = ["wait_for_done"]


@cocotb.test()
async def wait_for_done(dut: Any) -> None:
    """Passes when ``done`` rises; the comparison is the caller's."""
    await RisingEdge(dut.done)
