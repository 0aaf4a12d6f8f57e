"""Counters of the kernels' states: the values that each holds, and the bits that it takes.

The text computes in 32 bits and keeps of every counter the bits of its range (``x_trim``), so that
registers, additions, comparisons and selects need no more. ``ranges`` finds the ranges from the
records: everything that a plan decides, and nothing that it does not, so that a search has the same
numbers before maps are placed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shiftforge.errors import CheckFailed
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.memory import MemoryPlan
from shiftforge.generator.conv.packing import range_bits
from shiftforge.generator.conv.ranges import (
    Ranges,
    columns_of,
    controller_ranges,
    conv_ranges,
    loader_ranges,
    post_ranges,
)
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass
from shiftforge.generator.conv.through import Through

__all__ = ["Counted", "Counter", "Counters", "check_counters", "counter_fields", "counters_of"]


@dataclass(frozen=True)
class Counter:
    """A member of a kernel's state. low, high: smallest and largest value that is ever read.

    bits: that it keeps, 0 (it is always 0) to 32; in two's complement where low is below 0.
    """

    name: str
    low: int
    high: int
    bits: int

    @property
    def signed(self) -> bool:
        """Whether it is in two's complement."""
        return self.low < 0

    @property
    def least(self) -> int:
        """Smallest value that its bits hold."""
        return -(1 << self.bits >> 1) if self.signed else 0

    @property
    def most(self) -> int:
        """Largest value that its bits hold."""
        return (1 << max(0, self.bits - self.signed)) - 1


Counters = Mapping[str, tuple[Counter, ...]]
"""Of each kernel, in the order of its state; those that the text has, and no others."""


class CountedStep(Protocol):
    """What is asked of a step of a plan."""

    @property
    def controller(self) -> ControllerPass: ...
    @property
    def conv(self) -> ConvPass: ...
    @property
    def post(self) -> PostPass: ...


class Counted(Protocol):
    """What is asked of a plan (``Plan``)."""

    @property
    def array(self) -> ArrayShape: ...
    @property
    def image(self) -> ImageLayout: ...
    @property
    def image_strips(self) -> tuple[int, ...]: ...
    @property
    def image_pass(self) -> ControllerPass | None: ...
    @property
    def steps(self) -> Sequence[CountedStep]: ...
    @property
    def fill(self) -> ConvPass: ...
    @property
    def memory(self) -> MemoryPlan: ...
    @property
    def through(self) -> Through: ...
    @property
    def zero_words(self) -> bool: ...
    @property
    def non_blocking(self) -> bool: ...


def counters_of(plan: Counted) -> Counters:
    """Of a plan (whose own counters are not read)."""
    image = [] if plan.image_pass is None else [plan.image_pass]
    controller = [own.controller for own in plan.steps]
    found = {
        "loader": loader_ranges(plan.image, plan.image_strips),
        "controller": controller_ranges(
            columns_of(ControllerPass, [*image, *controller]), plan.memory.total_lines,
            plan.through.lines, plan.array.pixels,
            residual=any(own.post.residual for own in plan.steps),
            through=any(own.to_memory or own.fetches for own in controller),
            non_blocking=plan.non_blocking,
        ),
        "conv": conv_ranges(
            columns_of(ConvPass, [*(own.conv for own in plan.steps), plan.fill]), plan.array,
            zero_words=plan.zero_words,
        ),
        "post": post_ranges(columns_of(PostPass, [own.post for own in plan.steps]), plan.array),
    }  # fmt: skip
    return {kernel: tuple(_counters(own)) for kernel, own in found.items()}


def counter_fields(counters: Counters) -> dict[str, dict[str, tuple[int, int, int]]]:
    """For plan.json: (smallest value, largest value, bits) by kernel and name."""
    return {k: {c.name: (c.low, c.high, c.bits) for c in own} for k, own in counters.items()}


def _counters(ranges: Ranges) -> Iterable[Counter]:
    for name, (low, high) in ranges.items():
        yield Counter(name, low, high, range_bits(low, high))


def check_counters(counters: Counters) -> None:
    """Raises CheckFailed that names a counter whose range its bits do not hold."""
    for kernel, own in counters.items():
        for c in own:
            if c.low < c.least or c.high > c.most or not 0 <= c.bits <= 32:
                raise CheckFailed(
                    f"counter {c.name} of {kernel} has values from {c.low} to {c.high}, which "
                    f"{c.bits} bits do not hold"
                )
