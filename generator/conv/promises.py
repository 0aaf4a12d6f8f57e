"""Proofs of what the kernels promise the compiler about their on-chip memories.

``ivdep safelen(n)`` says that no two iterations fewer than n apart touch one word, where one of
them writes it; ``ivdep`` without it says so of all iterations of a loop. The compiler believes it,
an emulator never sees a false one, so the planner proves each promise for every layer of the plan:
it writes down which word every iteration reads and writes, as the kernels do it, and takes the
smallest distance of read after write, write after read and write after write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.conv.lower_conv import WEIGHT_DISTANCE
from shiftforge.generator.conv.lower_post import PARAM_DISTANCE
from shiftforge.generator.conv.records import ControllerPass, ConvPass, PostPass, Run
from shiftforge.generator.conv.walk import ROW_DISTANCE

__all__ = ["PROMISES", "Accesses", "Promise", "Proof", "prove_promises", "smallest_distance"]

_ENDLESS = 1 << 30


@dataclass(frozen=True)
class Promise:
    """name: as the kernel's comment has it. array: in the text. safelen: iterations, 0 for all."""

    name: str
    array: str
    safelen: int
    text: str


@dataclass(frozen=True)
class Proof:
    """distance: the smallest of all layers, in iterations; None where nothing is ever shared."""

    promise: Promise
    distance: int | None
    layer: str


PROMISES = {
    "maps": Promise(
        "controller-maps", "fm", 0,
        "within a layer no line that is read is written: the maps lie apart",
    ),
    "weights": Promise(
        "conv-weights", "weights", WEIGHT_DISTANCE,
        "one bank is read, the other written; they change places after a group",
    ),
    "rows": Promise(
        "conv-rows", "rows", ROW_DISTANCE,
        "a place of the line buffer comes again a row of all channel groups later",
    ),
    "params": Promise(
        "post-records", "records", PARAM_DISTANCE,
        "all are written before the first is read",
    ),
}  # fmt: skip
"""Every promise of the kernels' text, by the template's name."""


@dataclass(frozen=True, eq=False)
class Accesses:
    """One memory in one invocation of a loop: (iteration, word) of every read and every write.

    Within an iteration a read comes before a write.
    """

    reads: NDArray[np.int64]
    writes: NDArray[np.int64]


def smallest_distance(accesses: Accesses) -> int | None:
    """Fewest iterations between two accesses of a word of which one writes; None for none.

    Accesses in one iteration do not count: the loop body itself keeps their order.
    """
    reads, writes = accesses.reads.reshape(-1, 2), accesses.writes.reshape(-1, 2)
    events = np.concatenate([
        np.column_stack([reads, np.zeros(len(reads), np.int64)]),
        np.column_stack([writes, np.ones(len(writes), np.int64)]),
    ])  # fmt: skip
    if not len(writes) or len(events) < 2:
        return None
    events = events[np.lexsort((events[:, 2], events[:, 0], events[:, 1]))]
    # At most one read and one write of a word are left in each iteration.
    again = (events[1:] == events[:-1]).all(axis=1)
    time, word, kind = events[np.concatenate([[True], ~again])].T
    # Nothing lies between the two nearest: an access in between clashes with whichever of them
    # writes. They are in neighbouring iterations of the word, so among four accesses in a row.
    best = _ENDLESS
    for back in range(1, 4):
        same = (word[back:] == word[:-back]) & (time[back:] > time[:-back])
        clash = same & ((kind[back:] == 1) | (kind[:-back] == 1))
        gaps = (time[back:] - time[:-back])[clash]
        if len(gaps):
            best = min(best, int(gaps.min()))
    return None if best == _ENDLESS else best


def prove_promises(
    controller: Sequence[ControllerPass],
    conv: Sequence[ConvPass],
    post: Sequence[PostPass],
    names: Sequence[str],
    reads: Sequence[Iterable[tuple[int, int]]],
) -> tuple[Proof, ...]:
    """Prove every promise for every layer. names: of the layers; reads: (base, lines) of the maps
    that each reads on chip. Raises CheckFailed that names promise, layer and distance."""
    _disjoint(controller, names, reads)
    found = [Proof(PROMISES["maps"], None, "")]
    layers = list(zip(names, conv, strict=True))
    found.append(_least("weights", [(n, _weights(c)) for n, c in layers if c.groups > 1]))
    found.append(_least("rows", [(n, _rows(c)) for n, c in layers if c.mode == 1]))
    found.append(_least("params", [(n, _params(p)) for n, p in zip(names, post, strict=True)]))
    return tuple(found)


def _least(name: str, layers: Iterable[tuple[str, Accesses]]) -> Proof:
    promise = PROMISES[name]
    least, where = None, ""
    for layer, accesses in layers:
        distance = smallest_distance(accesses)
        if distance is not None and (least is None or distance < least):
            least, where = distance, layer
    if least is not None and least < promise.safelen:
        raise CheckFailed(
            f"promise {promise.name} ({promise.array}) does not hold in layer {where!r}: a word is "
            f"touched again after {least} iterations, {promise.safelen} are promised"
        )
    return Proof(promise, least, where)


def _disjoint(
    passes: Sequence[ControllerPass],
    names: Sequence[str],
    reads: Sequence[Iterable[tuple[int, int]]],
) -> None:
    promise = PROMISES["maps"]
    for name, own, maps in zip(names, passes, reads, strict=True):
        results = 0 if own.to_memory else _written(own)
        written = ((own.out_base, results), (own.fetch_base, own.fetches))
        for (base, lines), (low, size) in product(maps, written):
            high = low + size
            if base < high and low < base + lines and size:
                raise CheckFailed(
                    f"promise {promise.name} ({promise.array}) does not hold in layer {name!r}: "
                    f"lines [{base}, {base + lines}) are read and [{low}, {high}) written"
                )


def _written(own: ControllerPass) -> int:
    """Lines from the first to the last that are written, those between them included."""
    pace = own.results
    if not own.stores:
        return 0
    tiles, inner, rows = pace.tiles - 1, pace.inner - 1, pace.rows - 1
    outer = own.stores // (pace.tiles * pace.inner * pace.rows)
    in_row = pace.inner * tiles * own.store_tile + inner * own.store_inner
    in_rows = pace.rows * in_row + rows * own.store_row
    return outer * in_rows + (outer - 1) * own.store_outer + 1


def _pairs(time: NDArray[np.int64], word: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.column_stack([time, word]).astype(np.int64)


def _rows(own: ConvPass) -> Accesses:
    row = own.row_length - own.first_line
    at = np.arange(min(own.iterations, 4 * row), dtype=np.int64)
    pairs = _pairs(at, own.first_line + at % row)
    return Accesses(pairs, pairs)


def _weights(own: ConvPass) -> Accesses:
    """First, second and last groups of every run. Reads only of first and last tile, between which
    a bank is not written. The last group is the one in which the next layer's first words are read.
    """
    groups = [run for run in own.runs for _ in range(min(run.groups, 3))]
    room = max(own.last_words, *(run.words for run in groups))
    reads, writes, base = [], [], own.fill
    for g, run in enumerate(groups):
        bank = g % 2
        word = np.arange(run.words, dtype=np.int64)
        first, last = _tile_reads(own, run)
        reads += [_pairs(base + first, bank * room + word),
                  _pairs(base + last, bank * room + word)]  # fmt: skip
        # What is taken counts from the first group's start, its first window included.
        begin = base if g else 0
        last_group = g == len(groups) - 1
        taken = np.arange(own.last_words if last_group else groups[g + 1].words, dtype=np.int64)
        start, every = run.take_first, run.take_every
        if last_group:
            start, every = own.last_first, own.last_every
        writes.append(_pairs(begin + start + taken * every, (1 - bank) * room + taken))
        base += run.iterations
    return Accesses(np.concatenate(reads), np.concatenate(writes))


def _tile_reads(own: ConvPass, run: Run) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Iterations in a group in which each weight word is read first and last."""
    word = np.arange(run.words, dtype=np.int64)
    return word, (own.tiles - 1) * run.tile + word


def _params(own: PostPass) -> Accesses:
    group = np.arange(own.groups, dtype=np.int64)
    tiles = own.tiles_all // own.groups
    first = group * tiles if own.inner == 1 else group * own.tiles
    return Accesses(_pairs(own.before + first, group), _pairs(group, group))
