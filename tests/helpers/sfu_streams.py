"""Stimulus of the special function unit's blocks and golden's results, for all their benches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sfu_cases import vectors
from sfu_model import pack_lanes

from shiftforge.generator.edgebert.sfu import TILES_IN_FLIGHT, SfuConfig
from shiftforge.sim.golden.edgebert.add import add_af
from shiftforge.sim.golden.edgebert.afcode import AfFormat, af_to_fixed, fixed_to_af
from shiftforge.sim.golden.edgebert.dvfs import choose, row_scale
from shiftforge.sim.golden.edgebert.entropy import entropy, exits
from shiftforge.sim.golden.edgebert.gelu import gelu
from shiftforge.sim.golden.edgebert.layernorm import layer_norm, norm_constants
from shiftforge.sim.golden.edgebert.softmax import softmax_af, span_rows, span_table

Beat = dict[str, int]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """beats: the inputs of a row, a vector each. want: a tuple an output transfer.

    Of a block that works on tiles: those of ``count`` rows, the vectors of one step of all rows
    before those of the next, as the results are. settings: what changes before the first vector.
    """

    beats: list[Beat]
    want: list[tuple[int, ...]]
    settings: Beat | None = None
    count: int = 1


@dataclass(frozen=True)
class Group:
    """Rows that share tables; writes: what fills these."""

    rows: list[Row]
    writes: list[Beat] = field(default_factory=list)


def score_rows(config: SfuConfig, seed: int, most: int) -> list[Ints]:
    """Random rows of many lengths and spreads, and the extremes of 32 bits."""
    rng = np.random.default_rng(seed)
    top, n, one = 2**31, config.lanes, 1 << config.fraction
    rows = [
        np.array([7]),
        np.array([-top]),
        np.array([-top, top - 1]),
        np.full(config.row, -top),
        np.full(n + 1, top - 1),
        np.arange(config.row) * one // 8,
        -np.arange(n - 1 + n) * one * 3,
    ]
    for _ in range(most):
        length = int(rng.choice([rng.integers(1, config.row + 1), rng.integers(1, 3 * n)]))
        spread = one * float(rng.choice([0.01, 1, 4, 40]))
        rows.append((rng.normal(0, spread, length) + rng.normal(0, 40 * one)).astype(np.int64))
    return rows


def tuples(values: NDArray[Any], lanes: int) -> list[tuple[int, ...]]:
    """A row's results, vector by vector; what is past the row is 0."""
    return [tuple(vector) for vector in vectors(values.astype(np.int64), lanes, 0)]


def in_turn(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The first vectors of all rows, then the second ones, and so on."""
    return [vector for step in zip(*rows, strict=True) for vector in step]


def tile(rows: Sequence[Ints], lanes: int, bits: int, padding: int) -> list[Beat]:
    """The vectors of a tile. Padding is no zero: it must not matter."""
    cut = in_turn([vectors(row, lanes, padding) for row in rows])
    return [{"in_data": pack_lanes(vector, bits)} for vector in cut]


def placed(config: SfuConfig, size: int, rows: int, rng: np.random.Generator) -> Beat:
    """Settings of the tile buffer; in some cases results must wait."""
    slots, pause = int(rng.integers(1, TILES_IN_FLIGHT + 1)), int(rng.choice([0, 0, 9]))
    return {"len": size, "last_row": rows - 1, "slots": slots, "pause": pause}


def like(row: Ints, count: int, rng: np.random.Generator, one: int) -> list[Ints]:
    """The row and count - 1 random ones of its length."""
    more = rng.normal(0, 3 * one, (count - 1, len(row))) + rng.normal(0, 9 * one, (count - 1, 1))
    return [row, *more.astype(np.int64)]


def softmax_group(config: SfuConfig, most: int, seed: int = 11) -> Group:
    rng = np.random.default_rng(seed)
    fmt, n = AfFormat(config.af_bits, config.exp_bits), config.lanes
    table = span_table(256 * 9 + 77, 17, config.row)
    rows = []
    for row in score_rows(config, 5, most):
        # A few tiles under one setting, fewer of long rows.
        each = int(rng.integers(1, n + 1)) if len(row) <= 8 * n else int(rng.integers(1, 3))
        count = int(rng.integers(1, 6)) if len(row) <= 8 * n else int(rng.integers(1, 3))
        count = min(count, config.row // n)  # every row has a place in the span's table
        query = int(rng.integers(0, max(1, min(len(row), config.row - count * n))))
        bias = int(rng.choice([-10, -8, -7, -20, 3]))
        setting: Beat | None = {"query": query, "out_bias": bias}
        setting |= placed(config, len(row), each, rng)
        scores = like(row, each * count, rng, 1 << config.fraction)
        for number in range(count):
            own = scores[number * each : (number + 1) * each]
            first = query + number * n
            masks = span_rows(table, first + each, len(row))[first:]
            codes = softmax_af(np.stack(own), config.fraction, bias, masks, fmt)
            want = in_turn([tuples(values, n) for values in codes])
            rows.append(Row(tile(own, n, 32, 2**31 - 1), want, setting, each))
            setting = None
    writes = [{"mask_addr": x, "mask_data": int(value)} for x, value in enumerate(table)]
    return Group(rows, writes)


def entropy_group(config: SfuConfig, most: int, seed: int = 12) -> Group:
    """want: (exit, entropy). Thresholds at the value, on both sides of it, and anywhere."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, row in enumerate(score_rows(config, 6, most)):
        value = int(entropy(row[None], config.fraction)[0])
        threshold = max(value + number % 3 - 1, 0) if number % 4 else int(rng.integers(0, 1 << 32))
        setting: Beat | None = {"threshold": threshold, **placed(config, len(row), 1, rng)}
        for own in like(row, int(rng.integers(1, 4)), rng, 1 << config.fraction):
            value = int(entropy(own[None], config.fraction)[0])
            want = [(int(exits(value, threshold)), value)]
            rows.append(Row(tile([own], config.lanes, 32, 2**31 - 1), want, setting))
            setting = None
    return Group(rows)


def norm_rows(
    config: SfuConfig, size: int, rng: np.random.Generator, most: int
) -> list[tuple[Ints, str]]:
    """Random rows of many means and spreads, constant rows, outliers, and 32-bit extremes."""
    one, top = 1 << config.fraction, 2**31
    outlier = rng.integers(-3, 4, size)
    outlier[size // 2] = (1 << 19) - 1
    rows = [
        np.full(size, 0),
        np.full(size, -37),
        np.full(size, top - 1),
        np.where(np.arange(size) % 2 == 0, -top, top - 1),
        np.where(np.arange(size) == 0, 1, 0),
        np.where(np.arange(size) == size - 1, -top, 5),
        outlier,
    ]
    for _ in range(most):
        spread = float(rng.choice([2, 40, one, 12 * one, 100 * one]))
        rows.append(np.rint(rng.normal(0, spread, size) + rng.normal(0, 2 * spread)))
    return [(row.astype(np.int64), "fixed") for row in rows] + [
        (rng.integers(0, 1 << config.af_bits, size), "code") for _ in range(max(most // 2, 2))
    ]


def norm_tiles(
    rows: Sequence[tuple[Ints, str]], lanes: int, rng: np.random.Generator
) -> Iterator[tuple[str, list[list[Ints]]]]:
    """Tiles of one kind and of as many rows each, up to three a setting."""
    for kind in ("fixed", "code"):
        left = [row for row, own in rows if own == kind]
        while left:
            each = min(int(rng.integers(1, lanes + 1)), len(left))
            count = min(int(rng.integers(1, 4)), len(left) // each)
            yield kind, [left[i * each : (i + 1) * each] for i in range(count)]
            left = left[each * count :]


def norm_groups(config: SfuConfig, sizes: list[int], most: int, seed: int = 21) -> list[Group]:
    """want: the lanes' fixed point, then their codes."""
    rng = np.random.default_rng(seed)
    fmt, n = AfFormat(config.af_bits, config.exp_bits), config.lanes
    groups = []
    for size, epsilon, gamma_frac in [
        (size, epsilon, gamma_frac)
        for size in sizes
        for epsilon, gamma_frac in ((0.0, int(rng.integers(0, 16))), (1e-3, 12))
    ]:
        # Up to what fits 32 bits.
        host = norm_constants(
            size, config.fraction, min(epsilon, 2.0 ** (23 - 2 * config.fraction) / size)
        )
        gamma = rng.integers(-(1 << 15), 1 << 15, size)
        beta = rng.integers(-1000, 1000, size) << int(rng.choice([0, 5, 21]))
        if gamma_frac == 12:
            gamma = rng.integers(3000, 5000, size)
        pairs = zip(vectors(gamma, n, -1), vectors(beta, n, -1), strict=True)
        writes = [
            {"param_addr": at, "gamma": pack_lanes(g, 16), "beta": pack_lanes(b, 32)}
            for at, (g, b) in enumerate(pairs)
        ]
        setting = {
            "recip": host.reciprocal,
            "len_bits": host.size_bits,
            "root": host.root,
            "root_shift": host.root_shift,
            "epsilon": host.epsilon,
            "gamma_frac": gamma_frac,
        }
        tiles: list[Row] = []
        for kind, several in norm_tiles(norm_rows(config, size, rng, most), n, rng):
            in_bias, out_bias = int(rng.integers(-20, 14)), int(rng.choice([-10, -5, -4, -3]))
            more = {"from_code": int(kind == "code"), "in_bias": in_bias, "out_bias": out_bias}
            own: Beat | None = {**setting, **more, **placed(config, size, len(several[0]), rng)}
            for rows in several:
                whole = np.stack(rows)
                x = af_to_fixed(whole, in_bias, config.fraction, fmt) if kind == "code" else whole
                y = layer_norm(x, gamma, beta, gamma_frac, host)
                codes = fixed_to_af(y, config.fraction, out_bias, fmt)
                values = [
                    [a + b for a, b in zip(tuples(one, n), tuples(two, n), strict=True)]
                    for one, two in zip(y, codes, strict=True)
                ]
                beats = tile(rows, n, 32, 1 if kind == "code" else 77)
                tiles.append(Row(beats, in_turn(values), own, len(rows)))
                own = None
        groups.append(Group(tiles, writes))
    return groups


def gelu_group(config: SfuConfig, step: int = 1) -> Group:
    """All 16-bit values in steps, both sides of every cut, the ends of 32 bits, random ones."""
    n, top = config.lanes, 2**31
    t = np.arange(-(1 << 15), 1 << 15, step, dtype=np.int64)
    edge = np.arange(-40, 41)
    far = [-top, -top + 1, top - 1, top - 2, *(s * (1 << k) for k in range(31) for s in (-1, 1))]
    cut = 4 << config.fraction
    t = np.concatenate([t, cut + edge, -cut - edge, np.array(far), edge])
    t = np.concatenate(
        [t, np.random.default_rng(2).integers(-2 * cut, 2 * cut, max(5000 // step, 1))]
    )
    lanes = t[: len(t) // n * n].reshape(-1, n)
    want = gelu(lanes, config.fraction).tolist()
    return Group(
        [
            Row([{"data": pack_lanes(x, 32)}], [tuple(y)])
            for x, y in zip(lanes.tolist(), want, strict=True)
        ]
    )


def sum_group(config: SfuConfig, pairs: int, more: int) -> Group:
    """The first pairs of codes at one set of biases, then random codes at extreme biases too."""
    fmt, n = AfFormat(config.af_bits, config.exp_bits), config.lanes
    rng = np.random.default_rng(3)
    low, high = -36, 40  # what golden takes: at most 40 fraction bits
    codes = 1 << config.af_bits
    a, b = (x.reshape(-1, n) for x in np.divmod(np.arange(min(codes * codes, pairs)), codes))
    sets = [(-10, -9, -9)] * len(a)
    extra = rng.integers(0, codes, (2, more, n))
    for row in range(more):
        bias_a = int(rng.integers(low, high + 1))
        bias_b = int(np.clip(bias_a + rng.integers(-16, 17), low, high))
        near = int(np.clip(max(bias_a, bias_b) + rng.integers(-9, 10), -64, 63))
        sets.append((bias_a, bias_b, near if row % 4 else int(rng.choice([-64, 63]))))
    a, b = np.concatenate([a, extra[0]]), np.concatenate([b, extra[1]])
    groups: dict[tuple[int, int, int], list[int]] = {}
    for row, biases in enumerate(sets):
        groups.setdefault(biases, []).append(row)
    want = np.zeros(a.shape, dtype=np.int64)
    for (bias_a, bias_b, bias_o), rows in groups.items():
        want[rows] = add_af(a[rows], bias_a, b[rows], bias_b, bias_o, fmt)
    ports = ("a_bias", "b_bias", "out_bias")
    found, before = [], None
    for x, y, biases, z in zip(a.tolist(), b.tolist(), sets, want.tolist(), strict=True):
        beat = {"a": pack_lanes(x, fmt.bits), "b": pack_lanes(y, fmt.bits)}
        settings = dict(zip(ports, biases, strict=True)) if biases != before else None
        found.append(Row([beat], [tuple(z)], settings))
        before = biases
    return Group(found)


def dvfs_groups(config: SfuConfig, sets: int, cases: int = 60) -> list[Group]:
    """want: (layer, point, late)."""
    rng = np.random.default_rng(31)
    groups = []
    for _ in range(sets):
        rows = int(rng.choice([1, 100, config.predictor_rows]))
        classes, layers = int(rng.choice([2, 3, 5])), int(rng.choice([2, 12, 24]))
        points = int(rng.choice([1, 5, 16]))
        table = np.sort(rng.integers(0, layers + 3, rows)).tolist()
        frequencies = np.sort(rng.integers(100, 4097, points)).tolist()
        writes = [{"layer_we": 1, "layer_addr": x, "layer_data": y} for x, y in enumerate(table)]
        writes += [
            {"point_we": 1, "point_addr": x, "point_data": y} for x, y in enumerate(frequencies)
        ]
        scale, top = row_scale(classes, rows), int(2**16 * np.log(classes)) + 1
        setting = {"rows": rows, "points": points, "layers": layers, "scale": scale}
        decisions = []
        for case in range(cases):
            value = int(rng.integers(0, top + 1)) if case else 2**32 - 1
            threshold = int(rng.choice([0, value - 1, value, value + 1, top // 3]))
            threshold = min(max(threshold, 0), 2**32 - 1)
            cycles = int(rng.choice([1, 1000, 10**6, 2**32 - 1]))
            left = int(rng.choice([-(2**40), -5, 0, 1, 2**40 - 1]))
            if case % 5:
                left = int(cycles * layers * float(rng.uniform(0.2, 8)))
            if case % 5 == 2:  # just in time, or a cycle short, at one of the points
                chosen = choose(value, threshold, table, scale, layers, cycles, 1, frequencies)
                work = (chosen.layer - 1) * cycles * 4096
                left = max(-(-work // int(rng.choice(frequencies))) - case % 2, 0)
            if case % 5 == 3:  # exactly in time
                cycles = 997 * int(frequencies[0])
                chosen = choose(value, threshold, table, scale, layers, cycles, 1, frequencies)
                left = (chosen.layer - 1) * 997 * 4096
            left = min(left, 2**40 - 1)
            found = choose(value, threshold, table, scale, layers, cycles, left, frequencies)
            more = {"entropy": value, "threshold": threshold, "left": left}
            beat = {**setting, **more, "layer_cycles": cycles}
            decisions.append(Row([beat], [(found.layer, found.point, int(found.late))]))
        groups.append(Group(decisions, writes))
    return groups
