"""Quantisation-aware training of ALBERT: rounding, gradients, folding, and the integers behind it.

What fake quantisation leaves out is the unit's fixed point: 10 fraction bits of biases, layer norm
and GELU, and the tables of exp, 1/sqrt and GELU. So codes next to a border between two may differ:
stage by stage, from equal operands, at least the share LEAST of all values is within NEAR steps of
a code of the reference's (a step is 3 to 6 % of a value), and the logits at the end within FAR.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from shiftforge.errors import InputError
from shiftforge.quant.albert.compression.pruning import attach_pruning, encoder_linears
from shiftforge.quant.albert.compression.qat import attach, float_network_of, fold
from shiftforge.quant.albert.compression.qat_activations import StageRounding, af_rounded
from shiftforge.quant.albert.network.convert import Biases, calibrate, convert
from shiftforge.quant.albert.network.folder import float_network
from shiftforge.quant.albert.network.integer import EMBEDDED, STAGED, IntegerAlbert
from shiftforge.quant.albert.network.model import (
    OffRampAlbert,
    attach_spans,
    batch_of,
    configuration,
)
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.network.weights import STORED, af_format, weight_choice
from shiftforge.quant.formats.adaptivfloat import decode, encode
from shiftforge.sim.edgebert.sentence_golden import golden_sentence
from shiftforge.sim.golden.edgebert.encoder import Unit

SHAPE = Shape(hidden=32, heads=2, ffn=48, layers=3, length=16, embedding=24)
NAMES = ("a", "b", "c")
NEAR, LEAST, FAR = 2, 0.993, 1.0
WEIGHTS = ("af8", "af7", "af6", "af5", "af4", "shift1", "shift2", "dtssq:0.25")


def each(*quick: str) -> list[Any]:
    """WEIGHTS, of which the others take their time."""
    return [w if w in quick else pytest.param(w, marks=pytest.mark.slow) for w in WEIGHTS]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of small products wait for each other where other processes run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_model(seed: int = 0, spans: bool = False) -> OffRampAlbert:
    torch.manual_seed(seed)
    model = OffRampAlbert(configuration(SHAPE, 50), len(NAMES)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(6 if p.ndim > 1 else 1).add_(0.1 * torch.randn_like(p))
    if spans:
        attach_spans(model, 4)
        assert model.spans is not None
        with torch.no_grad():
            model.spans.z.copy_(torch.tensor([-4.0, 2.3]))
    return model


def sentences(count: int = 6, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(4, 50, int(n)) for n in rng.integers(6, 17, count)]


@pytest.mark.parametrize("bits", [4, 5, 8])
def test_rounding_is_the_codecs(bits: int) -> None:
    rng = np.random.default_rng(bits)
    fmt = af_format(bits)
    for bias in (-12, -3, 0):
        levels = decode(np.arange(fmt.code_count), fmt, bias)
        middles = (np.unique(levels)[1:] + np.unique(levels)[:-1]) / 2
        noise = rng.normal(size=4000) * 2.0 ** rng.integers(bias - 3, bias + 9, 4000)
        x = np.concatenate([levels, middles, noise]).astype(np.float32)
        wanted = decode(encode(x, fmt, bias), fmt, bias)
        given = torch.from_numpy(x).requires_grad_()
        got = af_rounded(given, fmt, bias)
        assert np.array_equal(got.detach().numpy(), wanted)
        got.sum().backward()
        inside = np.abs(x) <= fmt.largest(bias)
        assert given.grad is not None and np.array_equal(given.grad.numpy(), inside)
    assert torch.isnan(af_rounded(torch.tensor([float("nan")]), STORED, 0)).all()


@pytest.mark.parametrize("weights", each("af5", "dtssq:0.25"))
def test_gradients_reach_every_parameter(weights: str) -> None:
    model = random_model(spans=True)
    with torch.no_grad():
        model.spans.z.copy_(torch.tensor([1.0, 2.3]))  # type: ignore[union-attr]
    handle = attach(model.train(), weights, sentences())
    assert (handle.biases is not None) and handle.choice == weight_choice(weights)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    thresholds = {id(p) for group in handle.groups() for p in group["params"]}
    assert bool(thresholds) == weights.startswith("dtssq")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids, mask = batch_of(sentences(4, 7))
    for step in range(3):
        handle.on_step(step / 3)
        with parametrize.cached():
            loss = torch.stack(model(ids, mask)).square().mean()
            extra = handle.penalty()
            loss = loss if extra is None else loss + extra
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
        handle.after_step()
    for name, p in model.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
        # A bias of the keys cancels in the softmax; no weight need stand near a threshold.
        if "theta" not in name and "key.bias" not in name:
            assert not torch.equal(p.detach(), before[name]), name


def linears_of(made: IntegerAlbert) -> dict[str, np.ndarray]:
    """Real values of the integers' matrices, by their codes."""
    nibble = np.array([0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64])
    held = {**made.linears, **{f"ramp {i}": r for i, r in enumerate(made.ramps)}}
    if made.weights == "af":
        return {n: decode(w.codes, STORED, int(w.exponent[0])) for n, w in held.items()}
    return {
        n: (nibble[w.codes & 15] + nibble[w.codes >> 4]) * 2.0 ** w.exponent[:, None].astype(float)
        for n, w in held.items()
    }


@pytest.mark.parametrize("weights", each("af4", "af8", "shift1", "dtssq:0.25"))
def test_folded_weights_are_those_of_the_integers(weights: str) -> None:
    model = random_model()
    attach_pruning(model, "kept")
    with torch.no_grad():
        for mask in (p.parametrizations.weight[0] for p in encoder_linears(model).values()):
            mask.fixed[torch.rand_like(mask.fixed) < 0.5] = 0
    handle = attach(model, weights, sentences(), activations=False)
    handle.on_step(1.0)
    if weights.startswith("dtssq"):
        assert handle.second_share() <= 0.25  # type: ignore[operator]
    zeros = {n: np.asarray(p.weight.detach() == 0) for n, p in encoder_linears(model).items()}
    assert fold(model) is model and not hasattr(model, "quantised_training")
    assert not any("parametrizations" in name for name in model.state_dict())
    network = float_network(model, NAMES)
    choice = weight_choice(weights)
    made = convert(network, sentences(), choice.kind, bits=choice.bits)
    for name, values in linears_of(made).items():
        assert np.array_equal(values, network.values[name]), name
    for name, mask in zeros.items():
        assert mask.mean() >= 0.4 and (made.linears[name].codes[mask] == 0).all(), name
    # Again: nothing moves.
    attach(model, weights, sentences(), activations=False)
    fold(model)
    again = float_network(model, NAMES)
    if not weights.startswith("dtssq"):
        assert all(np.array_equal(again.values[n], network.values[n]) for n in network.values)
    # Planted: a master instead of its level is not what the integers hold.
    off = {**network.values, "q": network.values["q"] * 1.01}
    moved = linears_of(convert(replace(network, values=off), sentences(), choice.kind))
    assert not np.array_equal(moved["q"], off["q"])


def logits_of(model: OffRampAlbert, ids: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.stack(model(*batch_of([ids])))[:, 0].numpy()


def decoded(made: IntegerAlbert, ids: np.ndarray) -> tuple[dict[tuple[int, str], np.ndarray], int]:
    """Real values of every stage of the reference, by layer (-1: before them), and the label."""
    golden = golden_sentence(made, ids, Unit(n=4))
    found = {
        (-1, name): decode(codes, STORED, made.embedding_biases[name])
        for name, codes in golden.embedding.items()
    }
    for index, layer in enumerate(golden.layers):
        stages = {n: layer.stages[n] for n in STAGED if n not in ("input", "v", "logits")}
        stages |= {"v": layer.stages["vt"].T, "logits": layer.logits[None]}
        for name, codes in stages.items():
            found[index, name] = decode(codes, STORED, made.biases[index][name])
    return found, golden.label


def biases_of(made: IntegerAlbert, layer: int) -> Mapping[str, int]:
    return made.embedding_biases if layer < 0 else made.biases[layer]


def stage_shares(
    model: OffRampAlbert, rounding: StageRounding, made: IntegerAlbert, texts: list[np.ndarray]
) -> dict[tuple[int, str], float]:
    """Share of values of every stage that the fake-quantised network has within NEAR steps of the
    reference, each computed from the reference's values of the stages before it."""
    shares: dict[tuple[int, str], list[float]] = {}
    whole = StageRounding.stage, StageRounding.embedding
    wanted: dict[tuple[int, str], np.ndarray] = {}

    def compared(key: tuple[int, str], got: torch.Tensor) -> torch.Tensor:
        if key not in wanted:  # the tables
            return got
        right = torch.from_numpy(wanted[key].astype(np.float32)).reshape(got.shape)
        own = biases_of(made, key[0])[key[1]]
        step = torch.exp2(right.abs().log2().floor().clamp(min=own) - STORED.mantissa_bits)
        shares.setdefault(key, []).append(
            float(((got - right).abs() <= NEAR * step).float().mean())
        )
        return right

    def stage(name: str, x: torch.Tensor, layer: int | None = None) -> torch.Tensor:
        index = rounding.layer if layer is None else layer
        return compared((index, name), whole[0](rounding, name, x, layer))

    rounding.stage = stage  # type: ignore[method-assign]
    rounding.embedding = (  # type: ignore[method-assign]
        lambda name, x: compared((-1, name), whole[1](rounding, name, x))
    )
    try:
        for ids in texts:
            wanted = decoded(made, ids)[0]
            logits_of(model, ids)
    finally:
        del rounding.stage, rounding.embedding  # type: ignore[method-assign]
    return {key: float(np.mean(own)) for key, own in shares.items()}


def shifted(biases: Biases, stage: str, layer: int, by: int) -> Biases:
    own = [dict(b) for b in biases.layers]
    own[layer][stage] += by
    return Biases(biases.embedding, tuple(own))


@pytest.mark.parametrize("weights", each("af4"))
def test_the_forward_pass_tracks_the_integers(weights: str) -> None:
    texts = sentences(6, 3)
    model = random_model(spans=True)
    handle = attach(model, weights, sentences())
    rounding, right = handle.rounding, handle.biases
    assert right is not None and rounding is not None
    choice = weight_choice(weights)
    made = convert(float_network_of(model), [], choice.kind, bits=choice.bits, biases=right)
    shares = stage_shares(model, rounding, made, texts)
    assert len(shares) == len(EMBEDDED) + 3 * (len(STAGED) - 1)
    assert min(shares.values()) > LEAST
    # From the words to the logits: one step of a code is 3 to 6 %, and a step in one stage moves
    # others. A label is the same wherever no other logit is as near as that.
    for ids in texts:
        wanted, label = decoded(made, ids)
        got = logits_of(model, ids)
        off = [np.abs(got[i] - wanted[i, "logits"][0]).max() for i in range(3)]
        assert max(off) < FAR
        first, second = np.sort(got[-1])[::-1][:2]
        assert first - second < 2 * FAR or int(got[-1].argmax()) == label
    # Planted: a bias off by one in one stage of one layer.
    for name, by in (("gelu", -1), ("norm1", 1), ("context", 1), ("q", 1)):
        rounding.biases = shifted(right, name, 1, by)
        found = stage_shares(model, rounding, made, texts)
        assert {key for key, share in found.items() if share < LEAST} == {(1, name)}
    # Planted: the biases of another layer. What is found is among what differs.
    rounding.biases = Biases(right.embedding, (right.layers[0], right.layers[0], right.layers[2]))
    differs = {(1, n) for n, b in right.layers[0].items() if b != right.layers[1][n]}
    found = stage_shares(model, rounding, made, texts)
    low = {key for key, share in found.items() if share < LEAST}
    assert low and low <= differs
    rounding.biases = right
    fold(model)


def test_every_stage_has_its_own_layers_bias() -> None:
    """Each stage is seen once a layer, under the index of the layer that runs."""
    model = random_model()
    handle = attach(model, "af8", sentences())
    assert handle.biases is not None and handle.rounding is not None
    assert set(handle.biases.embedding) == set(EMBEDDED)
    assert all(set(own) == set(STAGED) for own in handle.biases.layers)
    seen: list[tuple[int, str]] = []
    inner = handle.rounding.stage

    def spy(name: str, x: torch.Tensor, layer: int | None = None) -> torch.Tensor:
        seen.append((handle.rounding.layer if layer is None else layer, name))  # type: ignore[union-attr]
        return inner(name, x, layer)

    handle.rounding.stage = spy  # type: ignore[method-assign]
    for _ in range(2):
        logits_of(model, sentences()[0])
    wanted = [(i, name) for i in range(3) for name in STAGED if name != "input"]
    assert sorted(seen) == sorted(2 * wanted)
    fold(model)
    assert model.config._attn_implementation != "shiftforge_fake_quantised"


def test_biases_are_those_of_the_conversion() -> None:
    """Two ways to the same choice: torch in float32, and the formulas in float64."""
    model = random_model(spans=True)
    handle = attach(model, "af8", sentences())
    assert handle.biases is not None
    wanted = calibrate(float_network_of(model), sentences())
    pairs = [(handle.biases.embedding, wanted.embedding)]
    pairs += list(zip(handle.biases.layers, wanted.layers, strict=True))
    for own, other in pairs:
        assert dict(own) == dict(other)
    handle.recalibrate()
    assert handle.biases.layers == wanted.layers


def test_attached_and_folded_networks() -> None:
    model = random_model()
    text = sentences()[0]
    before = logits_of(model, text)
    attach(model, "af8", sentences())
    assert not np.array_equal(logits_of(model, text), before)
    with pytest.raises(InputError, match="already"):
        attach(model, "af8", sentences())
    fold(model)
    assert fold(model) is model
    for bad in ("af9", "dtssq"):
        with pytest.raises(InputError, match="weights"):
            attach(model, bad, sentences())
    with pytest.raises(InputError, match="calibration"):
        attach(model, "af8", [])
    # Nothing is left behind by a refusal.
    assert not any(parametrize.is_parametrized(m) for m in model.modules())
    attach(model, "af5", sentences(), activation_bits=6)
    fold(model)
    with torch.no_grad():
        model.ramps[1].weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        attach(model, "af8", sentences())
