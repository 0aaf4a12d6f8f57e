"""Prepared models: policies, schedules, repeatability, resume, batch norm, summary."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from scheme_cases import (
    Small,
    batch,
    epoch_of,
    every_scheme,
    network,
    optimiser_of,
    weights,
)
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.errors import InputError
from shiftforge.quant.graph.types import Grid
from shiftforge.quant.schemes.activations import LsqActivations
from shiftforge.quant.schemes.base import ActivationQuantiser, Scheme
from shiftforge.quant.schemes.batchnorm import (
    batch_norms,
    freeze_batch_norm,
    recalibrate_batch_norm,
)
from shiftforge.quant.schemes.binary import BinaryConnect
from shiftforge.quant.schemes.catalogue import by_name
from shiftforge.quant.schemes.dtssq import DTSSQ, DtssqQuantiser, budget_at
from shiftforge.quant.schemes.flightnn import FLightNN, FLightQuantiser
from shiftforge.quant.schemes.inq import Inq, InqQuantiser
from shiftforge.quant.schemes.prepare import INPUT_QUANTISER, layers_of, prepare, strip
from shiftforge.quant.schemes.relax import tightening
from shiftforge.quant.schemes.shift import Shift
from shiftforge.quant.schemes.summary import summary, table, totals
from shiftforge.quant.schemes.training import at_epoch, penalty, sites
from shiftforge.quant.schemes.uniform import Uniform

LAYERS = ["stem.0", "deep.0", "deep.3", "head"]
SCHEMES = every_scheme()


def names(model: nn.Module) -> dict[str, str]:
    return {name: site.quantiser.scheme.name for name, site in sites(model).items()}


def test_first_and_last_follow_their_policy() -> None:
    net = network()
    inner = {"deep.0": "dtssq4", "deep.3": "dtssq4"}
    wide = {"stem.0": "shift4x2", "head": "shift4x2"}
    assert names(prepare(net, DTSSQ())) == inner | wide
    assert names(prepare(net, DTSSQ(), first="float", last="float")) == inner
    same = prepare(net, DTSSQ(), first="same", last=Uniform(6))
    assert names(same) == inner | {"stem.0": "dtssq4", "head": "int6"}
    assert names(prepare(net, Uniform(4)))["head"] == "int8"


def test_overrides_by_pattern_win() -> None:
    found = names(prepare(network(), Shift(), {"deep.*": Uniform(4), "deep.3": None, "head": None}))
    assert found == {"stem.0": "shift4x2", "deep.0": "int4"}


def test_bad_requests_are_refused() -> None:
    net = network()
    with pytest.raises(InputError, match="matches no layer"):
        prepare(net, DTSSQ(), {"nonesuch*": None})
    with pytest.raises(InputError, match="policy"):
        prepare(net, DTSSQ(), first="thick")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="prepared already"):
        prepare(prepare(net, DTSSQ()), DTSSQ())
    with pytest.raises(InputError, match="no Conv2d"):
        prepare(nn.Sequential(nn.ReLU()), DTSSQ())
    with torch.no_grad():
        net.head.weight[0, 0] = math.nan
    with pytest.raises(InputError, match="head"):
        prepare(net, DTSSQ())
    other = network()
    nn.utils.parametrizations.weight_norm(other.head)
    with pytest.raises(InputError, match="parametrizations of its own"):
        prepare(other, DTSSQ())


class Reversed(nn.Module):
    """Registered in another order than they run, and one layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)
        self.spare = nn.Linear(3, 2)
        self.first = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.first(x))
        return found


def test_an_example_gives_the_order_of_execution() -> None:
    net = Reversed()
    assert layers_of(net) == ["last", "spare", "first"]
    assert layers_of(net, torch.zeros(1, 4)) == ["first", "last"]
    model = prepare(net, Shift(), first=Uniform(8), last=Uniform(4), example=torch.zeros(1, 4))
    assert names(model) == {"first": "int8", "last": "int4"}


def test_the_model_itself_stays_as_it_is() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    model = prepare(net, DTSSQ(activations=LsqActivations()))
    epoch_of(model, optimiser_of(model), 0, 1)
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())
    assert not parametrize.is_parametrized(net)


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(s, id=s.name, marks=[] if s.name == "dtssq4" else [pytest.mark.slow])
        for s in SCHEMES
    ],
)
def test_training_repeats_saves_and_resumes(scheme: Scheme) -> None:
    """Two epochs in one go, again, and with everything but the state dictionaries lost between."""

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = prepare(network(), scheme, first="same", last="same", example=batch()[0][:2])
        return model, optimiser_of(model)

    whole, optimiser = fresh()
    for epoch in range(2):
        epoch_of(whole, optimiser, epoch, 2)
    half, optimiser = fresh()
    epoch_of(half, optimiser, 0, 2)
    kept, held = io.BytesIO(), copy.deepcopy(optimiser.state_dict())
    torch.save(half.state_dict(), kept)
    kept.seek(0)
    resumed, other = fresh()
    resumed.load_state_dict(torch.load(kept, weights_only=True))
    other.load_state_dict(held)
    epoch_of(resumed, other, 1, 2)
    wanted, found = whole.state_dict(), resumed.state_dict()
    assert list(wanted) == list(found)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    start = fresh()[0].state_dict()
    assert any(not torch.equal(wanted[name], start[name]) for name in wanted)
    with torch.no_grad():
        x, _ = batch()
        assert torch.equal(whole.eval()(x), resumed.eval()(x))
        assert bool(torch.isfinite(whole(x)).all())


def test_stochastic_weights_follow_the_seed_and_their_chances() -> None:
    w = torch.linspace(-1.5, 1.5, 31).repeat(4000, 1)
    quantiser = BinaryConnect(stochastic=True).weight_quantiser(w, "layer").train()

    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        found: torch.Tensor = quantiser(w)
        return found

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))
    share = (draw(3) > 0).double().mean(0)
    chance = ((w[0] + 1) / 2).clamp(0, 1).double()
    assert (share - chance).abs().max() < 0.04
    assert torch.equal(quantiser.eval()(w), torch.where(w >= 0, 1.0, -1.0))


def seconds(model: nn.Module) -> float:
    """Share of second terms over all layers of DTSSQ."""
    count, weights_there = 0.0, 0
    for site in sites(model).values():
        if isinstance(site.quantiser, DtssqQuantiser):
            count += site.quantiser.second_fraction(site.weight) * site.weight.numel()
            weights_there += site.weight.numel()
    return count / weights_there


@pytest.mark.parametrize("threshold", ["learned", "fixed"])
def test_second_terms_fall_to_the_target(threshold: str) -> None:
    scheme = DTSSQ(target=0.3, anneal=0.5, every=1, threshold=threshold)  # type: ignore[arg-type]
    model = prepare(network(), scheme, first="same", last="same")
    optimiser = optimiser_of(model)
    shares = []
    for epoch in range(6):
        epoch_of(model, optimiser, epoch, 6, steps=2)
        shares.append(seconds(model))
        assert shares[-1] <= budget_at(epoch, 6, 0.3, 0.5) + 1e-9
    assert shares[0] > 0.5 and 0.2 < shares[-1] <= 0.3 + 1e-9
    found = [
        float(s.quantiser.threshold())
        for s in sites(model).values()
        if isinstance(s.quantiser, DtssqQuantiser)
    ]
    if threshold == "fixed":
        assert max(found) == pytest.approx(min(found), rel=1e-5)
        assert not any("theta" in name for name, _ in model.named_parameters())
    else:
        assert max(found) > min(found) * 1.001


def test_budget_ends_at_the_target() -> None:
    assert budget_at(0, 1, 0.25, 0.5) == pytest.approx(0.25)
    assert budget_at(9, 10, 0.25, 1.0) == pytest.approx(0.25)
    shares = [budget_at(e, 10, 0.25, 0.5) for e in range(10)]
    assert shares == sorted(shares, reverse=True) and shares[4:] == [pytest.approx(0.25)] * 6


def test_tightening_leaves_exactly_the_budget() -> None:
    ratios = torch.rand(1000, generator=torch.Generator().manual_seed(0)) * 4
    factor = tightening([ratios[:300], ratios[300:]], None, 2000, 0.2)
    assert int((ratios > factor).sum()) == 400
    assert tightening([ratios], None, 2000, 0.5) == 1.0
    counts = torch.full((1000,), 2)
    assert int((ratios > tightening([ratios], [counts], 4000, 0.2)).sum()) == 400
    assert tightening([ratios], [counts], 4000, 0.9) == 1.0


def test_a_common_drift_of_the_thresholds_moves_into_their_unit() -> None:
    scheme = DTSSQ(target=0.3)
    model = prepare(network(), scheme, first="same", last="same")
    own = [s.quantiser for s in sites(model).values()]
    held = [q for q in own if isinstance(q, DtssqQuantiser)]
    at_epoch(model, 0, 1)
    with torch.no_grad():
        for shift, quantiser in enumerate(held):
            quantiser.theta.fill_(-4.0 + 0.3 * shift)
            quantiser.unit.mul_(60.0)
    before = [float(q.threshold()) for q in held]
    at_epoch(model, 0, 1)
    after = [float(q.threshold()) for q in held]
    # The budget may have raised them, all by one factor.
    ratios = [a / b for a, b in zip(after, before, strict=True)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-4)
    sizes = [float(torch.nn.functional.softplus(q.theta.detach())) for q in held]
    assert math.prod(sizes) == pytest.approx(1, rel=1e-3) and max(sizes) < 2


def test_flightnn_filters_fall_to_the_target() -> None:
    scheme = FLightNN(target=0.4, anneal=1.0, every=1)
    model = prepare(network(), scheme, first="same", last="same")
    optimiser = optimiser_of(model)
    for epoch in range(3):
        epoch_of(model, optimiser, epoch, 3, steps=2)
    two, there = 0, 0
    for site in sites(model).values():
        assert isinstance(site.quantiser, FLightQuantiser)
        two += int(site.quantiser.two_terms(site.weight).sum()) * site.weight[0].numel()
        there += site.weight.numel()
    assert 0.1 < two / there <= 0.4


def test_omega_is_the_squared_distance_and_pulls_to_the_levels() -> None:
    model = prepare(network(), DTSSQ(omega=0.5), first="float", last="float")
    by_hand = sum(
        (s.weight - s.quantised).square().sum() for s in sites(model).values()
    )  # fmt: skip
    found = penalty(model)
    assert found is not None and float(found.detach()) == pytest.approx(
        0.5 * float(torch.as_tensor(by_hand).detach())
    )
    found.backward()  # type: ignore[no-untyped-call]
    for site in sites(model).values():
        assert site.weight.grad is not None
        assert torch.allclose(site.weight.grad, site.weight - site.quantised)  # 2 * lambda = 1
    assert penalty(prepare(network(), DTSSQ(omega=0.0))) is None


def test_inq_fixes_the_portions() -> None:
    model = prepare(network(), Inq(4), first="same", last="same")
    optimiser = optimiser_of(model)
    shares = []
    for epoch in range(4):
        epoch_of(model, optimiser, epoch, 4, steps=1)
        own = [s.quantiser for s in sites(model).values()]
        fixed = [q.fixed.double().mean() for q in own if isinstance(q, InqQuantiser)]
        shares.append(float(torch.stack(fixed).mean()))
    assert shares == pytest.approx([0.3, 0.6, 0.8, 1.0], abs=0.03)


def test_activation_quantisers_sit_behind_the_first_layer() -> None:
    scheme = Shift(activations=LsqActivations(8))
    x, _ = batch()
    model = prepare(network(), scheme, example=x[:2])
    having = [n for n in LAYERS if hasattr(model.get_submodule(n), INPUT_QUANTISER)]
    assert having == LAYERS[1:]
    with torch.no_grad():
        model.eval()(x)
    grids = {}
    for name in having:
        quantiser = model.get_submodule(f"{name}.{INPUT_QUANTISER}")
        assert isinstance(quantiser, ActivationQuantiser)
        grids[name] = quantiser.grid()
    # After ReLU6 there are no negative values; the residual sum has some.
    assert all(isinstance(g, Grid) for g in grids.values())
    assert not grids["deep.0"].signed and grids["head"].signed  # type: ignore[union-attr]
    assert sites(strip(model)) == {} and isinstance(strip(model), Small)
    strip(model)(x), model(x)  # the stripped copy takes nothing from the model


def test_activations_are_levels_of_their_grid() -> None:
    quantiser = LsqActivations(4).quantiser("layer")
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    y = quantiser(x).detach()
    grid = quantiser.grid()
    assert isinstance(grid, Grid) and grid.bits == 4 and grid.signed
    codes = y * 2.0**-grid.exponent
    assert torch.equal(codes, codes.round()) and -8 <= float(codes.min()) <= float(codes.max()) <= 7
    assert isinstance(LsqActivations(4, "real").quantiser("l").grid(), str)


def test_batch_norm_freezes_and_is_measured_again() -> None:
    model = prepare(network(), Shift(), first="same", last="same").train()
    freeze_batch_norm(model)
    before = copy.deepcopy(model.state_dict())
    x, _ = batch()
    model(x).sum().backward()
    norms = batch_norms(model)
    assert len(norms) == 3 and all(p.grad is None for n in norms for p in n.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert recalibrate_batch_norm(model, [x[:16], x[16:]]) == 2
    stem = norms[0]
    conv = model.get_submodule("stem.0")
    with torch.no_grad():
        parts = [conv(x[:16]), conv(x[16:])]
    means = torch.stack([p.mean((0, 2, 3)) for p in parts]).mean(0)
    assert torch.allclose(stem.running_mean, means, atol=1e-6)  # type: ignore[arg-type]
    assert stem.momentum == 0.1 and not stem.training
    with pytest.raises(InputError):
        recalibrate_batch_norm(model, [])


def test_summary_counts_what_is_there() -> None:
    x, _ = batch()
    scheme = DTSSQ(threshold_start=2.0, activations=LsqActivations(8))
    model = prepare(network(), scheme, {"head": by_name("dorefa", bits=4)}, example=x[:2])
    model.eval()(x)
    rows = {row.layer: row for row in summary(model)}
    assert list(rows) == LAYERS
    site = sites(model)["deep.3"]
    q = site.quantised.detach()
    row = rows["deep.3"]
    assert row.zero_fraction == pytest.approx(float((q == 0).double().mean()))
    assert row.term_histogram[0] == pytest.approx(row.zero_fraction)
    assert sum(row.term_histogram) == pytest.approx(1)
    noise = (q - site.weight.detach()).square().sum()
    assert row.sqnr_db == pytest.approx(
        float(10 * torch.log10(site.weight.detach().square().sum() / noise)), rel=1e-4
    )
    ints = q / site.quantiser.scale(site.weight)  # type: ignore[operator]
    largest = 255 * np.abs(ints.numpy()).reshape(8, -1).clip(0).sum(1).max()
    assert row.accumulator_bits is not None
    assert row.accumulator_bits <= 1 + math.ceil(math.log2(largest + 1))
    assert rows["head"].accumulator_bits is None and "odd multiples" in rows["head"].reason
    whole = totals(list(rows.values()))
    assert whole.weights == sum(s.weight.numel() for s in sites(model).values())
    assert min(r.bits_per_weight for r in rows.values()) <= whole.bits_per_weight <= 8
    lines = table(list(rows.values())).splitlines()
    assert len(lines) == 6 and lines[3].startswith("deep.3") and "dtssq4" in lines[3]


def test_at_epoch_follows_the_masters_scale() -> None:
    model = prepare(network(), Shift(), first="same", last="same")
    site = sites(model)["deep.3"]
    before = site.quantiser.scale(site.weight).clone()  # type: ignore[operator]
    with torch.no_grad():
        site.weight.mul_(4)
    at_epoch(model, 0, 1)
    assert torch.equal(site.quantiser.scale(site.weight), before * 4)  # type: ignore[operator]


def test_works_on_a_lone_linear_layer() -> None:
    model = prepare(nn.Linear(4, 3), DTSSQ(), last="same")
    assert list(sites(model)) == [""] and model(torch.zeros(1, 4)).shape == (1, 3)
    assert weights().shape == (6, 4, 3, 3)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
def test_memory_format_does_not_matter(scheme: Scheme) -> None:
    """Training puts weights into channels-last order."""
    w = weights()
    other = w.to(memory_format=torch.channels_last)
    found = []
    for given in (w, other):
        torch.manual_seed(0)
        quantiser = scheme.weight_quantiser(given, "layer").eval()
        if isinstance(quantiser, InqQuantiser):
            quantiser.fix(given, 0.6)
        found.append(quantiser(given).detach())
    assert torch.allclose(found[0], found[1], rtol=1e-6, atol=0)
