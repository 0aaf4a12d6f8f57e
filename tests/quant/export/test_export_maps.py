"""ONNX Runtime against golden on random networks of every operator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from golden_cases import one_conv
from numpy.typing import NDArray
from random_maps import random_maps
from random_networks import random_frames

from shiftforge.quant.export.runtime import run_onnx
from shiftforge.quant.export.wide_sums import is_wide, parts
from shiftforge.quant.graph.types import Concat, Grid, QuantizedModel, Tensor
from shiftforge.sim.golden.conv.network import run_golden

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def differing(model: QuantizedModel, codes: NDArray[np.integer]) -> list[str]:
    """Tensors of which ONNX Runtime has other codes than golden."""
    wanted, given = run_golden(model, codes), run_onnx(model, codes)
    assert wanted.keys() == given.keys()
    return [n for n in wanted if not np.array_equal(wanted[n].astype(np.int64), given[n])]


@pytest.mark.parametrize("seed", range(40))
def test_networks_of_every_operator(seed: int) -> None:
    model = random_maps(seed)
    assert differing(model, random_frames(model, seed)) == []


@pytest.mark.slow
def test_a_thousand_networks_of_every_operator() -> None:
    for seed in range(1000, 2000):
        model = random_maps(seed)
        assert differing(model, random_frames(model, seed)) == [], seed


@pytest.mark.parametrize(("groups", "out"), [(1, Grid(32, True, 8)), (3, Grid(8, True, 18))])
def test_sums_that_float32_does_not_hold(groups: int, out: Grid) -> None:
    """Large weights over many inputs; odd sums near 2^28, which float32 would round."""
    rng = np.random.default_rng(groups)
    weight = rng.integers(90, 128, (6, 300 // groups, 5, 7))
    model = one_conv(weight, Tensor("x", 300, 5, 7, Grid(8, False, 0)), out=out, groups=groups)
    (node,) = model.conv_nodes()
    model = replace(model, nodes=(replace(node, acc_bits=np.full(6, 32, np.uint8)),))
    assert is_wide(node, model.tensors["x"].grid)
    assert len(parts(node, model.tensors["x"].grid)) > 3
    codes = rng.integers(200, 256, (2, 300, 5, 7))
    assert differing(model, codes) == []


def test_a_planted_base_of_a_concatenation_is_seen() -> None:
    model = next(
        m for m in map(random_maps, range(100))
        if any(isinstance(n, Concat) and len(set(n.inputs)) > 1 for n in m.nodes)
        and isinstance(m.nodes[-1], Concat)
    )  # fmt: skip
    last = model.nodes[-1]
    assert isinstance(last, Concat)
    spoilt = replace(model, nodes=(*model.nodes[:-1], replace(last, inputs=last.inputs[::-1])))
    codes = random_frames(model, 1)
    wanted, given = run_golden(model, codes), run_onnx(spoilt, codes)
    assert not np.array_equal(wanted[last.output].astype(np.int64), given[last.output])
