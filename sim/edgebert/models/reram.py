"""Read errors of word embeddings stored in ReRAM, and what they cost in accuracy.

The stored representation is disturbed, not the codes: the bit mask in cells of one kind, each
packed code in cells of another. A wrong mask bit therefore moves all codes that follow it in its
row. A trial is one programming of the memory: its wrong cells stay wrong for every text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.generator.edgebert.energy.reram_cells import SLC, CellKind
from shiftforge.quant.albert.network.embedding import EmbeddingTable

__all__ = [
    "Evaluate",
    "FaultReport",
    "Storage",
    "Stored",
    "check_transitions",
    "disturb",
    "fault_accuracy",
    "inject",
    "store",
    "sweep",
    "transitions",
]

Codes: TypeAlias = NDArray[np.uint8]
Counts: TypeAlias = dict[CellKind, NDArray[np.int64]]
Evaluate: TypeAlias = Callable[[Codes], float]
"""Accuracy (0 to 1) with a word table of codes (V, E)."""


@dataclass(frozen=True)
class Storage:
    """How a table is stored.

    values: cells of the packed codes, most significant bits first. mask: cells of the bit mask, of
    one bit. gray: neighbouring levels differ in one bit (level i holds i ^ i >> 1); otherwise level
    i holds i. moves: "one" level, as published, or "all" of them with their exact probabilities.
    starts: "kept", every row's start address is known without error, so that damage stays in its
    row; "counted", a row starts after as many codes as the whole mask before it has ones.
    """

    values: CellKind
    mask: CellKind = SLC
    gray: bool = False
    moves: Literal["one", "all"] = "one"
    starts: Literal["kept", "counted"] = "kept"

    def __post_init__(self) -> None:
        if self.mask.bits != 1:
            raise InputError(Problem(f"a mask in cells {self.mask.name}", "give cells of one bit"))

    def matrix(self, kind: CellKind) -> NDArray[np.float64]:
        """Probabilities of levels read (columns) by levels written (rows)."""
        return kind.moves if self.moves == "one" else kind.reads


@dataclass(frozen=True, eq=False)
class Stored:
    """mask: bool (V, E). values: uint8, the packed codes. starts: of each row in values (V,), as
    written; a disturbed table keeps them."""

    mask: NDArray[np.bool_]
    values: Codes
    starts: NDArray[np.int64]

    def codes(self, starts: Literal["kept", "counted"] = "kept") -> Codes:
        """What a reader of the mask finds (V, E): the k-th one of a row stands for the k-th code
        from the row's start, also where that is already another row's; 0 past the last code."""
        ones = np.cumsum(self.mask, axis=1, dtype=np.int64)
        counted = np.concatenate([[0], np.cumsum(ones[:-1, -1])])
        base = self.starts if starts == "kept" else counted
        place = ones - 1 + base[:, None]
        there = self.mask & (place < len(self.values))
        out = np.zeros(self.mask.shape, dtype=np.uint8)
        out[there] = self.values[place[there]]
        return out


def store(codes: ArrayLike) -> Stored:
    """The stored representation of codes (V, E), uint8. A code 0x80, a zero, is stored as 0x00."""
    table = EmbeddingTable.from_dense(codes, 0)
    mask = np.unpackbits(table.mask, axis=1, count=table.columns, bitorder="little")
    return Stored(mask.astype(np.bool_), table.values, table.starts[:-1])


def _levels(values: Codes, kind: CellKind, gray: bool) -> list[tuple[CellKind, Codes]]:
    """The level of every cell: for each cell of a byte its kind and levels (n,)."""
    found = []
    low = 8
    for own in kind.byte_kinds:
        low -= own.bits
        data = values >> np.uint8(low) & np.uint8((1 << own.bits) - 1)
        found.append((own, _gray_index(data, own.bits) if gray else data))
    return found


def _bytes(levels: Sequence[tuple[CellKind, Codes]], gray: bool) -> Codes:
    """The inverse of ``_levels``."""
    out = np.zeros_like(levels[0][1])
    for own, cells in levels:
        data = cells ^ cells >> np.uint8(1) if gray else cells
        out = out << np.uint8(own.bits) | data
    return out


def _gray_index(data: Codes, bits: int) -> Codes:
    """The i of which i ^ i >> 1 is data: a prefix sum, modulo 2, from the most significant bit."""
    out = data.copy()
    for shift in range(1, bits):
        out ^= data >> np.uint8(shift)
    return out


def _read(levels: Codes, matrix: NDArray[np.float64], rng: np.random.Generator) -> Codes:
    """Levels as they are read. One random number a cell, one more for each wrong cell."""
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    rate = off.sum(axis=1)
    # "Less than" makes a rate of 0 exact: no cell changes.
    wrong = np.flatnonzero(rng.random(levels.shape) < rate[levels])
    if not len(wrong):
        return levels
    was = levels[wrong]
    steps = np.cumsum(off[was], axis=1)
    chosen = rng.random(len(wrong)) * steps[:, -1]
    out = levels.copy()
    out[wrong] = (chosen[:, None] >= steps).sum(axis=1)
    return out


def disturb(stored: Stored, storage: Storage, rng: np.random.Generator) -> Stored:
    """The stored table as a memory with wrong cells gives it back."""
    bits = _read(stored.mask.astype(np.uint8).ravel(), storage.matrix(storage.mask), rng)
    cells = [
        (own, _read(levels, storage.matrix(own), rng))
        for own, levels in _levels(stored.values, storage.values, storage.gray)
    ]
    mask = bits.astype(np.bool_).reshape(stored.mask.shape)
    return replace(stored, mask=mask, values=_bytes(cells, storage.gray))


def inject(
    codes: ArrayLike, kind: CellKind, rng: np.random.Generator, gray: bool = False,
    storage: Storage | None = None,
) -> Codes:  # fmt: skip
    """Codes (V, E) as read from values in cells ``kind`` and a mask in single-level cells.

    storage: everything else; its own kind and Gray code then count. Where no cell can fail the
    result is the same bits.
    """
    how = storage or Storage(kind, gray=gray)
    return disturb(store(codes), how, rng).codes(how.starts)


def transitions(before: Stored, after: Stored, storage: Storage) -> Counts:
    """How often a level written (row) was read as another (column), by kind of cell."""
    masks = before.mask.ravel().view(np.uint8), after.mask.ravel().view(np.uint8)
    pairs: list[tuple[CellKind, Codes, Codes]] = [(storage.mask, *masks)]
    old = _levels(before.values, storage.values, storage.gray)
    new = _levels(after.values, storage.values, storage.gray)
    pairs += [(own, was, now) for (own, was), (_, now) in zip(old, new, strict=True)]
    found: Counts = {}
    for own, was, now in pairs:
        count = len(own.levels)
        flat = np.bincount(was.astype(np.int64) * count + now, minlength=count * count)
        found[own] = found.get(own, 0) + flat.reshape(count, count).astype(np.int64)
    return found


def check_transitions(
    counts: Mapping[CellKind, NDArray[np.int64]], storage: Storage, significance: float = 1e-6
) -> dict[str, float]:
    """Hold counted transitions against the matrices: the least p-value of each kind of cell.

    Every transition from a level to another has an exact two-sided binomial p-value, times the
    number of transitions of the kind (Bonferroni). Raises CheckFailed, naming kind and levels,
    where a transition without probability was seen or a p-value is below ``significance``.
    """
    from scipy.stats import binom

    found = {}
    for kind, seen in counts.items():
        matrix = storage.matrix(kind)
        tests = int((matrix > 0).sum()) - len(matrix)
        least = 1.0
        for was, now in zip(*np.nonzero(~np.eye(len(matrix), dtype=bool)), strict=True):
            count, total, chance = int(seen[was, now]), int(seen[was].sum()), matrix[was, now]
            tails = binom.cdf(count, total, chance), binom.sf(count - 1, total, chance)
            p = min(1.0, 2 * float(min(tails)) * max(tests, 1))
            if p < significance:
                what = f"{count} of {total} cells, {total * chance:.4g} expected (p = {p:.2g})"
                raise CheckFailed(f"{kind.name}: level {was} was read as {now} in {what}")
            least = min(least, p)
        found[kind.name] = least
    return found


@dataclass(frozen=True, eq=False)
class FaultReport:
    """Accuracy over trials. clean: without faults. accuracy, mask_flips, cell_flips: (trials,),
    the latter two numbers of wrong cells. counts: transitions of all trials together."""

    storage: Storage
    seed: int
    clean: float
    accuracy: NDArray[np.float64]
    mask_flips: NDArray[np.int64]
    cell_flips: NDArray[np.int64]
    mask_cells: int
    value_cells: int
    counts: Counts

    @property
    def rate(self) -> float:
        """Wrong cells of the values, as a share of those read."""
        return float(self.cell_flips.sum()) / max(self.value_cells * len(self.cell_flips), 1)

    @property
    def worst(self) -> int:
        """The trial of the lowest accuracy; the same seed repeats it."""
        return int(self.accuracy.argmin())

    def figures(self) -> dict[str, float]:
        """Mean, standard deviation (of a sample), minimum and quantiles; mean wrong cells."""
        values = self.accuracy
        return {
            "clean": self.clean,
            "mean": float(values.mean()),
            "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "min": float(values.min()),
            "q05": float(np.quantile(values, 0.05)),
            "q95": float(np.quantile(values, 0.95)),
            "mask_flips": float(self.mask_flips.mean()),
            "cell_flips": float(self.cell_flips.mean()),
            "rate": self.rate,
        }


def fault_accuracy(
    codes: ArrayLike,
    evaluate: Evaluate,
    storage: Storage,
    trials: int = 100,
    seed: int = 0,
    clean: float | None = None,
    say: Callable[[int], None] | None = None,
) -> FaultReport:
    """Accuracy of a network whose word table (V, E) is read from faulty cells, trial by trial.

    evaluate: is called once without faults (unless ``clean`` is that accuracy), then for each trial
    whose codes differ. Trial i of a seed is the same whatever the number of trials. say: takes the
    number of trials done. Raises InputError, and CheckFailed where the injected transitions do not
    fit the cells' probabilities.
    """
    if trials < 1:
        raise InputError(Problem(f"{trials} trials", "give at least 1"))
    stored = store(codes)
    plain = stored.codes()
    base = evaluate(plain) if clean is None else clean
    accuracy, mask_flips, cell_flips = np.empty(trials), [], []
    counts: Counts = {}
    for trial, child in enumerate(np.random.SeedSequence(seed).spawn(trials)):
        read = disturb(stored, storage, np.random.default_rng(child))
        for own, seen in transitions(stored, read, storage).items():
            counts[own] = counts.get(own, 0) + seen
        mask_flips.append(int((read.mask != stored.mask).sum()))
        cell_flips.append(_wrong_cells(stored.values, read.values, storage))
        found = read.codes(storage.starts)
        accuracy[trial] = base if np.array_equal(found, plain) else evaluate(found)
        if say is not None:
            say(trial + 1)
    check_transitions(counts, storage)
    return FaultReport(
        storage, seed, base, accuracy, np.array(mask_flips), np.array(cell_flips),
        stored.mask.size, len(stored.values) * storage.values.byte_cells, counts,
    )  # fmt: skip


def _wrong_cells(before: Codes, after: Codes, storage: Storage) -> int:
    wrong, low = 0, 8
    for own in storage.values.byte_kinds:
        low -= own.bits
        wrong += int(((before ^ after) >> low & (1 << own.bits) - 1 != 0).sum())
    return wrong


def sweep(
    codes: ArrayLike,
    evaluate: Evaluate,
    storages: Sequence[Storage],
    trials: int = 10,
    seed: int = 0,
    say: Callable[[FaultReport], None] | None = None,
) -> list[FaultReport]:
    """``fault_accuracy`` of several storages, for example of one kind with its deviations scaled.

    The accuracy without faults is measured once. say: takes each report.
    """
    clean = evaluate(store(codes).codes())
    reports = []
    for storage in storages:
        reports.append(fault_accuracy(codes, evaluate, storage, trials, seed, clean))
        if say is not None:
            say(reports[-1])
    return reports
