"""Ranges of the kernels' counters over all records of a plan, as the kernels' text counts.

A range holds the values that are read. A counter may go on past them where nothing reads it (the
wait for a weight word when none is left), or pass other values between two that are read and come
back by additions alone (addresses of lines outside a map): in so many bits as the range needs both
leave what is read as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.lower_controller import COUNTERS, USUAL, WINDOW_COLUMN
from shiftforge.generator.conv.lower_conv import MODES
from shiftforge.generator.conv.records import Run, field_names, field_values

__all__ = [
    "Columns", "Ranges", "columns_of", "controller_ranges", "conv_ranges", "loader_ranges",
    "post_ranges",
]  # fmt: skip

Ints = NDArray[np.int64]
Columns = Mapping[str, Ints]
"""Of each field of a kind of records, its values (records,)."""
Ranges = dict[str, tuple[int, int]]
"""(least, most) of each counter."""

_WHOLE = -(1 << 31), (1 << 31) - 1
"""Of what counts over batches."""
_RUNS = range(4)


def columns_of(kind: type, records: Sequence[Any]) -> Columns:
    """The fields of 1 or more records of a kind."""
    values = field_values(kind, records)
    return dict(zip(field_names(kind), values.T, strict=True))


def _to(most: Ints | int) -> tuple[int, int]:
    """From 0 to the largest."""
    return 0, max(0, int(np.max(most)))


def _pace(of: Columns, name: str, number: Ints | None = None, state: str | None = None) -> Ranges:
    """Of a pace: what it waits for at first and after each end. number: how many there are; None
    where what comes after the last one is read, too."""
    state = name if state is None else state
    tiles, inner, rows = (of[f"{name}.{count}"] for count in ("tiles", "inner", "rows"))
    again = np.ones_like(tiles, np.bool_) if number is None else number > tiles * inner * rows
    ends = {"tile": tiles > 1, "inner": inner > 1, "row": rows > 1, "outer": again}
    waits = [of[f"{name}.first"]]
    waits += [np.where(ends[end], of[f"{name}.every_{end}"] - 1, 0) for end in ends]
    return {
        f"{state}.left": _to(np.max(waits, axis=0)),
        f"{state}.tile": _to(tiles - 1),
        f"{state}.inner": _to(inner - 1),
        f"{state}.row": _to(rows - 1),
    }


def loader_ranges(image: ImageLayout, strips: Sequence[int]) -> Ranges:
    """strips: map rows that are sent at once."""
    lines = 0, max(strips) * image.lines
    return {
        "beat": _WHOLE,
        "left": lines,
        "pass": (0, image.passes - 1),
        "base": _WHOLE,
        "strip": (0, len(strips) - 1),
        "lines": lines,
    }


def controller_ranges(
    of: Columns, lines: int, away: int, pixels: int, *, residual: bool, through: bool,
    non_blocking: bool,
) -> Ranges:  # fmt: skip
    """lines, away: of the maps on chip and in global memory, 0 or more. pixels: of a tile."""
    address, sent = (0, max(0, lines - 1)), (0, max(0, lines - 1, away - 1))
    found: Ranges = {"iteration": _to(of["iterations"])}
    found |= {f"c{k}": _to(of[f"n{k}"] - 1) for k in range(_used_counters(of))}
    found |= {"address": address, "y": _walked(of, "y"), "t": _walked(of, "t", _hops(of, pixels))}
    if np.any(of["column_step"]):
        found["column"] = 0, pixels - 1
    if np.any(of["enlarge"]):
        found |= {"phase_t": _to(of["repeats_t"]), "phase_y": _to(of["repeats_y"])}
    if residual:
        found |= _pace(of, "skips") | {"skip_address": address}
    found |= _pace(of, "results", None if non_blocking else of["stores"])
    if non_blocking:
        # Results are due on and on when the last one has come.
        found |= _pace(of, "results", state="places") | {"due": _to(of["iterations"])}
    found |= {"out_address": sent, "stored": _to(of["stores"])}
    if through:
        found |= {"fetched": _to(of["fetches"]), "fetch_left": _to(of["fetch_every"] - 1)}
    return found


def _used_counters(of: Columns) -> int:
    """Of operand lines, that the text has."""
    return max([k + 1 for k in range(COUNTERS) if np.any(of[f"n{k}"] > 1)] + [USUAL])


def _hops(of: Columns, pixels: int) -> Ints:
    """Tiles by which the last of a kernel's windows in a row lies further than its steps tell."""
    columns = of["column"] + (of[f"n{WINDOW_COLUMN}"] - 1) * of["column_step"]
    return np.asarray(columns // pixels * (of["column_step"] > 0), np.int64)


def _walked(of: Columns, axis: str, hops: Ints | None = None) -> tuple[int, int]:
    """Rows (y) or tiles (t) from the first line on, as long as lines are sent."""
    low = high = of[f"first_{axis}"]
    back, walk = np.zeros_like(low), np.ones_like(low)
    for k in range(COUNTERS):
        # A counter that steps puts those before it back to their start.
        move = of[f"{axis}{k}"] + back
        span = (of[f"n{k}"] - 1) * move
        if k == WINDOW_COLUMN and hops is not None:
            span = span + hops
        low, high = low + np.minimum(span, 0), high + np.maximum(span, 0)
        back, walk = back + span, walk * of[f"n{k}"]
    # Past the end of a walk its last step is taken once more.
    again = np.maximum(-(-of["sends"] // walk) - 1, 0) * (
        back + of[f"{axis}{_used_counters(of) - 1}"]
    )
    low, high = low + np.minimum(again, 0), high + np.maximum(again, 0)
    return int(low.min()), int(high.max())


def conv_ranges(of: Columns, array: ArrayShape, *, zero_words: bool) -> Ranges:
    """zero_words: some layers leave out words of zeros."""
    pointwise, depthwise, standard = (
        of["mode"] == MODES[name] for name in ("pointwise", "depthwise", "standard")
    )
    members = (own.name for own in fields(Run))
    run = {name: np.stack([of[f"run{k}.{name}"] for k in _RUNS]) for name in members}
    runs = (run["groups"] > 0).sum(axis=0)
    several = int(runs.max()) > 1
    twice = (run["twice"] > 0).any(axis=0)
    taken = np.maximum(run["words"].max(axis=0), of["last_words"])
    first_group = of["fill"] + of["run0.iterations"]
    # From one weight word to the next, where there is a next one.
    every = np.maximum(
        run["take_every"].max(axis=0) * (run["words"].max(axis=0) > 1),
        of["last_every"] * (of["last_words"] > 1),
    )
    waits = [run["take_first"].max(axis=0), of["last_first"], every - 1]
    word = np.where(depthwise, of["run0.words"], run["words"].max(axis=0)) - 1
    word = np.where(of["mode"] == MODES["fill"], 0, word)
    # Of standard layers, channels that a window is used for.
    lanes = standard * np.where(of["lines"] > 1, array.units, of["last_lanes"])
    found: Ranges = {
        "bank": (0, 1),
        "group": _to(of["groups"]),
        "group_left": _to(np.maximum(first_group, run["iterations"].max(axis=0))),
        "run": _to((runs - 1) * several),
        "run_left": _to(run["groups"] * several),
        "words": _to(run["words"]),
        "length": _to(run["tile"]),
    }
    words_repeat = bool((twice & ~depthwise).any())
    if words_repeat:
        found["second_words"] = _to(run["twice"])
    found |= {
        "take_left": _to(taken),
        "take_wait": _to(np.max(waits, axis=0)),
        "take_every": _to(every),
        "take_at": _to(taken),
        "word": _to(word),
        "fill": _ring(array, bool(pointwise.any()), bool((twice & pointwise).any())),
        "lines": _to(of["lines"] * pointwise),
        "cycle": _to(_cycles(of, run, lanes, pointwise)),
        "tile": _to(of["tiles"]),
        "part": _to((of["lines"] - 1) * standard),
        "lane": _to(lanes),
        "computes": _to(standard),
    }
    if (of["more_rows"] | of["more_columns"]).any():
        found |= {"window_row": _to(of["more_rows"]), "window_column": _to(of["more_columns"])}
    if of["more_columns"].any():
        found["column"] = 0, array.pixels - 1
    if zero_words and standard.any():
        found |= dict.fromkeys(("channels", "used"), _to(run["words"] - run["twice"]))
    if words_repeat:
        found |= {"twice": _to(run["twice"]), "second": (0, 1)}
    found |= {"loads": _to(of["loads"])} | _pace(of, "fires", of["loads"])
    tile = of["first_t"] + (of["fires.tiles"] - 1) * of["stride"] * depthwise
    tiles = int(of["first_t"].min()), _to(tile)[1]
    in_row = _to(word * depthwise)
    # Rows of all channel groups begin with word 0.
    row_word = _to(word * depthwise * (of["tiles"] > 1))
    found |= {
        "line": _to(np.where(depthwise, of["row_length"] - 1, 0)),
        "y": _to(_rows(of, depthwise)),
        "t": tiles,
        "row_word": row_word,
    }
    if (twice & depthwise).any():
        doubled = _to(of["run0.twice"] * depthwise)
        again = _to(1 + of["further"])
        found |= {"doubled": doubled, "row_doubled": doubled, "again": again}
        found |= {"after": in_row, "again_t": tiles}
    return found


def _ring(array: ArrayShape, pointwise: bool, twice: bool) -> tuple[int, int]:
    """Channels in the ring after an iteration. A line comes where an iteration could not take all
    that it takes; it takes none where a second word follows."""
    if not pointwise:
        return 0, 0
    before = array.taken - 1 if array.units > array.taken else 0
    return 0, before + array.units - (0 if twice else array.taken)


def _cycles(of: Columns, run: Mapping[str, Ints], lanes: Ints, pointwise: Ints) -> Ints:
    """Iterations of a tile or a window: with those that are idle at a group's end."""
    idle = np.maximum(run["iterations"] - of["tiles"] * run["tile"], 0) * (run["groups"] > 0)
    window = np.maximum(9, lanes + np.minimum(run["twice"], lanes)) * (lanes > 0)
    busy = np.where(pointwise, run["tile"], window)
    return np.asarray((busy + idle * (busy > 0)).max(axis=0) - 1, np.int64)


def _rows(of: Columns, depthwise: Ints) -> Ints:
    """Rows of depthwise layers: when all have come they count on from the end of the map."""
    ended = of["iterations"] // np.maximum(1, of["row_length"] - of["first_line"])
    walked = of["all_rows"] * of["tiles"] - of["first_y"]
    after = np.where(ended >= walked, of["in_rows"] + ended - walked, 0)
    return np.asarray(np.maximum(of["all_rows"] - 1, after) * depthwise, np.int64)


def post_ranges(of: Columns, array: ArrayShape) -> Ranges:
    """Of what follows the convolution."""
    found: Ranges = {
        "pre": _to(of["before"]),
        "at": _to(of["groups"]),
        "param": _to(of["groups"] - 1),
        "tile": _to(of["tiles"] - 1),
        "inner": _to(of["inner"] - 1),
        "row": _to(of["rows"] - 1),
        "results": _to(of["tiles_all"]),
    }
    if (of["sliced"] | of["direct"]).any():
        parts = np.maximum(of["every"], of["pool_turns"] * (of["pool"] > 0))
        found |= {"part": _to(parts - 1), "column": _to(array.pixels - of["columns"])}
    if of["pool"].any():
        found["emits"] = 0, 1
    turns = of["output_turns"][of["direct"] > 0]
    if (turns > 1).any():
        found["turn"] = _to(turns - 1)
    return found | {"stored": _WHOLE}
