"""Attention spans: gradients, transformers against the formulas, heads that are off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compress_cases import SHAPE, random_model
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.albert.network import stages as formulas
from shiftforge.quant.albert.network.folder import float_network, load_classifier, save_classifier
from shiftforge.quant.albert.network.model import attach_spans, batch_of
from shiftforge.quant.albert.network.spans import AttentionSpans, SpanLearning, span_mask, span_rate
from shiftforge.quant.albert.network.stages import float_stages

TEXTS = [np.arange(4, 16), np.array([2, 9, 7, 30, 3])]  # the shorter one is padded and masked


def test_the_mask_by_hand() -> None:
    mask = span_mask(torch.tensor([1.0, -4.0]), 4, 7)
    wanted = [1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert mask[0, 0].tolist() == wanted
    assert mask[0, :, 6].tolist() == wanted[::-1]
    assert not mask[1].any()


def test_gradients_of_the_mask_are_finite_differences() -> None:
    # Off the corners, where the slope jumps.
    z = torch.tensor([2.3, -1.4, 30.0, -3.7], dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 9, 9, dtype=torch.float64)

    def value(at: torch.Tensor) -> torch.Tensor:
        return (weights * span_mask(at, 4, 9)).sum()

    value(z).backward()
    assert z.grad is not None
    for head in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[head] = 1e-5
        slope = (value(z.detach() + step) - value(z.detach() - step)) / 2e-5
        assert z.grad[head] == pytest.approx(float(slope), abs=1e-8)


def _differences(z: list[float], ramp: int) -> float:
    model = random_model()
    spans = attach_spans(model, ramp)
    with torch.no_grad():
        spans.z.copy_(torch.tensor(z))
        wanted = model(*batch_of(TEXTS))
    network = float_network(model, ("a", "b"))
    worst = 0.0
    for row, ids in enumerate(TEXTS):
        _, layers = float_stages(network, ids)
        for index, stages in enumerate(layers):
            worst = max(worst, np.abs(stages["logits"][0] - wanted[index][row].numpy()).max())
    return worst


@pytest.mark.parametrize("z", [[12.0, 12.0], [2.3, -1.6], [-4.0, 1.0], [-4.0, -4.0]])
def test_transformers_with_spans_computes_the_formulas(z: list[float]) -> None:
    assert _differences(z, 4) < 1e-4


def _wrong_sign(spans: np.ndarray, ramp: int, length: int) -> np.ndarray:
    place = np.arange(length)
    apart = np.abs(place[:, None] - place[None, :])
    return np.clip((ramp + spans[:, None, None] + apart) / ramp, 0, 1)


def _signed(spans: np.ndarray, ramp: int, length: int) -> np.ndarray:
    place = np.arange(length)
    return np.clip((ramp + spans[:, None, None] - (place[:, None] - place)) / ramp, 0, 1)


@pytest.mark.parametrize("fault", [_wrong_sign, _signed])
def test_a_wrong_mask_is_caught(
    fault: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formulas, "_span_mask", fault)
    assert _differences([2.3, -1.6], 4) > 1e-3


def test_renormalised_probabilities_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = formulas._layer

    def renormalised(network: formulas.FloatNetwork, x: np.ndarray, *rest: Any) -> formulas.Stages:
        # softmax(scores + ln m) is the masked probabilities over their sum.
        mask = formulas._span_mask(network.spans, network.ramp, len(x))
        held = np.linalg.norm
        assert held(mask) > 0
        monkeypatch.setattr(np, "exp", lambda s, _e=np.exp: _e(s) * mask)
        try:
            return right(network, x, *rest)
        finally:
            monkeypatch.undo()
            monkeypatch.setattr(formulas, "_layer", renormalised)

    monkeypatch.setattr(formulas, "_layer", renormalised)
    assert _differences([2.3, -1.6], 4) > 1e-3


def test_full_spans_change_nothing_and_a_head_that_is_off_gives_no_context() -> None:
    model = random_model()
    with torch.no_grad():
        before = model(*batch_of(TEXTS))
        spans = attach_spans(model, 4)
        after = model(*batch_of(TEXTS))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(before, after, strict=True))
    assert spans.off() == (False, False)
    with torch.no_grad():
        spans.z[1] = -100.0
        spans.restrict()
        assert spans.z.tolist() == [12.0, -4.0]
        seen: list[torch.Tensor] = []
        layer = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.dense
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        model(*batch_of(TEXTS))
    assert spans.off() == (False, True)
    assert spans.average() == 6.0
    width = SHAPE.hidden // SHAPE.heads
    assert len(seen) == SHAPE.layers
    assert all(not x[..., width:].any() and x[..., :width].any() for x in seen)
    _, layers = float_stages(float_network(model, ("a", "b")), TEXTS[0])
    assert not layers[0]["context"][:, width:].any()
    assert not layers[0]["probabilities"][1].any()


def test_the_span_loss_pulls_z_down_and_the_rate_suits_tokens() -> None:
    spans = AttentionSpans(2, 4, 12)
    assert spans.loss().item() == 144.0
    assert SpanLearning(spans, 5e-6, 1.0).loss().item() == pytest.approx(144 * 5e-6)
    rate = span_rate(spans, 100, 2.0)
    optimiser = torch.optim.Adam([spans.z], lr=rate / 2)  # the schedule's mean
    for _ in range(55):  # a little more than one of the two crossings
        optimiser.zero_grad()
        spans.loss().backward()
        optimiser.step()
        spans.restrict()
    assert spans.z.tolist() == [-4.0, -4.0]


def test_spans_are_saved(tmp_path: Path) -> None:
    model = random_model()
    spans = attach_spans(model, 3)
    with torch.no_grad():
        spans.z.copy_(torch.tensor([1.7, -3.0]))
    save_classifier(model, ("a", "b"), tmp_path)
    loaded, _ = load_classifier(tmp_path)
    assert isinstance(loaded.spans, nn.Module)
    assert loaded.spans.ramp == 3
    assert torch.equal(loaded.spans.z, spans.z)
    with torch.no_grad():
        wanted, found = model(*batch_of(TEXTS)), loaded(*batch_of(TEXTS))
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))


def test_a_ramp_of_nothing() -> None:
    with pytest.raises(InputError, match="ramp"):
        attach_spans(random_model(), 0)
