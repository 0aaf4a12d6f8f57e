"""The fake-quantised network against plain Python integers, and the float checkpoints."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from calibrate_cases import small_graph, smooth_images

from shiftforge.errors import InputError
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.graph.types import (
    Add,
    Conv,
    Grid,
    Pool,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
)
from shiftforge.quant.quantize import Quantisation, quantize
from shiftforge.quant.simulate import run_fake_quantised, run_float_checkpoints


def tiny(multiplier: bool) -> QuantizedModel:
    """Convolution, addition and pool on 2x4x4 with grids that all differ."""
    rng = np.random.default_rng(1)
    weight = rng.choice([0, 1, -3, 40, 96, -64], (2, 2, 3, 3)).astype(np.int8)
    x, y = Tensor("x", 2, 4, 4, Grid(8, True, -5)), Tensor("y", 2, 4, 4, Grid(8, True, -3))
    s, p = Tensor("s", 2, 4, 4, Grid(8, True, -4)), Tensor("p", 2, 1, 1, Grid(8, True, -6))
    z = np.array([-6, -8], np.int8)
    r = y.grid.exponent - x.grid.exponent - z.astype(np.int64)
    conv = Conv(
        "c", "c", "x", "y", weight, z, np.array([37, -5], np.int32), ShiftFormat(), 1,
        (1, 1, 1, 1), 1, 1, -100, 127, np.array([24, 24], np.uint8),
        np.array([3 << 29, (1 << 30) + 1], np.int64) if multiplier else None,
        r + 30 if multiplier else None,
    )  # fmt: skip
    pool = Pool("p", "p", "s", "p", 16, 6, -128, 127)
    nodes = (conv, Add("a", "a", "x", "y", "s", -128, 127), pool)
    return QuantizedModel(
        "tiny", Preprocess(2, 4, 4, (0.0,) * 2, (1.0,) * 2), "x", "p",
        {t.name: t for t in (x, y, s, p)}, nodes,
    )  # fmt: skip


@pytest.mark.parametrize("multiplier", [False, True])
def test_equals_plain_integers(multiplier: bool) -> None:
    """Fractions round half to even in Python itself."""
    model = tiny(multiplier)
    codes = np.random.default_rng(2).integers(-128, 128, (3, 2, 4, 4))
    found = run_fake_quantised(model, codes)
    conv = model.conv_nodes()[0]
    padded = np.pad(codes, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for n, o, i, j in np.ndindex(3, 2, 4, 4):
        window = padded[n, :, i : i + 3, j : j + 3]
        acc = int((window * conv.weight[o].astype(int)).sum()) + int(conv.bias[o])
        if conv.multiplier is not None and conv.shift is not None:
            exact = Fraction(acc * int(conv.multiplier[o]), 1 << int(conv.shift[o]))
        else:
            exact = Fraction(acc) / Fraction(2) ** (-3 + 5 - int(conv.z[o]))
        y = min(max(round(exact), -100), 127)
        assert found["y"][n, o, i, j] == y
        total = Fraction(int(codes[n, o, i, j]) + 4 * y, 2)
        assert found["s"][n, o, i, j] == min(max(round(total), -128), 127)
    for n, o in np.ndindex(3, 2):
        mean = Fraction(int(found["s"][n, o].sum()) * 16, 64)
        assert found["p"][n, o, 0, 0] == min(max(round(mean), -128), 127)


def test_half_up_rounding_would_be_seen() -> None:
    """The planted fault: half-up differs from the fake-quantised addition somewhere."""
    codes = np.random.default_rng(2).integers(-128, 128, (3, 2, 4, 4))
    found = run_fake_quantised(tiny(False), codes)
    half_up = np.clip((codes + 4 * found["y"] + 1) >> 1, -128, 127)
    assert not np.array_equal(half_up, found["s"])


def test_bad_codes_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        run_fake_quantised(tiny(False), np.zeros((1, 2, 4, 5), np.int64))
    with pytest.raises(InputError, match="128"):
        run_fake_quantised(tiny(False), np.full((1, 2, 4, 4), 128))
    with pytest.raises(InputError, match="integers"):
        run_fake_quantised(tiny(False), np.zeros((1, 2, 4, 4)))  # type: ignore[arg-type]


def test_float_checkpoints_are_the_captured_network() -> None:
    graph, images = small_graph(), smooth_images(3)
    model = quantize(graph, images, Quantisation(rounding="nearest", equalisation="off"))
    found = run_float_checkpoints(model, images)
    wanted = run_float(graph, torch.from_numpy(normalise(images, graph.preprocess)))
    assert set(found) == set(wanted) == set(model.tensors)
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name].numpy(), rtol=1e-4, atol=1e-4)


def test_a_stripped_model_has_no_float_checkpoints() -> None:
    model = quantize(
        small_graph(), smooth_images(1), Quantisation(rounding="nearest", equalisation="off")
    )
    with pytest.raises(InputError, match="no float network"):
        run_float_checkpoints(replace(model, floats={}), smooth_images(1))
