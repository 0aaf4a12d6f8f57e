"""Fold and convert: the fake-quantised network, the integer graph and golden are one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scheme_cases import PREPROCESS, batch, epoch_of, images, network, optimiser_of
from torch import nn

from shiftforge.errors import InputError
from shiftforge.generator.conv.plan import array_for
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.graph.types import Grid, QuantizedModel, ShiftFormat
from shiftforge.quant.schemes.activations import LsqActivations
from shiftforge.quant.schemes.base import Scheme
from shiftforge.quant.schemes.catalogue import by_name
from shiftforge.quant.schemes.convert import convert
from shiftforge.quant.schemes.dtssq import DTSSQ, DtssqQuantiser
from shiftforge.quant.schemes.fold import fold
from shiftforge.quant.schemes.folded import Schemed
from shiftforge.quant.schemes.network import QuantNetwork, folded_network
from shiftforge.quant.schemes.prepare import prepare
from shiftforge.quant.schemes.shift import Shift, ShiftQuantiser
from shiftforge.quant.schemes.training import sites
from shiftforge.quant.schemes.uniform import Uniform
from shiftforge.sim.golden.conv.network import run_golden

ACTIVATIONS = LsqActivations(8)
SCHEMES: list[Scheme] = [
    DTSSQ(activations=ACTIVATIONS),
    DTSSQ(rounding="log", gradient="fisher", threshold="fixed", activations=ACTIVATIONS),
    Shift(4, 1, activations=ACTIVATIONS),
    Uniform(8, activations=ACTIVATIONS),
    Uniform(4, activations=LsqActivations(4)),
    by_name("apot", bits=4, activation_bits=8),
    by_name("flightnn", activation_bits=8),
    by_name("inq", bits=4, activation_bits=8),
    by_name("twn", activation_bits=8),
]


def trained(scheme: Scheme, epochs: int = 2) -> nn.Module:
    model = prepare(network(), scheme, example=batch()[0][:2])
    optimiser = optimiser_of(model)
    for epoch in range(epochs):
        epoch_of(model, optimiser, epoch, epochs)
    return model.eval()


def codes_of(model: QuantizedModel) -> NDArray[np.integer]:
    return to_codes(images(), PREPROCESS, model.tensors[model.input].grid)


def golden(model: QuantizedModel) -> NDArray[np.float64]:
    """Golden's output in real values."""
    y = run_golden(model, codes_of(model))[model.output]
    return np.ldexp(y.astype(np.float64), model.tensors[model.output].grid.exponent)


def fake_quantised(folded: QuantNetwork) -> NDArray[np.float64]:
    """The folded network's output on the same images, in float64."""
    x = batch()[0].double()
    with torch.no_grad():
        found: NDArray[np.float64] = folded.double().eval()(x).numpy()
    folded.float()
    return found


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: f"{s.name}-{type(s).__name__}")
def test_the_converted_network_is_the_trained_one_bit_for_bit(scheme: Scheme) -> None:
    folded = fold(trained(scheme), PREPROCESS, images())
    before = fake_quantised(folded)
    assert np.array_equal(before, golden(convert(folded)))
    # It trains on, by the same loop, and stays so.
    optimiser = optimiser_of(folded)
    for epoch in range(2):
        epoch_of(folded, optimiser, epoch, 2)
    model = convert(folded, meta={"epochs": 2})
    after = fake_quantised(folded)
    assert np.array_equal(after, golden(model)) and not np.array_equal(after, before)
    assert model.meta["epochs"] == 2 and model.meta["schemes"]["deep_0"] == scheme.name


def test_float32_gives_the_same_codes_here() -> None:
    """Sums of this network fit 24 bits: training itself sees the integers' values."""
    folded = fold(trained(DTSSQ(activations=ACTIVATIONS)), PREPROCESS, images())
    with torch.no_grad():
        single = folded.eval()(batch()[0]).double().numpy()
    assert np.array_equal(single, fake_quantised(folded))


def test_a_weight_one_level_away_is_caught() -> None:
    folded = fold(trained(Shift(4, 1)), PREPROCESS, images())
    model = convert(folded)
    nodes = list(model.nodes)
    conv = model.conv_nodes()[0]
    weight = conv.weight.copy()
    place = tuple(np.argwhere(np.abs(weight) == np.abs(weight).max())[0])
    weight[place] //= 2
    nodes[nodes.index(conv)] = replace(conv, weight=weight)
    assert not np.array_equal(fake_quantised(folded), golden(replace(model, nodes=tuple(nodes))))


def test_a_network_of_shift_schemes_runs_on_the_shift_array() -> None:
    for scheme in (DTSSQ(), by_name("twn")):
        model = convert(fold(prepare(network(), scheme), PREPROCESS, images()))
        assert all(isinstance(c.format, ShiftFormat) for c in model.conv_nodes())
        assert array_for(model, 16, 4).unit == "shift"
    model = convert(fold(prepare(network(), Uniform(4)), PREPROCESS, images()))
    assert array_for(model, 16, 4).unit == "multiplier"


def test_what_does_not_fit_says_why_by_layer() -> None:
    folded = fold(prepare(network(), by_name("dorefa", bits=4)), PREPROCESS, images())
    with pytest.raises(InputError) as caught:
        convert(folded)
    assert [p.where for p in caught.value.problems] == ["deep_0", "deep_3"]
    assert all("odd multiples" in p.what for p in caught.value.problems)
    with pytest.raises(InputError, match="float") as caught:
        fold(prepare(network(), Shift(), last="float"), PREPROCESS, images())
    assert [p.where for p in caught.value.problems] == ["head"]


def test_thresholds_and_steps_carry_over() -> None:
    model = trained(DTSSQ(activations=ACTIVATIONS, target=0.4))
    folded = fold(model, PREPROCESS, images())
    before = [s.quantiser for s in sites(model).values() if isinstance(s.quantiser, DtssqQuantiser)]
    after = [s.quantiser for s in sites(folded).values() if isinstance(s.quantiser, DtssqQuantiser)]
    assert len(before) == len(after) == 2
    for b, a in zip(before, after, strict=True):
        assert torch.equal(b.theta, a.theta) and torch.equal(b.unit, a.unit)
        assert torch.equal(b.budget, a.budget)
    inputs = model.get_submodule("deep.3.input_quantiser")
    grid = inputs.grid()  # type: ignore[operator]
    convs = [n for n in folded.graph.nodes if isinstance(n, FloatConv)]
    tensor = next(n.input for n in convs if n.source == "deep.3")
    assert isinstance(grid, Grid) and folded.grids[tensor] == grid


def test_folding_leaves_the_model_alone() -> None:
    model = trained(Shift(4, 1, activations=ACTIVATIONS))
    x, _ = batch()
    with torch.no_grad():
        before = model(x)
        fold(model, PREPROCESS, images())
        assert torch.equal(model(x), before)


def test_a_channel_of_next_to_nothing_converts() -> None:
    net = network()
    with torch.no_grad():
        net.get_parameter("deep.1.weight")[2] = 1e-12
        net.get_parameter("deep.1.bias")[2] = 0.7
    for scheme in (DTSSQ(), Uniform(8)):
        folded = fold(prepare(net, scheme), PREPROCESS, images())
        assert np.array_equal(fake_quantised(folded), golden(convert(folded)))


def test_any_scheme_trains_in_the_folded_network_from_given_codes() -> None:
    """As fine-tuning after post-training quantisation does."""
    plain = fold(prepare(network(), Shift(4, 2), first="same", last="same"), PREPROCESS, images())
    start = {n: q.codes() for n, q in plain.quantisers().items()}
    formats = dict.fromkeys(start, ShiftFormat(4, 2, "S2"))
    scheme = Schemed(DTSSQ(target=None), {"head": Uniform(8)})
    again = folded_network(scheme, plain.graph, plain.grids, formats, start=start)
    quantisers = again.quantisers()
    assert quantisers["deep_0"].codes()[0].tolist() == start["deep_0"][0].tolist()
    scheme.at_epoch(quantisers, 0, 1)
    task = torch.zeros(())
    loss = scheme.loss(task, quantisers)
    assert float(loss.detach()) > 0
    scheme.after_step(quantisers)
    held = again.conv("deep_0").quantiser.get_submodule("parametrizations.weight.0")
    assert isinstance(held, ShiftQuantiser) and held.layer == "deep_0"
