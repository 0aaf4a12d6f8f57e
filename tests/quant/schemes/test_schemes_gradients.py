"""Gradients against finite differences of the relaxed objectives, and the published estimators."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scheme_cases import Small, batch, network, weights
from torch import nn

from shiftforge.quant.schemes.activations import LsqActivations, PactActivations, lsq
from shiftforge.quant.schemes.apot import Apot, ApotQuantiser
from shiftforge.quant.schemes.base import WeightQuantiser
from shiftforge.quant.schemes.catalogue import by_name
from shiftforge.quant.schemes.deepshift import DeepShift, DeepShiftPs
from shiftforge.quant.schemes.dtssq import DTSSQ, DtssqQuantiser
from shiftforge.quant.schemes.ewgs import GradientScale, ewgs
from shiftforge.quant.schemes.flightnn import FLightNN, FLightQuantiser
from shiftforge.quant.schemes.levels import power_of_two
from shiftforge.quant.schemes.prepare import prepare
from shiftforge.quant.schemes.relax import LEAST, inverse_softplus, soft_mask
from shiftforge.quant.schemes.shift import Shift, ShiftQuantiser
from shiftforge.quant.schemes.training import adapt_deltas
from shiftforge.quant.schemes.uniform import Uniform, UniformQuantiser

W = weights().double()
COST = torch.from_numpy(weights(seed=9).numpy()).double()


def slope(parameter: torch.Tensor, objective: Callable[[], torch.Tensor], h: float) -> float:
    """Central difference of a scalar objective along a 0-d (or one-element) parameter."""
    values = []
    with torch.no_grad():
        start = parameter.clone()
        for sign in (1, -1):
            parameter.copy_(start + sign * h)
            values.append(float(objective()))
        parameter.copy_(start)
    return (values[0] - values[1]) / (2 * h)


def gradient(quantiser: WeightQuantiser, parameter: torch.Tensor) -> torch.Tensor:
    parameter.grad = None
    (quantiser(W) * COST).sum().backward()
    assert parameter.grad is not None
    return parameter.grad.clone()


def double(quantiser: WeightQuantiser) -> WeightQuantiser:
    return quantiser.double()


@pytest.mark.parametrize("t", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("rounding", ["linear", "log"])
def test_dtssq_threshold_descends_the_relaxed_objective(t: float, rounding: str) -> None:
    scheme = DTSSQ(threshold_start=t, rounding=rounding)  # type: ignore[arg-type]
    quantiser = double(scheme.weight_quantiser(weights(), "layer"))
    assert isinstance(quantiser, DtssqQuantiser)
    # tau is a share of t, and counts as a constant: hold it while theta moves.
    width = scheme.tau * quantiser.threshold()
    first, second, square = quantiser.parts(W)

    def relaxed() -> torch.Tensor:
        moved = quantiser.unit * torch.nn.functional.softplus(quantiser.theta)
        mask = (1 + torch.tanh((square - moved) / width)) / 2
        return ((first + second * mask) * quantiser.scale(W) * COST).sum()

    with torch.no_grad():
        assert float((relaxed() - (quantiser.relaxed(W) * COST).sum()).abs()) < 1e-12
    found = float(gradient(quantiser, quantiser.theta))
    wanted = scheme.threshold_rate * slope(quantiser.theta, relaxed, 1e-5)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert found != 0


def test_a_mask_without_width_does_not_localise() -> None:
    """The paper's tanh'(R**2 - t) on raw residuals is about 1 everywhere; with tau it is not."""
    raw = W.square() * 1e-3  # residuals of real weights are far below 1
    flat = 1 - torch.tanh(raw - 1e-6).square()
    assert float(flat.min()) > 0.99
    square = torch.linspace(0, 16, 65, dtype=torch.float64)
    theta = torch.tensor(inverse_softplus(4.0), dtype=torch.float64)
    local = torch.autograd.functional.jacobian(
        lambda x: soft_mask(square, x, torch.tensor(1.0), 0.2), theta
    ).abs()
    assert float(local[0]) < 1e-3 * float(local.max()) and int(local.argmax()) == 16


def test_dtssq_forward_is_the_hard_mask_and_t_is_clamped() -> None:
    quantiser = DTSSQ(threshold_start=0.0).weight_quantiser(weights(), "layer")
    assert isinstance(quantiser, DtssqQuantiser)
    assert float(quantiser.threshold()) == pytest.approx(LEAST)
    two = Shift(4, 2).weight_quantiser(weights(), "layer")
    # At the least threshold every second term that helps stands: the nearest two-term level.
    assert torch.equal(quantiser(weights()), two(weights()))
    with torch.no_grad():
        quantiser.theta.fill_(-50.0)
    assert float(quantiser.threshold()) == LEAST
    quantiser.clamp()
    t = quantiser.unit * torch.nn.functional.softplus(quantiser.theta.detach())
    assert float(t) == pytest.approx(LEAST)
    with torch.no_grad():
        quantiser.theta.fill_(1e9)
    quantiser.clamp()
    assert quantiser.second_fraction(weights()) == 0


def test_a_second_term_below_half_a_unit_never_helps() -> None:
    """Why t >= 1/4: the paper's 0.128 = 2**-3 + 2**-5 has an error of 0.028, 2**-3 one of 0.003.

    With 2**-5 as the smallest magnitude, the residual 0.003 is far below half of it.
    """
    unit = 2.0**-5
    residual = 0.128 - 2.0**-3
    assert abs(residual) < abs(residual - 2.0**-5)
    assert (residual / unit) ** 2 < LEAST
    for r in torch.linspace(-4, 4, 801, dtype=torch.float64):
        helps = min(abs(abs(r) - 2.0**e) for e in range(7)) < abs(r)
        assert bool(helps) == (float(r) ** 2 > LEAST)


@pytest.mark.parametrize("scale", ["real", "pow2"])
def test_lsq_step(scale: str) -> None:
    scheme = Uniform(4, scale=scale, granularity="layer")  # type: ignore[arg-type]
    quantiser = double(scheme.weight_quantiser(weights(), "layer"))
    assert isinstance(quantiser, UniformQuantiser)
    with torch.no_grad():
        quantiser.step.mul_(0.8 if scale == "real" else 1.0)  # some weights beyond the clip
    start = quantiser.scale(W).clone()
    offset = quantiser.integers(W) - (W / start).clamp(quantiser.low, quantiser.high)

    def relaxed() -> torch.Tensor:
        """Rounding as a constant offset; a power of two without rounding its exponent."""
        step = quantiser.step if scale == "real" else torch.exp2(quantiser.step)
        clipped = (W / step).clamp(quantiser.low, quantiser.high)
        return ((clipped + offset) * step * COST).sum()

    if scale == "pow2":
        with torch.no_grad():
            quantiser.step.copy_(torch.log2(start).reshape(1))
    factor = 1 / math.sqrt(W.numel() * 7)  # the published gradient scale
    found = float(gradient(quantiser, quantiser.step))
    assert found == pytest.approx(factor * slope(quantiser.step, relaxed, 1e-7), rel=1e-4)


def test_lsq_gradients_are_the_published_ones() -> None:
    v = torch.tensor([-9.0, -0.3, 0.0, 1.4, 2.5, 30.0], requires_grad=True)
    s = torch.tensor(1.0, requires_grad=True)
    y = lsq(v, s, -8, 7)
    assert y.tolist() == [-8, 0, 0, 1, 2, 7]  # half to even
    y.backward(torch.ones(6))
    assert v.grad is not None and v.grad.tolist() == [0, 1, 1, 1, 1, 0]
    assert float(s.grad or 0) == pytest.approx(-8 + 0.3 + 0 - 0.4 - 0.5 + 7)


@pytest.mark.parametrize("signed", [False, True])
def test_pact_clip(signed: bool) -> None:
    quantiser = PactActivations(4, alpha=1.5, decay=0.1).quantiser("layer").double()
    x = torch.linspace(-3 if signed else 0, 3, 41, dtype=torch.float64)
    cost = torch.exp(x)
    quantiser(x)
    alpha = quantiser.get_parameter("alpha")

    def relaxed() -> torch.Tensor:
        if signed:
            return (0.5 * ((x + alpha).abs() - (x - alpha).abs()) * cost).sum()
        return (0.5 * (x.abs() - (x - alpha).abs() + alpha) * cost).sum()

    (quantiser(x) * cost).sum().backward()
    with torch.no_grad():
        alpha.add_(1e-3)  # off the kink at x = 1.5
    alpha.grad = None
    (quantiser(x) * cost).sum().backward()
    assert float(alpha.grad or 0) == pytest.approx(slope(alpha, relaxed, 1e-6), rel=1e-6)
    extra = quantiser.penalty()
    assert extra is not None and float(extra.detach()) == pytest.approx(
        0.1 * float(alpha.detach()) ** 2
    )
    levels = torch.unique(torch.round(quantiser(x).detach() * 1e6))
    assert len(levels) <= (15 if signed else 16)


def test_apot_clip() -> None:
    quantiser = double(Apot(4, scale="real", alpha=1.7).weight_quantiser(weights(), "layer"))
    assert isinstance(quantiser, ApotQuantiser)
    deviation = W.std(correction=0)
    centred = W - W.mean()
    unit = quantiser.scale(W).clone()
    offset = quantiser.integers(W) - (centred / unit).clamp(-10, 10)

    def relaxed() -> torch.Tensor:
        moved = quantiser.alpha * deviation / 10
        return (((centred / moved).clamp(-10, 10) + offset) * moved * COST).sum()

    found = float(gradient(quantiser, quantiser.alpha))
    assert found == pytest.approx(slope(quantiser.alpha, relaxed, 1e-7), rel=1e-5)
    # The published form: sign outside the clip, level less value inside.
    value, x = quantiser.integers(W) / 10, centred / (10 * unit)
    published = torch.where(x.abs() > 1, torch.sign(x), value - x) * COST * deviation
    assert found == pytest.approx(float(published.sum()), rel=1e-9)


def test_flightnn_thresholds_descend_the_relaxed_objective() -> None:
    scheme = FLightNN(tau=0.5, threshold_rate=1.0)
    quantiser = double(scheme.weight_quantiser(weights(), "layer"))
    assert isinstance(quantiser, FLightQuantiser)
    with torch.no_grad():
        quantiser.theta.copy_(torch.log(torch.tensor([12.0, 3.0])))
    scale = quantiser.scale(W)
    first, second = quantiser.split(W / scale)
    whole, residual = quantiser.norms(W)
    t = quantiser.thresholds()
    hard = (whole > t[0]).double().view(-1, 1, 1, 1)

    def relaxed() -> torch.Tensor:
        one = torch.sigmoid((whole - torch.exp(quantiser.theta[0])) / (0.5 * t[0])).view(
            -1, 1, 1, 1
        )
        two = torch.sigmoid((residual - torch.exp(quantiser.theta[1])) / (0.5 * t[1])).view(
            -1, 1, 1, 1
        )
        return ((first * one + second * hard * two) * scale * COST).sum()

    found = gradient(quantiser, quantiser.theta)
    for j in (0, 1):
        view = quantiser.theta.detach()[j : j + 1]
        assert float(found[j]) == pytest.approx(slope(view, relaxed, 1e-5), rel=1e-5)
        assert abs(float(found[j])) > 1e-4


def test_deepshift_ps_gradients() -> None:
    quantiser = double(DeepShift(4, "PS").weight_quantiser(weights(), "layer"))
    assert isinstance(quantiser, DeepShiftPs)
    value = quantiser(W).detach()
    (quantiser(W) * COST).sum().backward()
    assert quantiser.shift.grad is not None and quantiser.sign.grad is not None
    assert torch.allclose(quantiser.shift.grad, COST * value * math.log(2))
    assert torch.equal(quantiser.sign.grad, COST)


def test_xnor_gradient_is_that_of_alpha_times_the_clipped_weight() -> None:
    quantiser = double(by_name("bwn", scale="real").weight_quantiser(weights(), "layer"))
    w = W.clone().requires_grad_()
    (quantiser(w) * COST).sum().backward()
    n = W[0].numel()
    alpha = W.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
    through_mean = (COST * torch.sign(W)).sum((1, 2, 3), keepdim=True) * torch.sign(W) / n
    wanted = through_mean + COST * alpha * (W.abs() <= 1)
    assert w.grad is not None and torch.allclose(w.grad, wanted)


def test_ewgs_is_equation_eleven() -> None:
    w = torch.tensor([0.2, 0.2, -0.4], requires_grad=True)
    q = torch.tensor([0.0, 0.0, -0.5])
    g = torch.tensor([1.0, -2.0, 3.0])
    y = ewgs(w, q, torch.tensor(0.5), torch.tensor(2.0))
    assert torch.equal(y, q)
    y.backward(g)
    wanted = g * (1 + 0.5 * torch.sign(g) * (w.detach() - q) / 2.0)
    assert w.grad is not None and torch.allclose(w.grad, wanted)


def test_straight_through_is_delta_zero() -> None:
    quantiser = Shift(4, 2).weight_quantiser(weights(), "layer")
    w = weights().requires_grad_()
    quantiser(w).backward(weights(seed=4))
    assert w.grad is not None and torch.equal(w.grad, weights(seed=4))


def test_the_cheap_delta_is_what_it_says() -> None:
    scale = GradientScale(1e-3, "fisher", samples=64)
    scale.train()
    w = torch.zeros(100, requires_grad=True)
    span = torch.tensor(4.0)
    g = torch.randn(100, generator=torch.Generator().manual_seed(1))
    scale(w, torch.zeros(100), span).backward(g)
    scale.adapt()
    seen = g * 4.0
    wanted = 64 * float(seen.square().mean()) / (3 * float(seen.std(correction=0)))
    assert float(scale.delta) == pytest.approx(wanted, rel=1e-5)
    scale.assign(torch.tensor(-1.0), torch.tensor(1.0))
    assert float(scale.delta) == 0


class Quadratic(nn.Module):
    """A loss whose Hessian at the quantised weights is known: diag(h)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(x)
        return found


def test_the_hessian_delta_is_exact_for_a_diagonal_hessian() -> None:
    torch.manual_seed(0)
    model = prepare(Quadratic(), Shift(4, 2, gradient="hessian"), last="same", first="same")
    h = torch.rand(4, 6) + 0.5

    def loss() -> torch.Tensor:
        w = model.get_submodule("layer").weight
        assert isinstance(w, torch.Tensor)
        return (h * (w - 0.1).square()).sum() / 2

    found = adapt_deltas(model, loss, probes=1)  # one probe is exact on a diagonal
    quantiser = model.get_submodule("layer.parametrizations.weight.0")
    assert isinstance(quantiser, ShiftQuantiser)
    w = model.get_submodule("layer").weight
    assert isinstance(w, torch.Tensor)
    span = quantiser.span(w)
    trace = (h * span.square()).mean()
    deviation = (h * (w.detach() - 0.1) * span).std(correction=0)
    assert found["layer"] == pytest.approx(float(trace / (3 * deviation)), rel=1e-4)
    assert float(quantiser.gradient.delta) == pytest.approx(found["layer"])


def test_hessian_deltas_of_a_network_with_activations() -> None:
    scheme = DTSSQ(gradient="hessian", activations=LsqActivations(8))
    x, y = batch()
    model = prepare(network(), scheme, example=x[:2])
    found = adapt_deltas(model, lambda: nn.functional.cross_entropy(model(x), y), probes=2)
    assert set(found) == {"deep.0", "deep.3", "stem.0", "head"}
    assert all(math.isfinite(v) and v >= 0 for v in found.values()) and max(found.values()) > 0
    assert adapt_deltas(Small(), lambda: torch.zeros(())) == {}


def test_powers_of_two_are_exact_and_differentiable() -> None:
    e = torch.tensor([-3.4, 0.6], requires_grad=True)
    p = power_of_two(e)
    assert p.tolist() == [0.125, 2.0]
    p.sum().backward()
    assert e.grad is not None
    assert torch.allclose(e.grad, torch.tensor([0.125, 2.0]) * math.log(2))
