"""Bench classes for cocotb: one a block. They drive and observe; the tests know what is right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge


def pack(values: Sequence[int], width: int) -> int:
    """Lanes of ``width`` bits as one integer, lane 0 lowest."""
    return sum(int(value) << (width * lane) for lane, value in enumerate(values))


class Bench:
    """Clock, reset and random pauses, for a bench class of any block.

    seed: of the pauses.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, dut: Any, seed: int) -> None:
        self.dut = dut
        self.random = random.Random(seed)

    async def start(self, inputs: Sequence[str]) -> None:
        """All inputs 0, reset, clock running."""
        for name in inputs:
            getattr(self.dut, name).value = 0
        self.dut.rst_ni.value = 0
        Clock(self.dut.clk_i, 2, "ns").start()
        for _ in range(3):
            await RisingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1
        await RisingEdge(self.dut.clk_i)

    async def reset(self) -> None:
        """Ready for vectors."""
        await self.start(self.INPUTS)

    async def configure(self, values: dict[str, int]) -> None:
        """Settings of a run; no value may be under way."""
        for name, value in values.items():
            getattr(self.dut, f"{name}_i").value = value
        await RisingEdge(self.dut.clk_i)

    async def idle(self, share: float) -> None:
        """A random pause: before each cycle, ``share`` is the chance of one more."""
        while self.random.random() < share:
            await RisingEdge(self.dut.clk_i)

    async def transfer(self, valid: str, ready: str) -> None:
        """Hold valid until the edge at which ready is high."""
        getattr(self.dut, valid).value = 1
        while True:
            await ReadOnly()
            accepted = bool(getattr(self.dut, ready).value)
            await RisingEdge(self.dut.clk_i)
            if accepted:
                break
        getattr(self.dut, valid).value = 0


class CodecBench(Bench):
    """Bit-mask encoder and decoder around one set of buffers (``codec_bench``)."""

    INPUTS = (
        "in_valid_i",
        "in_data_i",
        "in_first_i",
        "in_slot_i",
        "in_base_i",
        "in_index_i",
        "write_ready_i",
        "load_valid_i",
        "load_row_i",
        "load_mask_i",
        "load_data_i",
        "count_slot_i",
        "job_valid_i",
        "job_base_i",
        "job_count_i",
        "job_tag_i",
        "job_passes_i",
        "job_part_i",
        "wide_i",
        "packed_i",
        "out_ready_i",
    )

    async def reset(self) -> None:
        """Ready for vectors; jobs of one pass and one part."""
        await super().reset()
        await self.configure({"job_passes": 1, "job_part": 256})

    async def load(self, rows: Sequence[tuple[int, int]]) -> None:
        """Masks and banks (lanes packed) of the buffer rows from 0 on, as they are."""
        self.dut.load_valid_i.value = 1
        for row, (mask, data) in enumerate(rows):
            self.dut.load_row_i.value = row
            self.dut.load_mask_i.value = mask
            self.dut.load_data_i.value = data
            await RisingEdge(self.dut.clk_i)
        self.dut.load_valid_i.value = 0

    async def toggle(self, name: str, share: float) -> None:
        """Back-pressure: the ready input is low in ``share`` of the cycles, for ever."""
        while True:
            getattr(self.dut, name).value = int(self.random.random() >= share)
            await RisingEdge(self.dut.clk_i)

    async def write(self, run: dict[str, int], vectors: Sequence[int], idle: float) -> None:
        """Vectors (lanes packed) of a run: slot and base."""
        for index, vector in enumerate(vectors):
            await self.idle(idle)
            self.dut.in_data_i.value = vector
            self.dut.in_first_i.value = int(index == 0)
            self.dut.in_slot_i.value = run["slot"]
            self.dut.in_base_i.value = run["base"]
            self.dut.in_index_i.value = index
            await self.transfer("in_valid_i", "in_ready_o")

    async def job(self, base: int, count: int, tag: int, idle: float) -> None:
        """Ask for ``count`` vectors from a base."""
        await self.idle(idle)
        self.dut.job_base_i.value = base
        self.dut.job_count_i.value = count
        self.dut.job_tag_i.value = tag
        await self.transfer("job_valid_i", "job_ready_o")

    async def watch(self, signals: Sequence[str], valid: str, ready: str, sink: Any) -> None:
        """Hand each transfer of a stream, as a tuple of integers, to a scoreboard, for ever."""
        while True:
            await ReadOnly()
            if getattr(self.dut, valid).value and getattr(self.dut, ready).value:
                sink.observe(tuple(int(getattr(self.dut, name).value) for name in signals))
            await RisingEdge(self.dut.clk_i)


class ColumnBench(Bench):
    """Vector multiply, accumulators and post-processing of one column (``column_bench``)."""

    INPUTS = (
        "valid_i",
        "nonzero_i",
        "first_i",
        "last_i",
        "row_i",
        "a_i",
        "b_i",
        "b_codes_i",
        "pass_i",
        "relu_i",
        "frac_i",
        "out_bias_i",
        "shift_i",
        "bias_i",
    )

    async def send(self, values: dict[str, int], idle: float) -> None:
        """One pair of vectors."""
        await self.idle(idle)
        for name, value in values.items():
            getattr(self.dut, f"{name}_i").value = value
        self.dut.valid_i.value = 1
        await RisingEdge(self.dut.clk_i)
        self.dut.valid_i.value = 0
        self.dut.nonzero_i.value = self.random.getrandbits(1)
        self.dut.last_i.value = self.random.getrandbits(1)

    async def watch(self, valid: str, signal: str, sink: Any) -> None:
        """Hand each valid value to a scoreboard, for ever."""
        while True:
            await ReadOnly()
            if getattr(self.dut, valid).value:
                sink.observe(int(getattr(self.dut, signal).value))
            await RisingEdge(self.dut.clk_i)


class ArrayBench(Bench):
    """The array with its operand streams (``array_bench``)."""

    INPUTS = (
        "k_tiles_i",
        "passes_i",
        "b_codes_i",
        "a_valid_i",
        "a_nonzero_i",
        "a_data_i",
        "a_tag_i",
        "b_valid_i",
        "b_nonzero_i",
        "b_data_i",
    )

    async def stream(self, side: str, vectors: Sequence[int], idle: float) -> None:
        """Vectors (lanes packed) of operand "a" or "b"; the tag of an A vector is its number."""
        for index, vector in enumerate(vectors):
            await self.idle(idle)
            getattr(self.dut, f"{side}_data_i").value = vector
            getattr(self.dut, f"{side}_nonzero_i").value = int(vector != 0)
            if side == "a":
                self.dut.a_tag_i.value = index % 2**16
            await self.transfer(f"{side}_valid_i", f"{side}_ready_o")

    async def watch(self, sink: Any, fired: list[int]) -> None:
        """Hand (row, tag, accumulators) to a scoreboard and count the cycles that fire, for ever.

        fired: [cycles from the first to the last that fired, how many of them fired].
        """
        since = 0
        while True:
            await ReadOnly()
            since += int(fired[1] > 0)
            if self.dut.fire_o.value:
                fired[1] += 1
                fired[0] = since
            if self.dut.out_valid_o.value:
                names = ("out_row_o", "out_tag_o", "out_acc_o")
                sink.observe(tuple(int(getattr(self.dut, name).value) for name in names))
            await RisingEdge(self.dut.clk_i)
