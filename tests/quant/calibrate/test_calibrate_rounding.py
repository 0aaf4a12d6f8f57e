"""Compensating rounding, bias correction and the layer-by-layer walk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from calibrate_cases import small_graph, smooth_images

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.network import walk
from shiftforge.quant.calibrate.rounding import (
    compensate,
    damped,
    moments,
    nearest,
    quadratic,
    rounding_table,
)
from shiftforge.quant.calibrate.sequential import Options, round_network
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.formats import encode
from shiftforge.quant.graph.types import IntFormat, ShiftFormat, WeightFormat
from shiftforge.quant.quantize import weight_formats

FORMATS: tuple[WeightFormat, ...] = (
    ShiftFormat(4, 2, "S2"),
    ShiftFormat(4, 1, "S1"),
    ShiftFormat(3, 2, "S2"),
    IntFormat(4),
)


def magnitudes(fmt: WeightFormat) -> torch.Tensor:
    levels = encode.format_levels(fmt)
    return torch.from_numpy(levels[levels >= 0].astype(np.float64))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_the_table_rounds_as_the_format_does(fmt: WeightFormat) -> None:
    values = np.arange(-130, 130.001, 1 / 8)
    found = nearest(torch.from_numpy(values), rounding_table(magnitudes(fmt)))
    wanted = encode.nearest(values, encode.format_levels(fmt))
    assert np.array_equal(found.numpy(), wanted)


def correlated(k: int, groups: int = 1) -> torch.Tensor:
    torch.manual_seed(3)
    x = torch.randn(groups, k, 4 * k, dtype=torch.float64)
    mix = torch.eye(k, dtype=torch.float64) + 0.5 * torch.randn(groups, k, k, dtype=torch.float64)
    return (mix @ x) @ (mix @ x).transpose(1, 2)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize(("groups", "rows", "k"), [(1, 16, 70), (12, 1, 9)])
def test_compensation_lowers_the_error_and_stays_on_the_levels(
    fmt: WeightFormat, groups: int, rows: int, k: int
) -> None:
    hessian = correlated(k, groups)
    weight = torch.randn(groups, rows, k, dtype=torch.float64)
    levels = magnitudes(fmt)
    scale = weight.abs().amax(2) / levels[-1]
    found, choice = compensate(weight, hessian, torch.stack([scale, scale / 2]), levels)
    assert bool(torch.isin(found.abs(), levels).all())
    picked = torch.where(choice == 0, scale, scale / 2).unsqueeze(2)
    plain = nearest(weight / scale.unsqueeze(2), rounding_table(levels)) * scale.unsqueeze(2)
    full = damped(hessian)
    error = quadratic(weight - found * picked, full).sum()
    assert error < 0.75 * quadratic(weight - plain, full).sum()
    # Sweeps of coordinate descent never make it worse.
    before, first = compensate(weight, hessian, scale[None], levels, sweeps=0)
    after, second = compensate(weight, hessian, scale[None], levels, sweeps=2)
    assert torch.equal(first, second)
    unit = scale.unsqueeze(2)
    assert bool(
        (
            quadratic(weight - after * unit, full)
            <= quadratic(weight - before * unit, full) * (1 + 1e-9)
        ).all()
    )


def test_moments_match_a_direct_computation() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 1, 3, 3)).astype(np.float32)
    node = FloatConv(
        "c", "c", "x", "y", weight, np.zeros(4, np.float32), 2, (0, 0, 1, 1), 1, 4, "none"
    )
    x = torch.from_numpy(rng.normal(size=(2, 4, 6, 6)).astype(np.float32))
    found = moments(node, x + 1, x)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1)).double()
    for c in range(4):
        patches = [
            padded[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].flatten()
            for n in range(2)
            for i in range(3)
            for j in range(3)
        ]
        q = torch.stack(patches)
        q = q - q.mean(0)
        torch.testing.assert_close(found.hessian[c], q.T @ q, rtol=1e-4, atol=1e-4)


def test_channels_without_input_are_rounded_all_the_same() -> None:
    weight = torch.ones(2, 1, 9, dtype=torch.float64)
    scale = torch.ones(1, 2, 1, dtype=torch.float64)
    nothing = torch.zeros(2, 9, 9, dtype=torch.float64)
    found, _ = compensate(weight, nothing, scale, magnitudes(FORMATS[0]))
    assert torch.equal(found, weight)


def mean_offsets(bias_correction: bool) -> np.ndarray:
    """Output mean of the quantised minus that of the float network, classifier, weights alone."""
    graph = small_graph()
    images = normalise(smooth_images(6), graph.preprocess)
    formats = weight_formats(graph, "shift", 3, 1, "same")
    options = Options(rounding="nearest", bias_correction=bias_correction)
    rounded = round_network(graph, images, formats, None, options)
    nodes = []
    for node in graph.nodes:
        if isinstance(node, FloatConv):
            w, z = rounded.weights[node.name]
            real = np.ldexp(w.astype(np.float32), z.astype(np.int64)[:, None, None, None])
            bias = rounded.biases[node.name].astype(np.float32)
            nodes.append(replace(node, weight=real, bias=bias))
        else:
            nodes.append(node)
    means = []
    for version in (graph, replace(graph, nodes=tuple(nodes))):
        for _node, live in walk(version, images):
            last = live
        means.append(last[graph.output].mean((0, 2, 3)).numpy())
    return np.asarray(means[1] - means[0])


def test_dropping_bias_correction_is_seen() -> None:
    assert np.abs(mean_offsets(True)).max() < 1e-3
    assert np.abs(mean_offsets(False)).max() > 0.05


@pytest.mark.slow
def test_compensation_beats_nearest_on_a_network() -> None:
    graph = small_graph()
    images = normalise(smooth_images(8), graph.preprocess)
    formats = weight_formats(graph, "shift", 4, 2, "wide")
    plain = round_network(graph, images, formats, None, Options(rounding="nearest"))
    found = round_network(graph, images, formats, None)
    last = graph.nodes[-1].name
    assert found.sqnr[last] > plain.sqnr[last] + 1


@pytest.mark.parametrize("case", ["tiny", "negative", "indefinite"])
def test_second_moments_lost_to_rounding_are_rounded_all_the_same(case: str) -> None:
    k = 9
    hessian = correlated(k)
    if case == "tiny":
        hessian = hessian * 1e-45 - torch.full((k, k), 1e-44, dtype=torch.float64)
    elif case == "negative":
        hessian = -1e-47 * torch.eye(k, dtype=torch.float64)[None]
    else:
        hessian = torch.eye(k, dtype=torch.float64)[None] - 0.5
    with pytest.raises(torch.linalg.LinAlgError):
        mean = hessian.diagonal(dim1=1, dim2=2).mean().clamp(min=0)
        torch.linalg.cholesky(hessian + 0.01 * mean * torch.eye(k, dtype=torch.float64))
    fmt = ShiftFormat(4, 2, "S2")
    scales = torch.full((1, 1, 4), 0.125, dtype=torch.float64)
    weight = torch.randn(1, 4, k, dtype=torch.float64)
    found, _ = compensate(weight, hessian, scales, magnitudes(fmt))
    wanted = nearest(weight / 0.125, rounding_table(magnitudes(fmt)))
    assert torch.equal(found, wanted)
