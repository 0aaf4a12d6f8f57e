"""The numbers that an accelerator's area depends on, from its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from shiftforge.boards.types import Board
from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.area.features import Access, Features, Fifo, Memory, lane_kind
from shiftforge.generator.conv.array import ArrayShape, power_of_two
from shiftforge.generator.conv.counters import Counters
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.lower_post import signed_digits
from shiftforge.generator.conv.memory import MemoryPlan
from shiftforge.generator.conv.packing import WORD_BITS, Packing
from shiftforge.generator.conv.post_range import clamps_output, floors
from shiftforge.generator.conv.programs import STEP_KERNELS
from shiftforge.generator.conv.records import ControllerPass, ConvPass, FetchPass, PostPass
from shiftforge.generator.conv.slices import Slice
from shiftforge.generator.conv.turns import Turns
from shiftforge.generator.conv.weights import (
    REST_BEAT,
    ParameterLayout,
    ShiftRanges,
    WeightBeats,
    parameter_bytes,
    parameter_content,
    stored_bytes,
    weight_word_bytes,
)
from shiftforge.generator.conv.windows import window_columns

__all__ = ["Planned", "PlannedStep", "features_of"]


class PlannedStep(Protocol):
    """What is asked of a step of a plan (``StepPlan``)."""

    @property
    def mode(self) -> str: ...
    @property
    def conv(self) -> ConvPass: ...
    @property
    def post(self) -> PostPass: ...


class Planned(Protocol):
    """What is asked of a plan (``Plan``), which has an area by this."""

    @property
    def board(self) -> Board: ...
    @property
    def array(self) -> ArrayShape: ...
    @property
    def beats(self) -> WeightBeats: ...
    @property
    def image(self) -> ImageLayout: ...
    @property
    def image_pass(self) -> ControllerPass | None: ...
    @property
    def geometries(self) -> tuple[tuple[str, int, int], ...]: ...
    @property
    def pools(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def pool_bits(self) -> int: ...
    @property
    def tables(self) -> tuple[tuple[int, ...], ...]: ...
    @property
    def enlargements(self) -> tuple[tuple[int, bool], ...]: ...
    @property
    def steps(self) -> Sequence[PlannedStep]: ...
    @property
    def memory(self) -> MemoryPlan: ...
    @property
    def channels(self) -> tuple[Channel, ...]: ...
    @property
    def fetches(self) -> tuple[FetchPass, ...]: ...
    @property
    def packings(self) -> Mapping[str, Packing]: ...
    @property
    def counters(self) -> Counters: ...
    @property
    def parameters(self) -> ParameterLayout: ...
    @property
    def multiplier_requant(self) -> bool: ...
    @property
    def row_lines(self) -> int: ...
    @property
    def weight_words(self) -> int: ...
    @property
    def shifts(self) -> ShiftRanges: ...
    @property
    def acc_bits(self) -> int: ...
    @property
    def largest_bits(self) -> int: ...
    @property
    def slice(self) -> Slice: ...
    @property
    def turns(self) -> Turns: ...
    @property
    def max_groups(self) -> int: ...


def features_of(plan: Planned) -> Features:
    """Of a plan (whose own area is not read)."""
    array, shifts = plan.array, plan.shifts
    posts = [step.post for step in plan.steps]
    added = [p for p in posts if p.residual]
    standard, depthwise = (
        window_columns(plan.geometries, mode, array.pixels) for mode in ("standard", "depthwise")
    )
    strides = {stride for _, stride, _ in standard}
    return Features(
        family=plan.board.family,
        board=plan.board.name,
        ram_bits=plan.board.ram_block_bits,
        ram_width=plan.board.ram_block_max_width,
        lane=lane_kind(array),
        units=array.units,
        places=array.line_bytes // array.units,
        frames=array.frames,
        accumulator_bits=plan.acc_bits,
        largest_bits=plan.largest_bits,
        raises=any(step.conv.raises for step in plan.steps),
        code_bits=array.code_bits,
        pointwise=any(step.mode == "pointwise" for step in plan.steps),
        windows=len(depthwise),
        standards=len(strides),
        columns=array.frames * ((array.pixels - 1) * max(strides, default=1) + 3),
        origins=len({origin for _, _, origin in standard}),
        raised_bits=plan.acc_bits + shifts.raised,
        folded=shifts.folded,
        right_bits=shifts.right_bits,
        left_bits=shifts.left_most.bit_length(),
        floors=floors(plan.steps),
        clamps_output=clamps_output(plan.steps),
        held_pixels=max(
            (p.every // (array.frames * p.output_turns) for p in posts if p.direct), default=0
        ),
        multiplier_requant=plan.multiplier_requant,
        residual=bool(added),
        residual_bits=_residual_bits(added),
        tables=len(plan.tables),
        enlarged=sum(factor for factor, _ in plan.enlargements),
        looked_up=any(p.code_table for p in posts) + any(p.table for p in posts),
        pool_terms=tuple(
            sum(digits.bit_count() for digits in signed_digits(m)) for m, _ in plan.pools
        ),
        pool_bits=plan.pool_bits,
        slice_frames=plan.slice.frames,
        slice_columns=plan.slice.columns,
        pool_units=plan.turns.pool_units,
        output_units=plan.turns.output_units,
        turned=any(p.sliced or p.direct for p in posts),
        direct=any(p.direct for p in posts),
        held_weight_bytes=plan.beats.held,
        fifos=_fifos(plan),
        memories=_memories(plan),
        accesses=_accesses(plan),
        record_bits=sum(own.words * WORD_BITS + own.bits for own in plan.packings.values()),
        counters={kernel: {c.name: c.bits for c in own} for kernel, own in plan.counters.items()},
        runs=max(len(step.conv.runs) for step in plan.steps),
        movers=2 if plan.fetches else 0,
    )


def _residual_bits(added: Sequence[PostPass]) -> int:
    """Bits of the shifts of residual additions that are not the same in all layers."""
    names = ("skip_left", "add_left", "sum_left", "sum_right")
    values = [{int(getattr(p, name)) for p in added} for name in names]
    return max((max(v).bit_length() for v in values if len(v) > 1), default=0)


def _fifos(plan: Planned) -> tuple[Fifo, ...]:
    array = plan.array
    bits = {
        "line_t": 8 * array.line_bytes,
        "acc_word_t": (24 if plan.acc_bits <= 24 else 32) * array.line_bytes,
        "weight_word_t": 8 * weight_word_bytes(array),
        "param_word_t": 8 * parameter_content(array, plan.parameters),
        "store_word_t": 8 * array.line_bytes + 32,
        "int": 32,
        "uint": WORD_BITS,
    }
    maps = ("line_t", "store_word_t")
    return tuple(Fifo(c.name, bits[c.type], c.depth, c.type in maps) for c in plan.channels)


def _memories(plan: Planned) -> tuple[Memory, ...]:
    array = plan.array
    stored = 8 * power_of_two(array.line_bytes)
    found = [
        Memory("feature-map memory", stored, plan.memory.total_lines or 1, maps=True),
        Memory("line buffer", 2 * stored, plan.row_lines, maps=True),
        Memory("weight memory", 8 * power_of_two(weight_word_bytes(array)),
               2 * power_of_two(plan.weight_words)),
        Memory("parameter memory", 8 * parameter_bytes(array, plan.parameters),
               plan.max_groups),
        *(
            Memory(f"instructions of {kernel}", WORD_BITS, own.total_words)
            for kernel, own in plan.packings.items() if kernel not in STEP_KERNELS
        ),
    ]  # fmt: skip
    if not any(step.mode == "depthwise" for step in plan.steps):
        del found[1]
    return tuple(found)


def _accesses(plan: Planned) -> tuple[Access, ...]:
    array = plan.array
    direct = any(step.post.direct for step in plan.steps)
    beats = plan.beats
    rests = (Access("rests of weights", 8 * REST_BEAT),) if beats.rest else ()
    return (
        Access("image", 8 * plan.image.beat),
        Access("weights", 8 * beats.main),
        *rests,
        Access("parameters", 8 * parameter_bytes(array, plan.parameters)),
        Access("output", 8 * stored_bytes(array, direct, plan.turns.output_units), stores=True),
        *(_through(plan) if plan.fetches else ()),
    )


def _through(plan: Planned) -> tuple[Access, ...]:
    """Of the kernels that move maps."""
    stored = 8 * power_of_two(plan.array.line_bytes)
    return (
        Access("maps that come back", stored), Access("maps that leave", stored, stores=True)
    )  # fmt: skip
