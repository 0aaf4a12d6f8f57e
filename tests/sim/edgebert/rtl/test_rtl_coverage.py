"""What the streams of the block benches bring up, and that a gap is refused."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from column_cases import build_column, check_column, directed, masks
from matmul_cases import small
from rtl_coverage import Coverage, column_coverage, mask_coverage

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.unit import UnitConfig

SLOW = pytest.mark.slow


def covered(config: UnitConfig, without: str = "") -> Coverage:
    """All directed streams, but for one."""
    streams = directed(config)
    assert not without or without in streams
    kept = [sums for name, sums in streams.items() if name != without]
    return reduce(add, [column_coverage(config, s.a, s.b, s.post) for s in kept])


@pytest.mark.parametrize(
    ("lanes", "changes"),
    [
        (2, {}),
        (4, {"weights": "shift", "terms": 2}),
        pytest.param(4, {}, marks=SLOW),
        pytest.param(4, {"weights": "shift"}, marks=SLOW),
        pytest.param(16, {"accumulator": "exact"}, marks=SLOW),
        pytest.param(8, {"af_bits": 6, "exp_bits": 2}, marks=SLOW),
    ],
    ids=str,
)
def test_every_point_is_hit_and_equals_golden(lanes: int, changes: dict[str, Any]) -> None:
    config = small(lanes, **changes)
    found = covered(config)
    print(found.table())
    assert found.require() == len(found.hits) > 60
    streams = list(directed(config).values())
    assert check_column(config, build_column(config), streams) == sum(len(s.a) for s in streams)


@pytest.mark.parametrize(
    ("without", "point"),
    [
        ("masks", "A mask of odd lanes"),
        ("exponents", "exponent difference 7"),
        ("saturation", "accumulator saturates low"),
        ("shift by 0", "shift by 0"),
        ("shift left", "shift saturates high"),
        ("bias down", "bias saturates low"),
        ("ReLU", "ReLU on, negative"),
        ("carry past the largest", "conversion: carry past the largest"),
    ],
)
def test_a_stream_that_lacks_a_point_is_refused(without: str, point: str) -> None:
    with pytest.raises(CheckFailed, match="not hit: ") as caught:
        covered(small(4), without).require()
    assert point in str(caught.value).split(": ", 2)[2].split("; ")


def test_points_of_masks() -> None:
    vectors = np.where(masks(4), 0x85, 0x80)
    found = mask_coverage(np.concatenate([vectors, [[0, 1, 1, 1]]]), 0x7F, "B")
    assert found.require() == 10
    assert found.hits["B mask empty"] == found.hits["B mask of lane 2 alone"] == 1
    with pytest.raises(CheckFailed, match="1 of 10 points not hit: B zero, positive"):
        mask_coverage(vectors, 0x7F, "B").require()
    with pytest.raises(CheckFailed, match="no points"):
        Coverage({}).require()
