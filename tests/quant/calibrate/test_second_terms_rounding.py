"""Weights rounded where only marked ones may have two terms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from calibrate_cases import small_graph, smooth_images
from numpy.typing import NDArray

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.rounding import compensate, damped, nearest, quadratic
from shiftforge.quant.calibrate.sequential import Options, Rounded, round_network
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.formats.encode import choose_exponent, format_levels
from shiftforge.quant.formats.shift import term_count
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.quantisation import Rounding

ROUNDINGS: tuple[Rounding, ...] = ("compensated", "nearest", "log")


def formats(bits: int) -> tuple[ShiftFormat, ShiftFormat]:
    return ShiftFormat(bits, 2, "SEL"), ShiftFormat(bits, 1, "S1")


def rounded(
    rounding: Rounding, fmt: ShiftFormat, masks: dict[str, NDArray[np.bool_]] | None
) -> Rounded:
    graph = small_graph()
    images = normalise(smooth_images(2), graph.preprocess)
    names = {node.name: fmt for node in graph.nodes if isinstance(node, FloatConv)}
    return round_network(graph, images, names, None, Options(rounding=rounding), allowed=masks)


def marks(share: float) -> dict[str, NDArray[np.bool_]]:
    rng = np.random.default_rng(1)
    convs = [node for node in small_graph().nodes if isinstance(node, FloatConv)]
    return {c.name: rng.random(c.weight.shape) < share for c in convs}


@pytest.mark.parametrize(
    "rounding", [pytest.param("compensated", marks=pytest.mark.slow), "nearest", "log"]
)
@pytest.mark.parametrize("bits", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_only_marked_weights_have_two_terms(rounding: Rounding, bits: int) -> None:
    fmt, _ = formats(bits)
    masks = marks(0.3)
    found = rounded(rounding, fmt, masks)
    seen = 0
    for name, (weight, _) in found.weights.items():
        two = term_count(weight, fmt) == 2
        assert not (two & ~masks[name]).any(), name
        seen += int(two.sum())
    assert seen > 1000


@pytest.mark.parametrize(
    "rounding", [pytest.param("compensated", marks=pytest.mark.slow), "nearest", "log"]
)
def test_none_marked_is_one_term_and_all_marked_is_two(rounding: Rounding) -> None:
    two, one = formats(4)
    for fmt, share in ((one, 0.0), (two, 1.0)):
        plain, masked = rounded(rounding, fmt, None), rounded(rounding, two, marks(share))
        for name, (weight, z) in plain.weights.items():
            assert np.array_equal(weight, masked.weights[name][0]), name
            assert np.array_equal(z, masked.weights[name][1]), name
            assert np.array_equal(plain.biases[name], masked.biases[name]), name


def test_each_value_goes_to_the_nearest_level_of_its_own_kind() -> None:
    two, one = (format_levels(fmt) for fmt in formats(4))
    fine, coarse = (torch.from_numpy(v[v >= 0].astype(np.float64)) for v in (two, one))
    values = torch.arange(-130, 130.001, 1 / 8, dtype=torch.float64)
    # One column with an identity as second moments is plain rounding.
    weight = values.view(1, -1, 1).expand(1, -1, 2).contiguous()
    allowed = torch.tensor([True, False]).view(1, 1, 2).expand_as(weight)
    scale = torch.ones(1, 1, len(values), dtype=torch.float64)
    hessian = torch.eye(2, dtype=torch.float64)[None]
    found, _ = compensate(weight, hessian, scale, fine, coarse=coarse, allowed=allowed)
    for column, levels in ((0, fine), (1, coarse)):
        distance = (values.abs()[:, None] - levels[None]).abs()
        best = distance.min(dim=1).values
        assert torch.equal((values - found[0, :, column]).abs(), best)
        assert bool(torch.isin(found[0, :, column].abs(), levels).all())


def test_more_marks_lower_the_error() -> None:
    torch.manual_seed(0)
    two, one = (format_levels(fmt) for fmt in formats(4))
    fine, coarse = (torch.from_numpy(v[v >= 0].astype(np.float64)) for v in (two, one))
    x = torch.randn(1, 40, 200, dtype=torch.float64)
    hessian = x @ x.transpose(1, 2)
    weight = torch.randn(1, 16, 40, dtype=torch.float64)
    scale = (weight.abs().amax(2) / 64).unsqueeze(0)
    order = torch.rand(1, 16, 40)
    errors = []
    for share in (0.0, 0.25, 0.5, 1.0):
        found, _ = compensate(weight, hessian, scale, fine, coarse=coarse, allowed=order < share)
        error = weight - found * scale[0].unsqueeze(2)
        errors.append(float(quadratic(error, damped(hessian)).sum()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 4


@pytest.mark.parametrize("seed", range(20))
def test_the_exponent_is_the_best_for_the_marks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    two, one = (format_levels(fmt) for fmt in formats(4))
    weight = rng.normal(size=(4, 9)) * 2.0 ** rng.integers(-6, 6, (4, 1))
    allowed = rng.random((4, 9)) < (seed % 5) / 4
    found = choose_exponent(weight, two, one, allowed)

    def error(z: NDArray[np.int64]) -> NDArray[np.float64]:
        scaled = np.ldexp(weight, -z[:, None])
        gaps = [np.abs(scaled[..., None] - levels).min(axis=-1) for levels in (two, one)]
        return np.square(np.ldexp(np.where(allowed, *gaps), z[:, None])).sum(axis=1)

    best = error(found.astype(np.int64))
    for step in (-2, -1, 1):
        assert (best <= error(found.astype(np.int64) + step) * (1 + 1e-12)).all()


def test_a_wrong_kind_is_seen() -> None:
    table = torch.tensor([[0.0, 1.0, 1.0, 2.0], [0.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    value = torch.tensor([1.5, 1.5], dtype=torch.float64)
    right = nearest(value, table, torch.tensor([0, 1]))
    assert right.tolist() == [2.0, 1.0] != nearest(value, table, torch.tensor([1, 0])).tolist()


@pytest.mark.parametrize(
    "rounding", [pytest.param("compensated", marks=pytest.mark.slow), "nearest", "log"]
)
@pytest.mark.parametrize("terms", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_weights_of_zero_stay_so(rounding: Rounding, terms: int) -> None:
    """A pruned network stays pruned: the others make good what they lose."""
    graph, keep = small_graph(), marks(0.6)
    graph = replace(
        graph,
        nodes=tuple(
            replace(n, weight=np.where(keep[n.name], n.weight, np.float32(0)))
            if isinstance(n, FloatConv) else n
            for n in graph.nodes
        ),
    )  # fmt: skip
    fmt = formats(4)[2 - terms]
    images = normalise(smooth_images(2), graph.preprocess)
    found = round_network(
        graph, images, dict.fromkeys(keep, fmt), None, Options(rounding=rounding),
        allowed=marks(0.9) if terms == 2 else None,
    )  # fmt: skip
    for name, (weight, _) in found.weights.items():
        assert not weight[~keep[name]].any() and weight[keep[name]].any(), name
