"""Bench classes for cocotb of the special function unit: one a block of ``sfu_blocks``.

A bench drives vectors with random pauses between them and hands each transfer to a scoreboard.
Between vectors all inputs are noise, and so are settings once they are taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cocotb.triggers import ReadOnly, RisingEdge
from rtl_benches import Bench
from scoreboard import Scoreboard
from sfu_model import unpack_lanes

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.sfu import SfuConfig

PATIENCE = 20000  # cycles without a result after which the rest is missing
SETTLE = 12  # cycles after the last result in which nothing more may come


class _View:
    """The ports of one block, without its name in front."""

    def __init__(self, dut: Any, block: str) -> None:
        self._dut = dut
        self._block = block

    def __getattr__(self, name: str) -> Any:
        shared = name in ("clk_i", "rst_ni")
        return getattr(self._dut, name if shared else f"{self._block}_{name}")


class SfuBench(Bench, ABC):
    """What the blocks share. Names of ports are without _i and _o.

    FIRST: settings, taken by a transfer with ``set`` before the vectors that they are for. HELD:
    settings that keep still while vectors are under way. EACH: inputs of every vector. TABLES:
    inputs that fill tables, the write enables in ENABLES. READY: None for a block that always
    takes.
    """

    MODULE: ClassVar[str]
    FIRST: ClassVar[tuple[str, ...]] = ()
    HELD: ClassVar[tuple[str, ...]] = ()
    EACH: ClassVar[tuple[str, ...]]
    TABLES: ClassVar[tuple[str, ...]] = ()
    ENABLES: ClassVar[tuple[str, ...]] = ()
    VALID: ClassVar[str] = "in_valid"
    READY: ClassVar[str | None] = "in_ready"
    RESULT: ClassVar[str] = "out_valid"

    def __init__(self, dut: Any, config: SfuConfig, seed: int) -> None:
        super().__init__(_View(dut, self.MODULE), seed)
        self.config = config
        self.board = Scoreboard(self.MODULE, self.parts())

    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """Names of what ``result`` returns."""

    @abstractmethod
    def result(self) -> tuple[int, ...]:
        """The outputs of a transfer."""

    def lanes(self, port: str, bits: int, signed: bool) -> tuple[int, ...]:
        """The lanes of an output."""
        word = int(getattr(self.dut, f"{port}_o").value)
        return tuple(unpack_lanes(word, bits, self.config.lanes, signed))

    async def reset(self) -> None:
        """Ready for rows."""
        sets = ("set",) if self.FIRST else ()
        names = [*self.FIRST, *self.HELD, *sets, *self.EACH, *self.TABLES, *self.ENABLES]
        await self.start([f"{name}_i" for name in dict.fromkeys([*names, self.VALID])])

    def _set(self, names: Sequence[str], values: Mapping[str, int] | None) -> None:
        for name in names:
            handle = getattr(self.dut, f"{name}_i")
            bits = len(handle)
            value = self.random.getrandbits(bits) if values is None else values.get(name, 0)
            handle.value = value & ((1 << bits) - 1)

    async def settings(self, values: Mapping[str, int]) -> None:
        """Settings of what comes; waits until all before has left."""
        if self.FIRST:
            self._set([*self.FIRST, "set"], {**values, "set": 1})
            await self.transfer(f"{self.VALID}_i", f"{self.READY}_o")
            self._set(["set"], {})
            self._set(self.FIRST, None)
        else:
            for _ in range(SETTLE):
                await RisingEdge(self.dut.clk_i)
            self._set(self.HELD, values)
            await RisingEdge(self.dut.clk_i)

    async def write(self, writes: Sequence[Mapping[str, int]]) -> None:
        """Fill tables; no row may be under way."""
        for values in writes:
            self._set(self.TABLES, values)
            single = len(self.ENABLES) == 1
            self._set(self.ENABLES, {self.ENABLES[0]: 1} if single else values)
            await RisingEdge(self.dut.clk_i)
        self._set(self.ENABLES, {})
        self._set(self.TABLES, None)

    async def row(self, beats: Sequence[Mapping[str, int]], idle: float) -> None:
        """The vectors of a row, each after a random pause."""
        for values in beats:
            await self.idle(idle)
            self._set(self.EACH, values)
            if self.READY is not None:
                await self.transfer(f"{self.VALID}_i", f"{self.READY}_o")
            else:
                getattr(self.dut, f"{self.VALID}_i").value = 1
                await RisingEdge(self.dut.clk_i)
                getattr(self.dut, f"{self.VALID}_i").value = 0
            self._set(self.EACH, None)

    async def watch(self) -> None:
        """Hand each result to the scoreboard, for ever."""
        while True:
            await ReadOnly()
            if getattr(self.dut, f"{self.RESULT}_o").value:
                self.board.observe(self.result())
            await RisingEdge(self.dut.clk_i)

    async def settle(self) -> None:
        """Until every expected result has come; raises CheckFailed where they stop coming."""
        seen, waited = self.board.compared, 0
        while not self.board.done:
            await RisingEdge(self.dut.clk_i)
            waited = 0 if self.board.compared != seen else waited + 1
            seen = self.board.compared
            if waited > PATIENCE:
                raise CheckFailed(f"{self.MODULE}: no result in {PATIENCE} cycles")
        for _ in range(SETTLE):
            await RisingEdge(self.dut.clk_i)


def _lane_names(config: SfuConfig, prefix: str = "") -> tuple[str, ...]:
    return tuple(f"{prefix}lane {lane}" for lane in range(config.lanes))


_TILES = ("len", "last_row", "slots", "pause")


class SoftmaxBench(SfuBench):
    """Rows of scores to codes; the mask table between rows."""

    MODULE = "sfu_softmax_rows"
    FIRST = ("query", "out_bias", *_TILES)
    EACH = ("in_data",)
    TABLES = ("mask_addr", "mask_data")
    ENABLES = ("mask_we",)

    def parts(self) -> tuple[str, ...]:
        """Codes, and whether the row ends."""
        return (*_lane_names(self.config), "last")

    def result(self) -> tuple[int, ...]:
        """One vector."""
        codes = self.lanes("out_code", self.config.af_bits, signed=False)
        return (*codes, int(self.dut.out_last_o.value))


class EntropyBench(SfuBench):
    """Rows of logits to entropy and exit."""

    MODULE = "sfu_entropy_rows"
    FIRST = ("threshold", *_TILES)
    EACH = ("in_data",)
    RESULT = "valid"

    def parts(self) -> tuple[str, ...]:
        """Decision and value."""
        return ("exit", "entropy")

    def result(self) -> tuple[int, ...]:
        """One row."""
        return int(self.dut.exit_o.value), int(self.dut.entropy_o.value)


class LayerNormBench(SfuBench):
    """Rows of fixed point or codes to both; gamma and beta between rows."""

    MODULE = "sfu_layernorm_rows"
    FIRST = (
        *("recip", "len_bits", "root", "root_shift", "epsilon", "gamma_frac"),
        *("from_code", "in_bias", "out_bias", *_TILES),
    )
    EACH = ("in_data",)
    TABLES = ("param_addr", "gamma", "beta")
    ENABLES = ("param_we",)

    def parts(self) -> tuple[str, ...]:
        """Values, codes, and whether the row ends."""
        values = _lane_names(self.config, "value of ")
        return (*values, *_lane_names(self.config, "code of "), "last")

    def result(self) -> tuple[int, ...]:
        """One vector."""
        values = self.lanes("out_data", 32, signed=True)
        codes = self.lanes("out_code", self.config.af_bits, signed=False)
        return (*values, *codes, int(self.dut.out_last_o.value))


class _LanesBench(SfuBench):
    """A vector in, a vector out, no row: every vector is one of its own."""

    VALID = "valid"
    READY = None
    RESULT = "valid"

    def parts(self) -> tuple[str, ...]:
        """The lanes."""
        return _lane_names(self.config)


class GeluBench(_LanesBench):
    """Fixed point to fixed point."""

    MODULE = "sfu_gelu"
    EACH = ("data",)

    def result(self) -> tuple[int, ...]:
        """One vector."""
        return self.lanes("data", 32, signed=True)


class AddBench(_LanesBench):
    """Two vectors of codes to their sums' codes."""

    MODULE = "sfu_add"
    HELD = ("a_bias", "b_bias", "out_bias")
    EACH = ("a", "b")

    def result(self) -> tuple[int, ...]:
        """One vector."""
        return self.lanes("code", self.config.af_bits, signed=False)


class DvfsBench(SfuBench):
    """Decisions; both tables between them."""

    MODULE = "sfu_dvfs"
    EACH = (
        *("rows", "points", "layers", "layer_cycles", "scale"),
        *("entropy", "threshold", "left"),
    )
    TABLES = ("layer_addr", "layer_data", "point_addr", "point_data")
    ENABLES = ("layer_we", "point_we")
    VALID = "start"
    READY = "ready"
    RESULT = "valid"

    def parts(self) -> tuple[str, ...]:
        """Layer, point, and whether it is late."""
        return ("layer", "point", "late")

    def result(self) -> tuple[int, ...]:
        """One decision."""
        names = ("layer_o", "point_o", "late_o")
        return tuple(int(getattr(self.dut, name).value) for name in names)
