"""The numbers that the area of an accelerator depends on, taken from a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shiftforge.generator.conv.area.numbers import Figure
from shiftforge.generator.conv.area.table import Block
from shiftforge.generator.conv.array import ArrayShape, power_of_two
from shiftforge.generator.conv.image import IMAGE_AHEAD
from shiftforge.generator.conv.lower_post import signed_digits
from shiftforge.generator.conv.records import RECORDS, PostPass, content_words, record_bytes
from shiftforge.generator.conv.weights import (
    REST_BEAT,
    parameter_bytes,
    weight_beat_bytes,
    weight_word_bytes,
)

if TYPE_CHECKING:
    from shiftforge.generator.conv.plan import Plan

__all__ = ["Access", "Features", "Fifo", "Memory", "Multipliers", "features_of", "lane_kind"]

Multipliers = Literal["soft", "dsp"]


@dataclass(frozen=True)
class Fifo:
    """A channel. bits: of a word as it is used. maps: it holds map data, of the declared bits."""

    name: str
    bits: Figure
    depth: Figure
    maps: bool = False


@dataclass(frozen=True)
class Memory:
    """An array on chip with one read and one write port. bits, words: as declared.

    banks: how many of it are declared; used: how many have accesses, others take nothing.
    maps: it holds map data.
    """

    name: str
    bits: Figure
    words: Figure
    banks: Figure = 1
    used: Figure = 1
    maps: bool = False


@dataclass(frozen=True)
class Access:
    """A load from or a store to global memory. bits: of an access."""

    name: str
    bits: Figure
    stores: bool = False


@dataclass(frozen=True)
class Features:
    """Of an accelerator on a board. Numbers may be arrays; names, kinds and flags may not.

    lane: what lanes are made of: ("shift", 1), or a multiplier in logic or in a DSP block with its
    weight's bits. line_bytes: units x pixels x frames. places: of P = pixels x frames columns the
    array works at once. windows: depthwise windows (of a geometry, and used late) that a lane
    chooses from; standards, columns: strides of standard windows and their columns. right, left:
    bits of what a requantisation's shifts vary by; right_least: the constant below. residual_bits:
    bits of the shifts of a residual addition, which are constants at 0. pool_terms: additions of
    the pools' constants. record_bits: used bits of the instructions of each kernel.
    """

    family: str
    board: str
    ram_bits: int
    ram_width: int
    lane: tuple[str, int]
    units: Figure
    places: Figure
    accumulator_bits: Figure
    code_bits: int
    pointwise: bool
    windows: int
    late: bool
    standards: int
    columns: Figure
    right_bits: int
    right_least: int
    left_bits: int
    multiplier_requant: bool
    residual: bool
    residual_bits: int
    pool_terms: tuple[int, ...]
    direct: bool
    image_rows: int
    image_word: Figure
    image_parts: Figure
    image_groups: Figure
    record_bits: tuple[tuple[str, int], ...]
    fifos: tuple[Fifo, ...]
    memories: tuple[Memory, ...]
    accesses: tuple[Access, ...]

    @property
    def line_bytes(self) -> Figure:
        """Bytes of a line, and results of an array cycle."""
        return self.units * self.places

    @property
    def lanes(self) -> Figure:
        """Lanes of the array."""
        return 9 * self.line_bytes

    @property
    def block(self) -> Block:
        """The board's RAM blocks."""
        return Block(self.ram_bits, self.ram_width)


def lane_kind(array: ArrayShape, multipliers: Multipliers = "dsp") -> tuple[str, int]:
    """What an array's lanes are made of; multipliers: of lanes that multiply."""
    if array.unit == "shift":
        return "shift", 1
    return ("soft", array.weight_bits) if multipliers == "soft" else ("dsp", 8)


def features_of(plan: Plan) -> Features:
    """Of a plan (whose own area is not read)."""
    array, image, shifts = plan.array, plan.image, plan.shifts
    posts = [layer.post for layer in plan.layers]
    added = [p for p in posts if p.residual]
    standard = {g[1] for g in plan.geometries if g[0] == "standard"}
    late = {layer.conv.geometry for layer in plan.layers if layer.conv.late}
    depthwise = [n for n, g in enumerate(plan.geometries) if g[0] == "depthwise"]
    steps = len(getattr(plan, "steps", plan.layers))
    return Features(
        family=plan.board.family,
        board=plan.board.name,
        ram_bits=plan.board.ram_block_bits,
        ram_width=plan.board.ram_block_max_width,
        lane=lane_kind(array),
        units=array.units,
        places=array.line_bytes // array.units,
        accumulator_bits=32,
        code_bits=array.code_bits,
        pointwise=any(layer.mode == "pointwise" for layer in plan.layers),
        windows=len(depthwise) + len(late),
        late=bool(late),
        standards=len(standard),
        columns=(array.pixels - 1) * max(standard, default=1) + 3,
        right_bits=(shifts.right_most - shifts.right_least).bit_length(),
        right_least=shifts.right_least,
        left_bits=shifts.left_most.bit_length(),
        multiplier_requant=plan.multiplier_requant,
        residual=bool(added),
        residual_bits=_residual_bits(added),
        pool_terms=tuple(
            sum(digits.bit_count() for digits in signed_digits(m)) for m, _ in plan.pools
        ),
        direct=any(p.direct for p in posts),
        image_rows=image.rows,
        image_word=image.word,
        image_parts=image.beat // image.word,
        image_groups=image.map_groups,
        record_bits=tuple(
            (name.split("_", maxsplit=1)[0], 32 * content_words(kind))
            for name, kind in RECORDS.items()
        ),
        fifos=_fifos(plan),
        memories=_memories(plan, steps),
        accesses=_accesses(plan),
    )


def _residual_bits(added: Sequence[PostPass]) -> int:
    """Bits of the shifts of residual additions that are not the same in all layers."""
    names = ("skip_left", "add_left", "sum_left", "sum_right")
    values = [{int(getattr(p, name)) for p in added} for name in names]
    return max((max(v).bit_length() for v in values if len(v) > 1), default=0)


def _fifos(plan: Plan) -> tuple[Fifo, ...]:
    array = plan.array
    bits = {
        "line_t": 8 * array.line_bytes,
        "acc_word_t": 32 * array.line_bytes,
        "weight_word_t": 8 * weight_word_bytes(array),
        "param_word_t": 8 * array.units * (6 + 4 * plan.multiplier_requant),
    }
    return tuple(Fifo(c.name, bits[c.type], c.depth, c.type == "line_t") for c in plan.channels)


def _memories(plan: Plan, steps: int) -> tuple[Memory, ...]:
    array, image = plan.array, plan.image
    stored = 8 * power_of_two(array.line_bytes)
    records = {name: 8 * record_bytes(kind) for name, kind in RECORDS.items()}
    found = [
        Memory("feature-map memory", stored, plan.memory.total_lines or 1, maps=True),
        Memory("line buffer", 2 * stored, plan.row_lines, maps=True),
        Memory("weight memory", 8 * power_of_two(weight_word_bytes(array)),
               2 * power_of_two(plan.weight_words)),
        Memory("parameter memory", 8 * parameter_bytes(array, plan.multiplier_requant),
               plan.max_groups),
        Memory("image row memory", 8 * image.beat, 2 * IMAGE_AHEAD * image.slot,
               power_of_two(image.rows), image.rows, maps=True),
        Memory("instructions of controller", records["controller_layer_t"],
               steps + (plan.image_pass is not None)),
        Memory("instructions of conv", records["conv_layer_t"], steps + 1),
        Memory("instructions of post", records["post_layer_t"], steps),
    ]  # fmt: skip
    if not any(layer.mode == "depthwise" for layer in plan.layers):
        del found[1]
    return tuple(found)


def _accesses(plan: Plan) -> tuple[Access, ...]:
    array = plan.array
    records = {name: 8 * record_bytes(kind) for name, kind in RECORDS.items()}
    direct = any(layer.post.direct for layer in plan.layers)
    out = 32 * array.units if direct else 8 * power_of_two(array.line_bytes)
    return (
        Access("image", 8 * plan.image.beat),
        Access("weights", 8 * weight_beat_bytes(array)),
        Access("rests of weights", 8 * REST_BEAT),
        Access("parameters", 8 * parameter_bytes(array, plan.multiplier_requant)),
        Access("instructions of controller", records["controller_layer_t"]),
        Access("instructions of conv", records["conv_layer_t"]),
        Access("instructions of post", records["post_layer_t"]),
        Access("output", out, stores=True),
    )
