"""The accelerator's instructions: one record a step and kernel, of integers.

They are described here once; the C structures are laid out from these classes. How records lie in
memory is a plan's (``packing``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "RECORDS", "THROUGH_RECORDS", "ControllerPass", "ConvPass", "FetchPass", "Pace", "PostPass",
    "Run", "StorePass", "field_names", "field_values", "struct_fields",
]  # fmt: skip


T = TypeVar("T", int, NDArray[np.int64])


def _word(comment: str = "") -> Any:
    # The declared default only carries the comment; the planner gives the fields that matter.
    return field(default=0, metadata={"comment": comment})


@dataclass(frozen=True)
class Pace:
    """When things happen that come in tiles, channel groups, rows and groups of rows.

    first: iterations before the first one; the others: iterations from one to the next, by what
    ends in between. All intervals are 1 or more. tiles, inner, rows: how many of each.
    """

    first: int = 0
    every_tile: int = 1
    every_inner: int = 1
    every_row: int = 1
    every_outer: int = 1
    tiles: int = 1
    inner: int = 1
    rows: int = 1

    def later(self, iterations: int) -> Pace:
        """The same, so many iterations later."""
        return replace(self, first=self.first + iterations)

    @property
    def fastest(self) -> int:
        """Fewest iterations from one to the next."""
        found = [self.every_outer]
        if self.tiles > 1:
            found.append(self.every_tile)
        if self.inner > 1:
            found.append(self.every_inner)
        if self.rows > 1:
            found.append(self.every_row)
        return min(found)

    def time(self, number: T) -> T:
        """Iteration of one of them, counted from 0; of each, where an array counts."""
        tiles = number // self.tiles
        rows = tiles // self.inner
        outer = rows // self.rows
        found: T = (
            self.first
            + (number - tiles) * self.every_tile
            + (tiles - rows) * self.every_inner
            + (rows - outer) * self.every_row
            + outer * self.every_outer
        )
        return found


@dataclass(frozen=True)
class Run:
    """Neighbouring groups of output channels with equally many weight words.

    groups: how many. words: of a group, second ones included; twice: first words that a second one
    follows. tile: iterations of a tile; iterations: of a group. take_first, take_every: when the
    words of the group after it are read, but for the layer's last one.
    """

    groups: int = 0
    words: int = 0
    twice: int = 0
    tile: int = 0
    iterations: int = 0
    take_first: int = 0
    take_every: int = 0


@dataclass(frozen=True, kw_only=True)
class ControllerPass:
    """The controller's part of a layer. n: counters of operand lines, innermost first; a, y, t: how
    address, row and tile change where a counter steps and those before it start again."""

    iterations: int = _word("trip count of the layer's loop")
    sends: int = _word("iterations in which lines are sent")
    from_image: int = _word("lines come from the loader, not from the memory")
    zero_outside: int = _word("lines outside the map are sent, as zeros")
    residual: int = _word("the other operand of an addition is sent too")
    base: int = _word("first line: address, row, tile")
    first_y: int = _word()
    first_t: int = _word()
    in_rows: int = _word("rows and tiles of the map; the second counter's part inside it")
    in_tiles: int = _word()
    groups: int = _word()
    n0: int = _word()
    n1: int = _word()
    n2: int = _word()
    n3: int = _word()
    n4: int = _word()
    n5: int = _word()
    n6: int = _word()
    n7: int = _word()
    n8: int = _word()
    a0: int = _word()
    a1: int = _word()
    a2: int = _word()
    a3: int = _word()
    a4: int = _word()
    a5: int = _word()
    a6: int = _word()
    a7: int = _word()
    a8: int = _word()
    y0: int = _word()
    y1: int = _word()
    y2: int = _word()
    y3: int = _word()
    y4: int = _word()
    y5: int = _word()
    y6: int = _word()
    y7: int = _word()
    y8: int = _word()
    t0: int = _word()
    t1: int = _word()
    t2: int = _word()
    t3: int = _word()
    t4: int = _word()
    t5: int = _word()
    t6: int = _word()
    t7: int = _word()
    t8: int = _word()
    enlarge: int = _word("number of what a map's lines are enlarged by, from 1")
    repeats_t: int = _word("how often a tile, and a row, comes again; lines of a row")
    repeats_y: int = _word()
    repeat_row: int = _word()
    column: int = _word("of the first window, in its tile; columns to the next one, beside tiles")
    column_step: int = _word()
    skips: Pace = field(default=Pace(), metadata={"comment": "when lines of an addition are sent"})
    skip_base: int = _word("their first address and its steps")
    skip_tile: int = _word()
    skip_inner: int = _word()
    skip_row: int = _word()
    skip_outer: int = _word()
    results: Pace = field(default=Pace(), metadata={"comment": "when results are read"})
    stores: int = _word("how many")
    out_base: int = _word("their first address and its steps")
    store_tile: int = _word()
    store_inner: int = _word()
    store_row: int = _word()
    store_outer: int = _word()
    trace_base: int = _word("first line of the layer in a frame's trace, or -1")
    to_memory: int = _word("results go to global memory, not to the one on chip")
    fetches: int = _word("lines that come from global memory meanwhile; when, and where to")
    fetch_every: int = _word()
    fetch_base: int = _word()


@dataclass(frozen=True, kw_only=True)
class ConvPass:
    """The convolution unit's part of a layer."""

    iterations: int = _word("trip count of the layer's loop")
    mode: int = _word("0 pointwise, 1 depthwise, 2 standard, 3 first weights alone")
    geometry: int = _word("which of the plan's pairs of stride and left padding")
    stride: int = _word()
    in_signed: int = _word("codes are int8, not uint8")
    groups: int = _word("groups of weights, in runs of equally many words")
    run0: Run = field(default=Run(), metadata={"comment": ""})
    run1: Run = field(default=Run(), metadata={"comment": ""})
    run2: Run = field(default=Run(), metadata={"comment": ""})
    run3: Run = field(default=Run(), metadata={"comment": ""})
    fill: int = _word("iterations of the first group before its own: the first window")
    last_words: int = _word("of the next layer's first group, read in the last one; when")
    last_first: int = _word()
    last_every: int = _word()
    tiles: int = _word("output tiles of a group (depthwise: times that the rows start again)")
    lines: int = _word("operand lines of a tile (standard: channel groups)")
    loads: int = _word("standard: windows of the layer; depthwise: output tiles")
    last_lanes: int = _word("standard: channels of the last group")
    more_rows: int = _word("standard: windows that a kernel is cut into beside one, by rows,")
    more_columns: int = _word("and by columns")
    column: int = _word("standard: of the first window, in its tile; columns to the next one")
    column_step: int = _word()
    first_line: int = _word("depthwise: place of a row in the line buffer: the first line,")
    row_lines: int = _word("the end of all channel groups' lines,")
    row_length: int = _word("and that of idle iterations")
    first_y: int = _word("depthwise: first row that comes; those above are in the line buffer")
    all_rows: int = _word("depthwise: where the rows end, with zeros below the map")
    keeps: int = _word("depthwise: lines behind the last window are taken, for the next step")
    in_rows: int = _word()
    in_tiles: int = _word()
    first_t: int = _word("depthwise: first tile of the first window")
    further: int = _word("depthwise: words of a window beyond the second one")
    largest: int = _word("depthwise: results are the largest of a window's words, not their sum")
    raises: int = _word("depthwise: the sum moves up before each further word of a window")
    fires: Pace = field(
        default=Pace(), metadata={"comment": "depthwise: when windows are complete"}
    )

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs that there are."""
        return tuple(r for r in (self.run0, self.run1, self.run2, self.run3) if r.groups)

    @property
    def all_words(self) -> int:
        """Weight words of the layer."""
        return sum(run.groups * run.words for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class PostPass:
    """What follows the convolution in a layer."""

    iterations: int = _word("trip count of the layer's loop")
    before: int = _word("iterations before the first tile: parameters are read")
    groups: int = _word("groups of output channels, one parameter word each")
    tiles_all: int = _word("output tiles")
    tiles: int = _word("of a row, of channel groups in a row, of rows")
    inner: int = _word()
    rows: int = _word()
    last_pixels: int = _word("pixels of a row's last tile")
    every: int = _word("iterations of a tile")
    columns: int = _word("pixels of a frame that an iteration takes, where a tile takes several")
    pool_turns: int = _word("iterations in which a channel group's pooled sums become codes")
    output_turns: int = _word("iterations of a pixel that leaves as 32-bit integers")
    sliced: int = _word("an addition, a table or a pool follows, slice by slice")
    direct: int = _word("results leave as 32-bit integers and are not stored")
    exported: int = _word("stored result lines also go to global memory")
    low: int = _word("activation: smallest code; both 0 where a 32-bit result has its type's range")
    high: int = _word("activation: largest code")
    code_table: int = _word("number of the table of the convolution's codes, from 1")
    residual: int = _word("a residual addition follows")
    skip_signed: int = _word("its codes are int8")
    skip_left: int = _word("left shift of its codes to the finer grid")
    add_signed: int = _word("the convolution's codes are int8")
    add_left: int = _word("left shift of the convolution's codes")
    sum_left: int = _word("left shift of the sum to the output grid")
    sum_right: int = _word("right shift of the sum, rounded half to even")
    add_low: int = _word("smallest code of the sum")
    add_high: int = _word("largest code of the sum")
    table: int = _word("number of the table of what comes before it, from 1")
    pool: int = _word("a global pool follows: number of its constant, from 1")
    pool_signed: int = _word("its input codes are int8")
    pool_low: int = _word("smallest code of the pooled map")
    pool_high: int = _word("largest code of the pooled map")


@dataclass(frozen=True, kw_only=True)
class FetchPass:
    """Rows of a map that come back from global memory, a run of lines a channel group."""

    iterations: int = _word("trip count of the job's loop: tokens and lines")
    tokens: int = _word("of stored steps that are waited for")
    base: int = _word("the first line")
    run: int = _word("lines that follow each other")
    next: int = _word("from the last one of a run to the next run's first")


@dataclass(frozen=True, kw_only=True)
class StorePass:
    """A step's results on their way to global memory."""

    iterations: int = _word("trip count of the step's loop: its lines, and a token")


THROUGH_RECORDS = {"fetch_layer_t": FetchPass, "store_layer_t": StorePass}
"""Of plans with maps in global memory."""
RECORDS = {
    "controller_layer_t": ControllerPass,
    "conv_layer_t": ConvPass,
    "post_layer_t": PostPass,
}


_TYPES = {Pace: "pace_layer_t", Run: "run_layer_t"}


@cache
def field_names(kind: type) -> tuple[str, ...]:
    """Names of a record's integers in order, a pace's as "results.first", a run's likewise."""
    found: list[str] = []
    for own in fields(kind):
        parts = fields(own.default) if isinstance(own.default, Pace | Run) else ()
        found += [f"{own.name}.{part.name}" for part in parts] or [own.name]
    return tuple(found)


@cache
def _getter(kind: type) -> Callable[[Any], Any]:
    names = field_names(kind)
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda record: (get(record),)


def field_values(kind: type, records: Sequence[Any]) -> NDArray[np.int64]:
    """Integers (records, fields) of records of a kind, in the order of ``field_names``."""
    get = _getter(kind)
    return np.array([get(record) for record in records], np.int64)


def struct_fields(kind: type) -> tuple[tuple[str, str, str], ...]:
    """(name, C type, comment) of every member, in order."""
    return tuple(
        (f.name, _TYPES.get(type(f.default), "int"), str(f.metadata.get("comment", "")))
        for f in fields(kind)
    )  # fmt: skip
