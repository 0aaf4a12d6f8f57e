"""Faults in stored word embeddings: what cannot fail stays, what fails does as the cells say."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.edgebert.energy.reram_cells import (
    MLC2,
    MLC3,
    SLC,
    CellKind,
    symmetric_cell,
)
from shiftforge.quant.albert.network.embedding import EmbeddingTable
from shiftforge.sim.edgebert.models import reram
from shiftforge.sim.edgebert.models.reram import (
    Storage,
    Stored,
    check_transitions,
    disturb,
    fault_accuracy,
    inject,
    store,
    sweep,
    transitions,
)


def table(rows: int = 60, columns: int = 21, density: float = 0.4, seed: int = 0) -> Any:
    """Random codes; columns are no multiple of 8."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, 256, (rows, columns), dtype=np.uint8)
    codes[codes == 0x80] = 1
    codes[rng.random(codes.shape) >= density] = 0
    return codes


KINDS = (SLC, MLC2, MLC3)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_byte_survives_its_cells(kind: CellKind, gray: bool) -> None:
    values = np.arange(256, dtype=np.uint8)
    cells = reram._levels(values, kind, gray)
    assert len(cells) == kind.byte_cells
    assert (reram._bytes(cells, gray) == values).all()
    assert all(levels.max() == len(own.levels) - 1 for own, levels in cells)


def test_gray_levels_differ_in_one_bit_from_their_neighbours() -> None:
    for bits in (1, 2, 3, 4):
        data = np.arange(1 << bits, dtype=np.uint8)
        level = reram._gray_index(data, bits)
        by_level = np.empty_like(data)
        by_level[level] = data
        assert all(int(a ^ b).bit_count() == 1 for a, b in pairwise(by_level))


def test_known_cells() -> None:
    """0b110_101_01 in 3 + 3 + 2 bits, plain and as Gray code."""
    value = np.array([0b11010101], dtype=np.uint8)
    assert [int(level[0]) for _, level in reram._levels(value, MLC3, False)] == [6, 5, 1]
    assert [int(level[0]) for _, level in reram._levels(value, MLC3, True)] == [4, 6, 1]
    assert [int(level[0]) for _, level in reram._levels(value, MLC2, False)] == [3, 1, 1, 1]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from(["kept", "counted"]), st.booleans())
def test_cells_that_cannot_fail_give_the_same_bits(seed: int, starts: Any, gray: bool) -> None:
    codes = table(seed=seed % 100)
    for kind in (SLC, MLC2.scaled(0.1)):
        assert kind.rate < 1e-300
        how = Storage(kind, gray=gray, starts=starts)
        found = inject(codes, kind, np.random.default_rng(seed), storage=how)
        assert found.dtype == np.uint8
        assert (found == codes).all()


def test_clean_reads_are_those_of_the_embedding_table() -> None:
    codes = table()
    codes[3, 4] = 0x80  # a zero too, kept as the other one
    assert (store(codes).codes() == EmbeddingTable.from_dense(codes, -3).dense()).all()


def by_hand(mask: NDArray[np.bool_], values: Any, starts: Any, counted: bool) -> Any:
    """The reader, one bit at a time."""
    out = np.zeros(mask.shape, dtype=np.uint8)
    before = 0
    for row, bits in enumerate(mask):
        place = before if counted else starts[row]
        for column, bit in enumerate(bits):
            if bit:
                out[row, column] = values[place] if place < len(values) else 0
                place += 1
        before += int(bits.sum())
    return out


@pytest.mark.parametrize("starts", ["kept", "counted"])
def test_a_wrong_mask_bit_shifts_what_follows(starts: Any) -> None:
    codes = table()
    stored = store(codes)
    for row, column in ((7, 0), (20, 5), (59, 20), (59, 0)):
        mask = stored.mask.copy()
        mask[row, column] ^= True
        found = replace(stored, mask=mask).codes(starts)
        wanted = by_hand(mask, stored.values, stored.starts, starts == "counted")
        assert (found == wanted).all()
        changed = np.flatnonzero((found != codes).any(axis=1))
        if starts == "kept":
            assert set(changed) <= {row}
        assert (found[row, :column] == codes[row, :column]).all()
    mask = stored.mask.copy()
    mask[2, np.flatnonzero(mask[2])[0]] = False
    changed = (replace(stored, mask=mask).codes(starts) != codes).any(axis=1)
    assert changed.sum() > 50 if starts == "counted" else changed.sum() == 1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
def test_a_disturbed_table_reads_as_by_hand(seed: int) -> None:
    how = Storage(MLC3, mask=symmetric_cell(1, 0.05), gray=bool(seed & 1))
    read = disturb(store(table()), how, np.random.default_rng(seed))
    for starts in ("kept", "counted"):
        wanted = by_hand(read.mask, read.values, read.starts, starts == "counted")
        assert (read.codes(starts) == wanted).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 1.0, 2.0]), st.booleans())
def test_wrong_cells_are_as_many_as_expected(seed: int, factor: float, gray: bool) -> None:
    """Within the binomial bounds of the sum over levels written, 6 deviations wide."""
    codes = table(400, 64, seed=1)
    how = Storage(MLC3.scaled(factor), mask=symmetric_cell(1, 0.002), gray=gray)
    stored = store(codes)
    read = disturb(stored, how, np.random.default_rng(seed))
    flips = int((read.mask != stored.mask).sum())
    low, high = stats.binom.interval(1 - 1e-9, stored.mask.size, 0.002)
    assert low <= flips <= high
    mean = variance = 0.0
    wrong = 0
    old = reram._levels(stored.values, how.values, gray)
    new = reram._levels(read.values, how.values, gray)
    for (own, was), (_, now) in zip(old, new, strict=True):
        chance = own.rates[was]
        mean += chance.sum()
        variance += (chance * (1 - chance)).sum()
        wrong += int((was != now).sum())
    assert abs(wrong - mean) <= 6 * np.sqrt(variance) + 6


HOW = Storage(MLC3, mask=symmetric_cell(1, 1e-3))


def counted(how: Storage = HOW, seed: int = 0, injector: Any = disturb) -> Any:
    stored = store(table(2000, 64))
    read = injector(stored, how, np.random.default_rng(seed))
    return transitions(stored, read, how)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("moves", ["one", "all"])
def test_transitions_fit_the_matrices(gray: bool, moves: Any) -> None:
    """By the project's check, and by scipy's chi-square over all transitions expected often."""
    how = Storage(MLC3.scaled(2), mask=symmetric_cell(1, 0.01), gray=gray, moves=moves)
    counts = counted(how, 3)
    assert min(check_transitions(counts, how).values()) > 1e-3
    for kind, seen in counts.items():
        expected = how.matrix(kind) * seen.sum(axis=1, keepdims=True)
        often = expected >= 10
        statistic = ((seen - expected)[often] ** 2 / expected[often]).sum()
        assert stats.chi2.sf(statistic, int(often.sum()) - len(seen)) > 1e-4


def _mask_untouched(stored: Stored, how: Storage, rng: np.random.Generator) -> Stored:
    return replace(disturb(stored, how, rng), mask=stored.mask)


def _two_levels(stored: Stored, how: Storage, rng: np.random.Generator) -> Stored:
    read = disturb(stored, how, rng)
    old = reram._levels(stored.values, how.values, how.gray)
    new = reram._levels(read.values, how.values, how.gray)
    far = [
        (own, np.clip(2 * now.astype(int) - was, 0, len(own.levels) - 1).astype(np.uint8))
        for (own, was), (_, now) in zip(old, new, strict=True)
    ]
    return replace(read, values=reram._bytes(far, how.gray))


def _twice(stored: Stored, how: Storage, rng: np.random.Generator) -> Stored:
    return disturb(disturb(stored, how, rng), how, rng)


def _all_levels(stored: Stored, how: Storage, rng: np.random.Generator) -> Stored:
    return disturb(stored, replace(how, moves="all"), rng)


@pytest.mark.parametrize(
    ("injector", "how", "where"),
    [
        (_mask_untouched, HOW, "1-bit p=0.001: level"),
        (_two_levels, HOW, "MLC3: level"),
        (_twice, HOW, "1-bit p=0.001: level"),
        (_all_levels, replace(HOW, values=MLC3.scaled(3)), "MLC3 x3: level"),
    ],
)
def test_planted_injectors_are_caught(injector: Any, how: Storage, where: str) -> None:
    check_transitions(counted(how), how)
    with pytest.raises(CheckFailed, match=where):
        check_transitions(counted(how, injector=injector), how)


def test_gray_code_changes_fewer_bits() -> None:
    """A one-level error is one wrong bit in Gray code, up to three otherwise."""
    codes = table(2000, 64)
    bits = []
    for gray in (False, True):
        how = Storage(MLC3, gray=gray)
        stored = store(codes)
        read = disturb(stored, how, np.random.default_rng(5))
        changed = np.unpackbits(stored.values ^ read.values).sum()
        cells = sum(int((a[1] != b[1]).sum()) for a, b in zip(
            reram._levels(stored.values, MLC3, gray), reram._levels(read.values, MLC3, gray),
            strict=True))  # fmt: skip
        bits.append(changed / cells)
    assert bits[1] == 1
    assert 1.3 < bits[0] < 2


def nearness(wanted: Any) -> Any:
    """A stand-in for accuracy: the share of codes that are right."""
    return lambda codes: float((codes == wanted).mean())


def test_reports_repeat_and_extend() -> None:
    codes = table(300, 64)
    calls: list[int] = []

    def evaluate(found: Any) -> float:
        calls.append(1)
        return float(nearness(codes)(found))

    short = fault_accuracy(codes, evaluate, HOW, trials=4, seed=9)
    long = fault_accuracy(codes, evaluate, HOW, trials=6, seed=9)
    assert (short.accuracy == long.accuracy[:4]).all()
    assert len(set(long.accuracy)) > 1
    assert short.clean == 1.0
    assert len(calls) == 5 + 7
    figures = long.figures()
    assert figures["min"] <= figures["q05"] <= figures["mean"] <= figures["q95"] <= 1
    assert long.accuracy[long.worst] == figures["min"]
    assert figures["std"] == pytest.approx(np.std(long.accuracy, ddof=1))
    assert long.value_cells == 3 * np.count_nonzero(codes)
    wrong = sum(int(c.sum() - np.trace(c)) for kind, c in long.counts.items() if kind.bits > 1)
    assert long.cell_flips.sum() == wrong
    assert 0.5 < long.rate / MLC3.rate < 2


def test_trials_without_faults_are_not_evaluated() -> None:
    codes = table(300, 64)
    calls: list[int] = []

    def evaluate(found: Any) -> float:
        calls.append(1)
        return 0.75

    report = fault_accuracy(codes, evaluate, Storage(MLC2), trials=20)
    assert len(calls) <= 2
    assert report.figures()["mean"] == 0.75


def test_a_report_of_a_broken_injector_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = table(2000, 64)
    monkeypatch.setattr(reram, "disturb", _two_levels)
    with pytest.raises(CheckFailed, match="MLC3: level"):
        fault_accuracy(codes, nearness(codes), HOW, trials=2)


def test_sweeps_get_worse_with_wider_levels() -> None:
    codes = table(300, 64)
    seen: list[float] = []
    reports = sweep(
        codes, nearness(codes), [Storage(MLC3.scaled(f)) for f in (0.5, 1, 2)], trials=3,
        say=lambda report: seen.append(report.rate),
    )  # fmt: skip
    means = [report.figures()["mean"] for report in reports]
    assert means == sorted(means, reverse=True)
    assert seen == [report.rate for report in reports] == sorted(seen)


def test_refusals() -> None:
    with pytest.raises(InputError, match="cells of one bit"):
        Storage(MLC3, mask=MLC2)
    with pytest.raises(InputError, match="trials"):
        fault_accuracy(table(), lambda codes: 1.0, HOW, trials=0)


@pytest.fixture(scope="module")
def bench() -> Any:
    folder = Path(__file__).parents[4] / "bench"
    spec = importlib.util.spec_from_file_location("albert_reram", folder / "albert_reram.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        sys.modules["albert_reram"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


@pytest.mark.slow  # for the sake of its imports
def test_bench_runs_again_only_what_names_a_changed_row(bench: Any) -> None:
    """Accuracy with a faulty table is that of all texts run with it."""
    torch = pytest.importorskip("torch")
    from shiftforge.quant.albert.network.model import OffRampAlbert, configuration
    from shiftforge.quant.albert.network.settings import Shape
    from shiftforge.quant.albert.training.train import evaluate
    from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, decode

    torch.manual_seed(0)
    shape = Shape(hidden=16, heads=4, ffn=16, layers=2, length=8, embedding=21, vocabulary=60)
    model = OffRampAlbert(configuration(shape, 60), 3).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(10 if weights.ndim > 1 else 1)  # so that words decide the class
    rng = np.random.default_rng(0)
    sentences = [rng.integers(4, 60, 6) for _ in range(30)]
    labels = rng.integers(0, 3, 30)
    codes = table()
    words = bench.WordTable(model, sentences, labels, 8, -6, codes)
    clean = words(codes)
    seen = set()
    for seed in range(12):
        faulty = inject(codes, MLC3.scaled(3), np.random.default_rng(seed))
        if seed > 5:  # a few rows only
            faulty = np.where(rng.random((60, 1)) < 0.05, faulty, codes)
        found = words(faulty)
        values = decode(faulty, AdaptivFloatFormat(), -6).astype(np.float32)
        with torch.no_grad():
            model.albert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(values))
        logits = evaluate(model, sentences, 8)[-1]
        assert found == float((logits.argmax(axis=1) == labels).mean())
        seen.add(found)
    assert words(codes) == clean
    assert len(seen) > 3
