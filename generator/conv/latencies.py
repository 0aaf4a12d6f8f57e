"""Latencies of the accelerator's kernels: what the clocked run and the cycle model reckon with.

One table, in cycles of the kernel clock. Each figure has its source: what reports of Intel's
compiler say that people published with their OpenCL projects, or the word "assumed". None was
compiled here. A board file may replace any of them (its table ``latencies``), for instance with
what a report of one's own compile says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction

from shiftforge.boards.types import Board

__all__ = [
    "LATENCY_SOURCES",
    "LEAST_LATENCIES",
    "MEMORY_EFFICIENCY",
    "Latencies",
    "board_latencies",
    "bytes_per_cycle",
    "latency_sources",
]


MEMORY_EFFICIENCY = 0.7
"""Assumed share of the pins' bandwidth that kernels get from global memory."""


MOST = 1_000_000
"""Cycles of a latency: far above any, and so few that the clocked run's sums fit 32 bits."""


@dataclass(frozen=True)
class Latencies:
    """Cycles, each 1 to ``MOST``.

    loader, feeder, params, controller, conv, post: from a kernel's reads to its writes of one
    iteration; for the three that load, beside the load itself. channel: from a write to the first
    cycle in which it can be read. reentry: from the end of an invocation's drain to the next
    invocation's first iteration. global_load: of a load from global memory. Raises ValueError for
    what is no integer, below 1 or above a million.
    """

    loader: int = 20
    feeder: int = 20
    params: int = 20
    controller: int = 20
    conv: int = 60
    post: int = 80
    channel: int = 3
    reentry: int = 10
    global_load: int = 200

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            if type(value) is not int or not 1 <= value <= MOST:
                raise ValueError(f"latency {name} is {value!r}, not an integer from 1 to {MOST:,}")

    @property
    def round_trip(self) -> int:
        """Cycles from an operand's iteration in the controller to that in which its result, of no
        further operand, can be read."""
        return self.controller + self.conv + self.post + 3 * self.channel

    def scaled(self, factor: float | Fraction) -> Latencies:
        """Every latency times a factor above 0, rounded down, and at least 1."""
        exact = Fraction(factor)
        return Latencies(**{n: max(1, int(v * exact)) for n, v in self.to_dict().items()})

    def to_dict(self) -> dict[str, int]:
        """By name, in the order of the fields."""
        return {own.name: getattr(self, own.name) for own in fields(self)}


LEAST_LATENCIES = {
    "controller": 20,
    "conv": 60,
    "post": 80,
    "channel": 3,
    "reentry": 10,
    "global_load": 200,
}
"""The defaults are never below these: a faster figure takes a report of the board's own."""

_CHANNEL_ONLY = "aoc reports: innermost loops that use channels alone have 10 to 20 cycles"
LATENCY_SOURCES = {
    "loader": f"{_CHANNEL_ONLY} (Arria 10 16.x: median 20); the load comes on top",
    "feeder": f"{_CHANNEL_ONLY} (Arria 10 16.x: median 20); the load comes on top",
    "params": f"{_CHANNEL_ONLY} (Arria 10 16.x: median 20); the load comes on top",
    "controller": f"{_CHANNEL_ONLY} (Arria 10 16.x: median 20, quartiles 14 and 23)",
    "conv": f"assumed; {_CHANNEL_ONLY}, 56 at most (Cyclone V), and an adder tree is deeper",
    "post": "assumed; deeper than conv: shifts, rounding, clamps and the pool in a row",
    "channel": "assumed; aoc reports give 0 or 1 to an access, and say nothing of a FIFO's way",
    "reentry": "aoc reports: headers of outer loops have 3 to 17 cycles (Arria 10 17.x: median 5)",
    "global_load": "aoc reports: burst-coalesced loads take 128 to 257 cycles on Arria 10, 117 to "
    "199 on Cyclone V, 185 to 582 (median 203) on Stratix 10",
}
"""Where each default comes from. "aoc reports": docs/ASSUMPTIONS.md names the repositories."""


def board_latencies(board: Board) -> Latencies:
    """The table's latencies, with the board's own in their places."""
    own = {str(name): cycles for name, cycles in board.latencies.items()}
    return Latencies(**own)


def bytes_per_cycle(board: Board) -> float:
    """Global memory bytes a kernel cycle: 70 % of the pins' bandwidth (assumed efficiency)."""
    return MEMORY_EFFICIENCY * board.memory.bandwidth_gb_s * 1e3 / board.clock_mhz_assumed


def latency_sources(board: Board) -> dict[str, str]:
    """Where each of a board's latencies comes from."""
    own = {str(name): board.sources[f"latencies.{name}"] for name in board.latencies}
    return {**LATENCY_SOURCES, **own}
