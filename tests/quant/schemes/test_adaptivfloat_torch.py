"""Fake quantisation to AdaptivFloat in torch: equal to the numpy codec, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.errors import InputError
from shiftforge.quant.formats import adaptivfloat as af
from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, BiasRegister
from shiftforge.quant.schemes.adaptivfloat import AdaptivFloatActivation, AdaptivFloatWeight

FORMATS = [AdaptivFloatFormat(n, e) for n in range(3, 9) for e in range(1, n - 1)]
FORMATS += [AdaptivFloatFormat(12, 5), AdaptivFloatFormat(16, 6)]
HALF_FORMATS = [torch.float16, torch.bfloat16]


def codec(x: NDArray[np.floating], fmt: AdaptivFloatFormat, bias: int) -> NDArray[np.float64]:
    return af.decode(af.encode(x, fmt, bias), fmt, bias)


def thresholds(fmt: AdaptivFloatFormat, bias: int) -> NDArray[np.float32]:
    """Every value, every middle, their float32 neighbours, and far outside."""
    levels = np.unique(af.values(fmt, bias))
    points = np.concatenate([levels, (levels[1:] + levels[:-1]) / 2]).astype(np.float32)
    outside = np.array([3.4e38, -3.4e38, 1e-38, 1e-45, -1e-45, -0.0], np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    return np.concatenate([points, np.nextafter(points, up), np.nextafter(points, down), outside])


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_forward_is_the_codec(fmt: AdaptivFloatFormat) -> None:
    rng = np.random.default_rng(3)
    for bias in (af.MIN_BIAS, -10, 0, af.MAX_BIAS):
        spread = np.ldexp(rng.normal(size=500), bias + rng.integers(-4, 2**fmt.exponent_bits, 500))
        with np.errstate(over="ignore"):
            x = np.concatenate([thresholds(fmt, bias), spread.astype(np.float32)])
        x = x[np.isfinite(x)]
        module = AdaptivFloatActivation(bias, fmt)
        assert np.array_equal(module(torch.from_numpy(x)).numpy(), codec(x, fmt, bias))
        wide = module(torch.from_numpy(spread))
        assert wide.dtype == torch.float64
        assert np.array_equal(wide.numpy(), codec(spread, fmt, bias))


@pytest.mark.parametrize("bias", [-8, -3])
def test_every_finite_bfloat16(bias: int) -> None:
    """All 65,536 patterns through AF<8,3>, whose values bfloat16 holds."""
    x = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    x = x[torch.isfinite(x)]
    y = AdaptivFloatActivation(bias)(x)
    assert y.dtype == torch.bfloat16
    expected = codec(x.double().numpy(), AdaptivFloatFormat(), bias)
    assert np.array_equal(y.double().numpy(), expected)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_weights_take_their_own_bias(fmt: AdaptivFloatFormat) -> None:
    torch.manual_seed(4)
    module = AdaptivFloatWeight(fmt)
    for scale in (1e-6, 0.03, 1.0, 300.0):
        w = scale * torch.randn(17, 9)
        bias = af.choose_bias(w.numpy(), fmt)
        y = module(w).numpy()
        assert np.array_equal(y, codec(w.numpy(), fmt, bias))
        # The codes of the fake-quantised weights are those of the weights.
        assert af.choose_bias(y, fmt) == bias
        assert np.array_equal(af.encode(y, fmt, bias), af.encode(w.numpy(), fmt, bias))
    # A transposed view, and half types in their own type.
    assert torch.equal(module(w.T), module(w).T)
    for dtype in HALF_FORMATS:
        assert module(w.to(dtype)).dtype == dtype


def test_weights_without_values() -> None:
    module = AdaptivFloatWeight()
    assert torch.equal(module(torch.zeros(3, 2)), torch.zeros(3, 2))
    assert module(torch.zeros(0, 2)).shape == (0, 2)
    assert torch.equal(module(torch.full((2,), 1e-40)), torch.zeros(2))
    assert module(torch.tensor(0.53)).item() == pytest.approx(17 / 32)


def test_register_bounds_the_bias() -> None:
    fmt, register = AdaptivFloatFormat(), BiasRegister()
    w = 0.002 * torch.randn(50, generator=torch.Generator().manual_seed(5))
    assert af.choose_bias(w.numpy(), fmt) < register.lowest
    bias = register.fit(af.choose_bias(w.numpy(), fmt))
    y = AdaptivFloatWeight(fmt, register)(w).numpy()
    assert np.array_equal(y, codec(w.numpy(), fmt, bias))
    assert register.fit(af.choose_bias(y, fmt)) == bias


def test_values_that_are_not_finite_stay_visible() -> None:
    bad = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    y = AdaptivFloatActivation(-7)(bad)
    assert y[0] == 1 and y[1:].isnan().all()
    assert AdaptivFloatWeight()(bad)[1:].isnan().all()


def test_gradient_of_activations_is_that_of_a_clamp() -> None:
    fmt, bias = AdaptivFloatFormat(4, 2), -2
    top = fmt.largest(bias)
    x = torch.tensor([-9.0, -top, -0.4, -0.01, 0.0, 0.1, 1.3, top, 3.001], requires_grad=True)
    factor = torch.arange(1.0, 10.0)
    (factor * AdaptivFloatActivation(bias, fmt)(x)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 3, 4, 5, 6, 7, 8, 0]


def test_gradient_of_weights_is_unchanged() -> None:
    w = torch.tensor([3.9, -0.0001, 0.7, -2.0], requires_grad=True)  # 3.9 saturates at 3.875
    factor = torch.tensor([1.0, 2.0, 3.0, 4.0])
    y = AdaptivFloatWeight()(w)
    assert y[0].item() == 3.875
    (factor * y).sum().backward()
    assert w.grad is not None and torch.equal(w.grad, factor)


def test_parametrised_layer_trains() -> None:
    """Regression onto weights of the format: the layer's own weight becomes them exactly."""
    torch.manual_seed(6)
    fmt = AdaptivFloatFormat(5, 2)
    target = AdaptivFloatWeight(fmt)(torch.randn(3, 8))
    layer = nn.Linear(8, 3, bias=False)
    parametrize.register_parametrization(layer, "weight", AdaptivFloatWeight(fmt))
    x = torch.randn(256, 8)
    master = layer.parametrizations.weight.original
    for step in range(200):
        (gradient,) = torch.autograd.grad((layer(x) - x @ target.T).square().mean(), master)
        with torch.no_grad():
            master -= (1 - step / 200) * gradient
    assert torch.equal(layer.weight, target)
    assert not torch.equal(master, target)


def test_state_dictionary_and_assignment() -> None:
    layer = nn.Linear(4, 4)
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", AdaptivFloatWeight())
    assert torch.equal(layer.parametrizations.weight.original, before)
    layer.weight = torch.full((4, 4), 0.53)
    assert torch.equal(layer.weight, torch.full((4, 4), 17 / 32))
    module = AdaptivFloatActivation(-5)
    module.load_state_dict(AdaptivFloatActivation(-9).state_dict())
    assert repr(module) == "AdaptivFloatActivation(AF<8,3>, bias=-9)"
    x = torch.linspace(-3, 3, 100)
    assert np.array_equal(module(x).numpy(), codec(x.numpy(), AdaptivFloatFormat(), -9))


def test_activation_bias_out_of_range() -> None:
    with pytest.raises(InputError, match="bias"):
        AdaptivFloatActivation(65)
