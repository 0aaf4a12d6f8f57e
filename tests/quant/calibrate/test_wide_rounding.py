"""Rounding in blocks of inputs: one is the usual rounding, several lose more."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shiftforge.quant.calibrate import wide
from shiftforge.quant.calibrate.rounding import compensate, moments, quadratic, retarget
from shiftforge.quant.calibrate.sequential import Options, round_weights, seen_inputs
from shiftforge.quant.calibrate.wide import (
    WIDEST,
    WideInputs,
    blocks,
    error_power,
    input_diagonal,
    round_wide,
)
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.formats.encode import format_levels
from shiftforge.quant.graph.types import ShiftFormat

FORMAT = ShiftFormat(4, 1, "S1")
LEVELS = torch.from_numpy(format_levels(FORMAT))
MAGNITUDES = LEVELS[LEVELS >= 0].double()


def layer(outputs: int, inputs: int, side: int = 1, seed: int = 0) -> FloatConv:
    """A convolution of the map's size, some of its weights pruned."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(outputs, inputs, side, side)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.05] = 0
    zero = np.zeros(outputs, np.float32)
    return FloatConv("c", "c", "x", "y", weight, zero, 1, (0, 0, 0, 0), 1, 1, "none")


def seen(node: FloatConv, count: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated inputs of the float and of a quantised network."""
    rng = np.random.default_rng(seed)
    _, inputs, side, _ = node.weight.shape
    shape = (inputs * side * side, inputs * side * side)
    mixed = rng.normal(size=(count, shape[0])) @ (np.eye(shape[0]) + 0.3 * rng.normal(size=shape))
    x = torch.from_numpy(mixed.reshape(count, inputs, side, side).astype(np.float32))
    return x, x + 0.02 * torch.from_numpy(rng.normal(size=x.shape).astype(np.float32))


def rounded(node: FloatConv, x: tuple[torch.Tensor, torch.Tensor], widest: int) -> torch.Tensor:
    """Levels (1, R, K) at one scale."""
    weight = torch.from_numpy(node.weight).reshape(1, len(node.weight), -1)
    scales = torch.full((1, *weight.shape[:2]), 2.0**-5, dtype=torch.float64)
    levels, choice = round_wide(
        WideInputs(node, *x), weight, scales, MAGNITUDES, coarse=MAGNITUDES, allowed=None,
        asymmetric=True, damping=(0.01, 1.0), sweeps=2, widest=widest,
    )  # fmt: skip
    assert (choice == 0).all()
    assert (levels[weight == 0] == 0).all()
    return levels.double()


def lost(node: FloatConv, x: tuple[torch.Tensor, torch.Tensor], levels: torch.Tensor) -> float:
    """Mean square of what the layer's outputs lose, means aside, beside that of the outputs."""
    weight = torch.from_numpy(node.weight.astype(np.float64)).reshape(len(node.weight), -1)
    f, q = (own.flatten(1).double().T for own in x)
    wanted, given = weight @ f, (levels[0] * 2.0**-5) @ q
    wanted, given = (own - own.mean(1, keepdim=True) for own in (wanted, given))
    return float((wanted - given).square().sum() / wanted.square().sum())


@pytest.mark.parametrize("inputs", [1, 4096, 4097, 4608, 25088])
def test_blocks_hold_every_column_once(inputs: int) -> None:
    found = blocks(inputs)
    assert [k for own in found for k in range(own.start, own.stop)] == list(range(inputs))
    sizes = [own.stop - own.start for own in found]
    assert max(sizes) <= WIDEST and max(sizes) - min(sizes) <= 1
    assert len(found) == -(-inputs // (WIDEST if inputs <= 2 * WIDEST else 1024))


def test_one_block_is_the_usual_rounding() -> None:
    node = layer(7, 40)
    x = seen(node, 200)
    found = moments(node, *x)
    weight = torch.from_numpy(node.weight.astype(np.float64)).reshape(1, 7, -1)
    target = retarget(weight, found, 1.0)
    target[weight == 0] = 0
    scales = torch.full((1, 1, 7), 2.0**-5, dtype=torch.float64)
    usual, _ = compensate(
        target, found.hessian, scales, MAGNITUDES, coarse=MAGNITUDES, zero=weight == 0
    )
    same = (usual == rounded(node, x, 40)).double().mean()
    assert float(same) > 0.99  # sums in float32 against float64


def test_blocks_lose_less_than_twice_what_one_does_and_far_less_than_nearest() -> None:
    node = layer(24, 96)
    x = seen(node, 400)
    weight = torch.from_numpy(node.weight.astype(np.float64)).reshape(1, 24, -1)
    plain = MAGNITUDES[((weight * 32).abs().unsqueeze(3) - MAGNITUDES).abs().argmin(3)]
    nearest = lost(node, x, plain * torch.sign(weight))
    whole, parts = (lost(node, x, rounded(node, x, widest)) for widest in (96, 24))
    assert whole < parts < 2 * whole
    assert parts < 0.7 * nearest


def test_what_earlier_blocks_lost_is_made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: blocks that know nothing of each other lose more."""
    node = layer(24, 96)
    x = seen(node, 400)
    carried = lost(node, x, rounded(node, x, 24))
    alone = []
    for own in blocks(96, 24):
        part = FloatConv(
            "c", "c", "x", "y", node.weight[:, own], node.bias, 1, (0, 0, 0, 0), 1, 1, "none"
        )
        alone.append(rounded(part, (x[0][:, own], x[1][:, own]), 24))
    assert lost(node, x, torch.cat(alone, 2)) > 1.1 * carried


@pytest.mark.slow
def test_a_layer_of_25088_inputs_needs_no_large_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG's first linear layer with few outputs and small blocks: no matrix is wider than one."""
    widths: list[int] = []

    def noted(weight: torch.Tensor, hessian: torch.Tensor, *rest: object, **more: object) -> object:
        widths.append(max(hessian.shape))
        return compensate(weight, hessian, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(wide, "compensate", noted)
    rng = np.random.default_rng(0)
    node = layer(2, 512, 7)
    x = torch.from_numpy(rng.normal(size=(8, 512, 7, 7)).astype(np.float32))
    weight = torch.from_numpy(node.weight).reshape(1, 2, -1)
    scales = torch.full((1, 1, 2), 2.0**-5, dtype=torch.float64)
    levels, _ = round_wide(
        WideInputs(node, x, x), weight, scales, MAGNITUDES, coarse=MAGNITUDES, allowed=None,
        asymmetric=True, damping=(0.01, 1.0), sweeps=0, widest=256,
    )  # fmt: skip
    assert levels.shape == (1, 2, 25088)
    assert len(widths) == 98 and max(widths) == 256


def test_wide_layers_are_rounded_so_and_others_as_before() -> None:
    narrow, broad = layer(2, 64), layer(2, WIDEST + 1)
    rng = np.random.default_rng(0)
    for node, kind in ((narrow, "Moments"), (broad, "WideInputs")):
        inputs = node.weight.shape[1]
        x = torch.from_numpy(rng.normal(size=(4, inputs, 1, 1)).astype(np.float32))
        assert type(seen_inputs(node, x, x)).__name__ == kind


@pytest.mark.slow
def test_a_wide_layer_through_round_weights() -> None:
    """Levels, exponents and masks of 4,100 inputs, with some weights of two terms alone."""
    node = layer(6, 1025, 2)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(12, 1025, 2, 2)).astype(np.float32))
    two = ShiftFormat(4, 2, "SEL")
    allowed = np.zeros(node.weight.shape, np.bool_)
    allowed[:3] = True
    w_int, z = round_weights(node, seen_inputs(node, x, x), two, Options(sweeps=0), allowed)
    assert w_int.shape == node.weight.shape and z.shape == (6,)
    assert np.isin(w_int, format_levels(two)).all()
    assert np.isin(w_int[3:], format_levels(FORMAT)).all()
    assert (w_int[node.weight == 0] == 0).all()


def test_powers_of_errors_and_inputs_are_those_of_the_moments() -> None:
    node = layer(5, 30)
    x, _ = seen(node, 60)
    found, inputs = moments(node, x, x), WideInputs(node, x, x)
    error = torch.from_numpy(np.random.default_rng(3).normal(size=(1, 5, 30)))
    torch.testing.assert_close(
        error_power(inputs, error), quadratic(error, found.hessian), rtol=1e-4, atol=1e-4
    )
    diagonal = found.hessian.diagonal(dim1=1, dim2=2) / found.samples
    torch.testing.assert_close(input_diagonal(inputs, 1, 30), diagonal, rtol=1e-4, atol=1e-4)
