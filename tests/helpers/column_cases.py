"""One column of the array in the file bench: the code of each row against golden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rtl_coverage import ColumnPost
from scoreboard import check_rows
from sfu_model import Ports, SfuModel, build_with_files

from shiftforge.generator.edgebert.rtl import render_bench, render_unit
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.golden.edgebert.afcode import AfFormat, signed_value
from shiftforge.sim.golden.edgebert.mac import accumulate, shift_values
from shiftforge.sim.golden.edgebert.post import Activation, post_af

INT32 = (-(1 << 31), (1 << 31) - 1)
SETTLE = 24  # cycles after which nothing is under way and the post-processing may change
FILES = ("column_bench", "pu_af_decode", "pu_lane", "pu_vmac", "pu_acc", "pu_post")


@dataclass(frozen=True)
class Sums:
    """Rows of vectors: a, b (sums, steps, lanes) codes; each sum leaves as one code."""

    a: NDArray[np.uint8]
    b: NDArray[np.uint8]
    post: ColumnPost


def ports(config: UnitConfig) -> Ports:
    n = config.lanes
    return Ports(
        "column_bench",
        (
            *(("valid", 1), ("nonzero", 1), ("first", 1), ("last", 1)),
            ("row", n.bit_length() - 1),
            *(("a", n * config.af_bits), ("b", n * config.b_bits), ("b_codes", 1), ("pass", 3)),
            *(("relu", 1), ("frac", 5), ("out_bias", 8), ("shift", 7), ("bias", 32)),
        ),
        (
            *(("acc_valid", 1), ("acc", config.acc_bits)),
            *(("fixed_valid", 1), ("fixed", 32), ("code", config.af_bits)),
        ),
        valid="code_valid_o",
    )


def build_column(config: UnitConfig, replace: Mapping[str, str] | None = None) -> SfuModel:
    text = {**render_unit(config), **render_bench(config), **(replace or {})}
    names = [f"{name}.sv" for name in (*FILES, "pu_to_af")]
    return build_with_files({name: text[name] for name in names}, ports(config))


def accumulators(config: UnitConfig, sums: Sums) -> NDArray[np.int64]:
    """(sums, steps): golden's accumulator after each step."""
    fmt = AfFormat(config.af_bits, config.exp_bits)
    left = signed_value(sums.a, fmt)
    if config.weights == "af":
        right = signed_value(sums.b, fmt)
    else:
        right = shift_values(sums.b, config.terms)
    tree: NDArray[np.int64] = (left * right).sum(axis=2)
    found = np.zeros_like(tree)
    acc = np.zeros(len(tree), dtype=np.int64)
    for step in range(tree.shape[1]):
        acc = acc + tree[:, step]
        if config.accumulator == "sat32":
            acc = np.clip(acc, -(1 << 31), (1 << 31) - 1)
        found[:, step] = acc
    # Some of them by golden's matrix product.
    for number in range(0, len(left), max(len(left) // 8, 1)):
        row, column = left[number].reshape(1, -1), right[number].reshape(-1, 1)
        whole = accumulate(row, [column], config.lanes, config.accumulator)
        assert int(whole[0, 0]) == found[number, -1]
    return found


def want(config: UnitConfig, sums: Sums) -> NDArray[np.uint8]:
    """(sums,) codes."""
    acc = accumulators(config, sums)[:, -1:]
    p = sums.post
    fmt = AfFormat(config.af_bits, config.exp_bits)
    activation: Activation = "relu" if p.relu else "none"
    return post_af(acc, p.shift, p.bias, activation, p.frac, p.out_bias, fmt)[:, 0]


def _packed(codes: NDArray[np.uint8], bits: int) -> list[int]:
    """(vectors, lanes) codes as integers, lane 0 lowest."""
    wide = np.unpackbits(codes[:, :, None], axis=2, count=bits, bitorder="little")
    data = np.packbits(wide.reshape(len(codes), -1), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in data]


def words(config: UnitConfig, sums: Sums) -> list[dict[str, int]]:
    """The words of the bench; n sums at a time take turns, one accumulator each."""
    count, steps, n = sums.a.shape
    setting = {key: int(value) for key, value in vars(sums.post).items()}
    order = [
        (at + row, step)
        for at in range(0, count, n)
        for step in range(steps)
        for row in range(min(n, count - at))
    ]
    index = np.array(order)
    a = sums.a[index[:, 0], index[:, 1]]
    b = sums.b[index[:, 0], index[:, 1]]
    found = [
        {
            **setting,
            "valid": 1,
            "nonzero": int(nonzero),
            "first": int(step == 0),
            "last": int(step == steps - 1),
            "row": number % n,
            "a": left,
            "b": right,
        }
        for (number, step), nonzero, left, right in zip(
            order,
            a.any(axis=1).tolist(),
            _packed(a, config.af_bits),
            _packed(b, config.b_bits),
            strict=True,
        )
    ]
    return found + [setting] * SETTLE


def check_column(config: UnitConfig, model: SfuModel, cases: Sequence[Sums]) -> int:
    """The number of codes compared; raises CheckFailed at the first difference."""
    stream = [word for sums in cases for word in words(config, sums)]
    run = model.run(stream, drain=40)
    got = np.array([[r["code"]] for r in run.outputs], dtype=np.int64).reshape(-1, 1)
    codes = np.concatenate([want(config, sums) for sums in cases]).astype(np.int64)
    numbers = [number for sums in cases for number in range(len(sums.a))]
    return check_rows("column", got, codes[:, None], numbers, ("code",))


def pairs(config: UnitConfig, lane: int, post: ColumnPost) -> Sums:
    """Every activation code with every weight code, in one lane, one step."""
    left, right = 1 << config.af_bits, 1 << config.weight_bits
    a = np.zeros((left * right, 1, config.lanes), dtype=np.uint8)
    b = np.zeros((left * right, 1, config.lanes), dtype=np.uint8)
    a[:, 0, lane], b[:, 0, lane] = np.divmod(np.arange(left * right), right)
    return Sums(a, b, post)


def masks(lanes: int) -> NDArray[np.bool_]:
    """(patterns, lanes): empty, full, each lane alone, both alternations."""
    index = np.arange(lanes)
    rows = [index < 0, index >= 0, index % 2 == 0, index % 2 == 1]
    return np.array([*rows, *(index == lane for lane in range(lanes))])


def directed(config: UnitConfig) -> dict[str, Sums]:
    """Streams that bring up every point of the column's coverage together."""
    n, m, top = config.lanes, config.man_bits, (1 << config.exp_bits) - 1
    af = config.weights == "af"
    sign_a = 1 << (config.af_bits - 1)
    sign_b = sign_a if af else (0x88 if config.terms == 2 else 0x8)
    most_b = sign_b - 1 if af else (0x77 if config.terms == 2 else 0x7)
    # A weight of 2^scale.
    one, scale = (1 << m, m + 1) if af else (1, 0)
    rng = np.random.default_rng(41)
    plain = ColumnPost(scale, 0, False, 0, m)

    pattern = masks(n)
    left, right = (x.ravel() for x in np.indices((len(pattern), len(pattern))))
    a = rng.integers(1, sign_a, (len(left), n)) | sign_a * rng.integers(0, 2, (len(left), n))
    b = np.full((len(left), n), most_b) | sign_b * rng.integers(0, 2, (len(left), n))
    zeros = sign_a * rng.integers(0, 2, a.shape), sign_b * rng.integers(0, 2, b.shape)
    a, b = np.where(pattern[left], a, zeros[0]), np.where(pattern[right], b, zeros[1])
    post = ColumnPost(12, 0, False, 4, 2)
    streams = {"masks": Sums(a[:, None].astype(np.uint8), b[:, None].astype(np.uint8), post)}

    codes = (np.arange(top + 1) << m) + 1
    weights = codes if af else np.arange(1, 8)
    shifts = [0] if af else [4 * term for term in range(config.terms)]
    grid = np.array([(x, w << s) for x in codes for w in weights for s in shifts])
    operands = np.zeros((2, len(grid), 1, n), dtype=np.uint8)
    operands[:, :, 0, -1] = grid.T
    streams["exponents"] = Sums(operands[0], operands[1], ColumnPost(8, 0, False, 4, 2))

    if config.accumulator == "sat32":
        largest = ((2 << m) - 1) << top
        term = largest if af else 64 * config.terms
        steps = (1 << 31) // (n * largest * term) + 2
        ends = np.full((2, steps, n), sign_a - 1, dtype=np.uint8)
        ends[1] |= sign_a
        full = np.full((2, steps, n), most_b, dtype=np.uint8)
        streams["saturation"] = Sums(ends, full, ColumnPost(16, 0, False, 0, 8))

    every = np.zeros((2 * sign_a, 1, n), dtype=np.uint8)
    every[:, 0, 0] = np.arange(2 * sign_a)
    times = np.zeros_like(every)
    times[:, 0, 0] = one
    for name, post in {
        "shift by 0": ColumnPost(0, 0, False, 0, m),
        "every exponent": plain,
        "shift right by 1": ColumnPost(scale + 1, 0, False, 0, m),
        "shift right by 2": ColumnPost(scale + 2, 0, False, 3, m),
        "shift left": ColumnPost(scale - 40, 0, False, 0, 20),
        "bias up": ColumnPost(scale, INT32[1], True, 0, 20),
        "bias down": ColumnPost(scale, INT32[0], False, 0, 20),
        "ReLU": ColumnPost(scale, 0, True, 0, m),
        "small": ColumnPost(scale, 0, False, 0, m + 1),
        "large": ColumnPost(scale, 0, False, 0, m - 1),
        "odd": ColumnPost(scale, 1, False, 0, m),
        "carry past the largest": ColumnPost(scale, 1 << (top - 2), False, 0, m - 1),
    }.items():
        streams[name] = Sums(every, times, post)
    return streams
