"""ReRAM cells give the published error rates; sizes, areas and read costs follow from them."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import optimize, stats

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.energy.reram import (
    SLOW_MACRO,
    Coefficients,
    array_of,
    power_on,
    slow_macro,
    table_size,
)
from shiftforge.generator.edgebert.energy.reram_cells import (
    CELLS,
    MLC2,
    MLC3,
    SLC,
    CellKind,
    symmetric_cell,
)


def test_error_rates_are_the_derived_ones() -> None:
    """The reference derives about 8e-9 a cell for MLC2 and about 3.8e-3 for MLC3."""
    assert MLC2.rate == pytest.approx(7.848e-9, rel=1e-3)
    assert MLC3.rate == pytest.approx(3.8106e-3, rel=1e-4)
    assert SLC.rate == 0.0  # 83 deviations from the threshold: below the least double
    assert MLC3.rates.argmax() == 6


@pytest.mark.parametrize("kind", CELLS.values(), ids=lambda kind: kind.name)
def test_thresholds_are_where_densities_cross(kind: CellKind) -> None:
    """Against a bracketing root search over scipy's own densities."""
    for (m0, s0), (m1, s1), found in zip(
        kind.levels, kind.levels[1:], kind.thresholds, strict=False
    ):
        low, high = stats.norm(m0, s0), stats.norm(m1, s1)
        wanted = optimize.brentq(lambda x, a=low, b=high: a.logpdf(x) - b.logpdf(x), m0, m1)
        assert found == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    "kind", [*CELLS.values(), MLC3.scaled(2), symmetric_cell(3, 0.01)], ids=lambda kind: kind.name
)
def test_matrices_are_distributions(kind: CellKind) -> None:
    """Rows sum to 1; one-level moves and exact ones leave a level equally often."""
    for matrix in (kind.moves, kind.reads):
        assert np.abs(matrix.sum(axis=1) - 1).max() < 1e-12
        assert matrix.min() >= 0
    apart = np.abs(np.subtract.outer(np.arange(len(kind.levels)), np.arange(len(kind.levels))))
    assert (kind.moves[apart > 1] == 0).all()
    exact = 1 - np.diag(kind.reads)
    assert kind.rates == pytest.approx(exact, abs=1e-12)


def _draws(kind: CellKind, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.zeros((len(kind.levels),) * 2, dtype=np.int64)
    for level, (mean, sigma) in enumerate(kind.levels):
        reads = np.digitize(rng.normal(mean, sigma, count), kind.thresholds)
        found[level] = np.bincount(reads, minlength=len(kind.levels))
    return found


@pytest.mark.parametrize("kind", [MLC3, MLC3.scaled(1.7)], ids=lambda kind: kind.name)
def test_gaussian_reads_follow_the_exact_matrix(kind: CellKind) -> None:
    """Monte Carlo: a million reads of every level, transitions expected 10 times and more."""
    count = 1_000_000
    seen, expected = _draws(kind, count, 0), kind.reads * count
    often = expected >= 10
    statistic = ((seen - expected)[often] ** 2 / expected[often]).sum()
    free = int(often.sum()) - len(kind.levels)
    assert stats.chi2.sf(statistic, free) > 1e-4
    assert seen[~often].sum() < 10 * max(expected[~often].sum(), 1)


def test_monte_carlo_sees_a_wrong_threshold() -> None:
    """Planted: thresholds half way between the means instead of at the intersection."""
    wrong = CellKind("wrong", MLC3.levels, MLC3.rest)
    means = [mean for mean, _ in MLC3.levels]
    half = tuple((a + b) / 2 for a, b in pairwise(means))
    wrong.__dict__["thresholds"] = half
    seen, expected = _draws(MLC3, 1_000_000, 0), wrong.reads * 1_000_000
    often = expected >= 10
    statistic = ((seen - expected)[often] ** 2 / expected[often]).sum()
    assert stats.chi2.sf(statistic, int(often.sum()) - 8) < 1e-12


def test_one_level_moves_lose_little_at_published_levels() -> None:
    assert np.abs(MLC3.moves - MLC3.reads).max() < 1e-7
    assert np.abs(MLC3.scaled(3).moves - MLC3.scaled(3).reads).max() > 1e-2


def test_a_byte_takes_8_4_and_3_cells() -> None:
    assert [kind.byte_cells for kind in (SLC, MLC2, MLC3)] == [8, 4, 3]
    assert [own.bits for own in MLC3.byte_kinds] == [3, 3, 2]
    assert MLC3.byte_kinds[2] == MLC2
    assert MLC3.scaled(2).byte_kinds[2].levels == MLC2.scaled(2).levels


def test_symmetric_cells_have_the_rate_asked_for() -> None:
    for bits in (1, 2, 3, 4):
        kind = symmetric_cell(bits, 1e-5)
        assert kind.rates[0] == pytest.approx(1e-5, rel=1e-9)
        assert kind.rates[1:-1] == pytest.approx(2e-5, rel=1e-9)


@pytest.mark.parametrize(
    "levels", [((0.0, 0.1),), ((0.0, 0.1), (0.5, 0.1), (1.0, 0.1)), ((1.0, 0.1), (0.0, 0.1)),
               ((0.0, 0.1), (1.0, 0.0)), ((0.0, 0.1), (1.0, math.nan))],
)  # fmt: skip
def test_impossible_cells_are_refused(levels: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(InputError):
        CellKind("bad", levels)


def test_refusals_name_the_cell() -> None:
    with pytest.raises(InputError, match="rest"):
        CellKind("3 bits", MLC3.levels)
    with pytest.raises(InputError, match="no threshold between levels at"):
        _ = MLC3.scaled(20).thresholds
    with pytest.raises(InputError):
        symmetric_cell(2, 0.5)


def test_published_sizes() -> None:
    """3.906 M embedding parameters: 30,000 words, 512 positions and 2 types of 128 columns, at
    40 % 1.562 MB of values and 0.488 MB of mask (10^6 bytes), together 1.956 MiB (2^20)."""
    size = table_size(30_000 + 512 + 2, 128, 0.4)
    assert size.rows * size.columns == 3_905_792
    assert round(size.value_bytes / 1e6, 3) == 1.562
    assert round(size.mask_bytes / 1e6, 3) == 0.488
    assert round(size.payload_bytes / 2**20, 3) == 1.956
    words = table_size(30_000, 128, 0.4)
    assert (words.value_bytes, words.mask_bytes) == (1_536_000, 480_000)
    assert words.start_bits == 30_000 * 21


def test_cells_by_kind() -> None:
    size = table_size(1000, 64, 0.25)
    single = 64_000 + 1000 * 14
    for kind, cells in ((SLC, 8), (MLC2, 4), (MLC3, 3)):
        array = array_of(size, kind)
        assert (array.value_cells, array.single_cells) == (16_000 * cells, single)
        share = array.cells / (8 * 2**20)
        assert array.area_mm2 == pytest.approx(share * Coefficients().reram_mm2_mib)


def test_costs_by_hand() -> None:
    """A table of 10 x 64 with 16 codes a row: words of reads, a load, bursts."""
    size = table_size(10, 64, 0.25)
    of = replace(
        Coefficients(), reram_word_ns=2.0, reram_word_pj=3.0, sram_word_ns=1.0, sram_word_pj=5.0,
        sram_write_pj=7.0, dram_byte_pj=11.0, dram_gb_s=4.0, dram_first_ns=100.0,
    )  # fmt: skip
    assert size.bytes == 160 + 80 + 10
    found = power_on(size, MLC2, tokens=3, sentences=2, seconds=2.0, of=of)
    # A start, a word of mask, 64 cells of values in two comparisons: 4 steps, for 6 rows.
    assert (found.reram.ns, found.reram.pj) == (6 * 4 * 2, 6 * 4 * 3)
    assert found.load.ns == 100 + 250 / 4
    assert found.load.pj == 250 * 11 + 32 * 7
    assert found.conventional.ns == found.load.ns + 6 * 4
    assert found.conventional.pj == found.load.pj + 6 * 4 * 5
    assert found.on_demand.pj == 6 * 2 * 32 * 11
    leak = 250 / 2**20 * of.sram_leak_mw_mib * 2e-3  # J
    assert found.sram_leak_pj == pytest.approx(leak * 1e12)


def test_more_bits_a_cell_are_smaller_and_slower() -> None:
    size = table_size(30_514, 128, 0.4)
    costs = [power_on(size, kind) for kind in (SLC, MLC2, MLC3)]
    areas = [cost.reram_mm2 for cost in costs]
    assert areas == sorted(areas, reverse=True)
    assert costs[0].reram.ns < costs[1].reram.ns < costs[2].reram.ns
    assert all(cost.reram.pj < cost.conventional.pj for cost in costs)


def test_every_coefficient_has_source_and_trust() -> None:
    allowed = {"published figure", "published model", "assumed"}
    for field in fields(Coefficients):
        assert field.metadata["trust"] in allowed
        assert len(field.metadata["source"]) > 20
    assert set(Coefficients().sources()) == {field.name for field in fields(Coefficients)}
    slow = slow_macro()
    assert {f.name for f in fields(slow) if getattr(slow, f.name) != f.default} == set(SLOW_MACRO)


def test_bad_tables_are_refused_at_once() -> None:
    with pytest.raises(InputError) as caught:
        table_size(0, 4, 1.5)
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError):
        power_on(table_size(4, 4, 0.5), SLC, tokens=0)
