"""Vector order and bit-mask storage of the EdgeBERT unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftforge.errors import InputError
from shiftforge.sim.golden.edgebert.bitmask import (
    Codes,
    Stream,
    checkpoints,
    decode,
    encode,
    from_vectors,
    to_vectors,
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40),
    depth=st.integers(1, 40),
    n=st.sampled_from([2, 4, 8, 16, 32]),
    density=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    seed=st.integers(0, 1000),
)
def test_round_trip(rows: int, depth: int, n: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 256, (rows, depth)) * (rng.random((rows, depth)) < density)
    vectors = to_vectors(matrix, n)
    assert vectors.shape == (-(-rows // n) * n * -(-depth // n), n)
    stream = encode(vectors)
    back = from_vectors(decode(stream), rows, depth)
    assert np.array_equal(back, np.where(matrix == 0x80, 0, matrix))
    assert all((bank & 0x7F).all() for bank in stream.banks)
    assert sum(map(len, stream.banks)) == sum(int(m).bit_count() for m in stream.masks)


def test_blocked_order_by_its_formula() -> None:
    n, rows, depth = 4, 10, 9
    matrix = np.arange(rows * depth).reshape(rows, depth)
    vectors, k_steps = to_vectors(matrix, n), -(-depth // n)
    for r in range(rows):
        for q in range(k_steps):
            vector = vectors[((r // n) * k_steps + q) * n + r % n]
            expected = matrix[r, q * n : q * n + n]
            assert vector[: len(expected)].tolist() == expected.tolist()
            assert not vector[len(expected) :].any()


def test_transposed_drain_is_blocked_order_of_the_transpose() -> None:
    n = 4
    v = np.arange(8 * 12, dtype=np.uint8).reshape(8, 12)
    drained = [
        v[row : row + n, column + lane]
        for column in range(0, 12, n)
        for row in range(0, 8, n)
        for lane in range(n)
    ]
    assert np.array_equal(np.array(drained), to_vectors(v.T, n))


def test_values_go_to_the_bank_of_their_lane() -> None:
    stream = encode(np.array([[1, 0, 0x80, 2], [0, 0, 0, 0], [3, 4, 5, 0x81]]))
    assert stream.masks.tolist() == [0b1001, 0, 0b1111]
    assert [bank.tolist() for bank in stream.banks] == [[1, 3], [4], [5], [2, 0x81]]
    assert checkpoints(stream, 1).tolist() == [[0, 0, 0, 0], [1, 0, 0, 1], [1, 0, 0, 1]]
    assert checkpoints(stream, 2).tolist() == [[0, 0, 0, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("kind", "zeros"),
    [("af", {0x00, 0x80}), ("shift1", {0x0, 0x8}), ("shift2", {0x00, 0x08, 0x80, 0x88})],
)
def test_which_codes_are_zero(kind: Codes, zeros: set[int]) -> None:
    count = 16 if kind == "shift1" else 256
    masks = encode(np.arange(count)[:, None], kind).masks
    assert {c for c in range(count) if not masks[c]} == zeros


def test_a_dropped_mask_bit_is_seen() -> None:
    stream = encode(np.full((3, 4), 7))
    masks = stream.masks.copy()
    masks[1] &= 0b1011
    with pytest.raises(InputError):
        decode(replace(stream, masks=masks))
    with pytest.raises(InputError):
        encode(np.zeros((2, 33)))
    assert isinstance(stream, Stream)
