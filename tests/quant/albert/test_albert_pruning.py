"""Pruning masks: schedule, gradients, exact zeros, quantisers behind them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from compress_cases import random_model
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.errors import InputError
from shiftforge.quant.albert.compression.distil import Distillation, distillation_loss
from shiftforge.quant.albert.compression.pruning import (
    Mask,
    Method,
    Schedule,
    attach_pruning,
    encoder_linears,
    fold_pruning,
    sparsities,
)
from shiftforge.quant.albert.network.model import batch_of

TEXTS = batch_of([np.arange(4, 16), np.array([2, 9, 7, 30, 3])])


def test_the_schedule_at_its_ends_and_between() -> None:
    schedule = Schedule(0.6, 0.1, 0.3)
    keeps = [schedule.keep(p) for p in np.linspace(0, 1, 101)]
    assert keeps[:11] == [1.0] * 11
    assert keeps[70:] == pytest.approx([0.4] * 31)
    assert all(a >= b for a, b in pairwise(keeps))
    assert schedule.keep(0.4) == pytest.approx(0.4 + 0.6 * 0.5**3)


def test_schedules_that_are_none() -> None:
    with pytest.raises(InputError) as caught:
        Schedule(1.0, 0.6, 0.5)
    assert "sparsity 1.0" in str(caught.value)
    assert "cool-down" in str(caught.value)


def test_movement_gradients_are_exact() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 5)
    linear = nn.Linear(5, 6)
    linear.weight.data.copy_(weight)
    mask = Mask(linear.weight, "movement")
    mask.kept = 11
    assert mask.scores is not None
    mask.scores.data.copy_(torch.randn(6, 5))
    parametrize.register_parametrization(linear, "weight", mask)
    x, way = torch.randn(4, 5), torch.randn(4, 6)
    (linear(x) * way).sum().backward()
    outer = way.T @ x  # dL/dW'
    top = torch.zeros(30)
    top[mask.scores.flatten().argsort(descending=True)[:11]] = 1
    assert mask.scores.grad is not None
    assert torch.allclose(mask.scores.grad, outer * weight, rtol=1e-6, atol=0)
    original: Any = linear.parametrizations.weight.original  # type: ignore[union-attr]
    assert torch.allclose(original.grad, outer * top.view(6, 5), rtol=1e-6, atol=0)
    assert int((linear.weight == 0).sum()) == 30 - 11


@pytest.mark.parametrize("method", ["movement", "magnitude"])
@pytest.mark.parametrize("over_all", [False, True])
def test_fold_leaves_exact_zeros(method: Method, over_all: bool) -> None:
    model = random_model()
    linears = encoder_linears(model)
    dense = {name: lin.weight.detach().clone() for name, lin in linears.items()}
    mapping = model.albert.encoder.embedding_hidden_mapping_in.weight.detach().clone()
    pruning = attach_pruning(model, method, Schedule(0.7), over_all=over_all)
    for mask in pruning.masks.values():
        if mask.scores is not None:
            mask.scores.data.copy_(torch.randn_like(mask.scores))
    assert sparsities(model)["encoder"] == 0  # the schedule's start
    pruning.before(1.0)
    with torch.no_grad():
        masked = model(*TEXTS)
    ranked = {n: m.importance(dense[n]).detach() for n, m in pruning.masks.items()}
    fold_pruning(model)
    assert not any(parametrize.is_parametrized(lin) for lin in linears.values())
    with torch.no_grad():
        folded = model(*TEXTS)
    assert all(torch.equal(a, b) for a, b in zip(masked, folded, strict=True))
    total = kept_of_all = 0
    for name, linear in linears.items():
        stays = linear.weight != 0
        assert torch.equal(linear.weight[stays], dense[name][stays])
        assert ranked[name][stays].min() > ranked[name][~stays].max()
        if not over_all:
            assert int(stays.sum()) == round(0.3 * stays.numel())
        total, kept_of_all = total + stays.numel(), kept_of_all + int(stays.sum())
    assert abs(kept_of_all - 0.3 * total) <= (0.5 if over_all else 3)
    if over_all:
        low = min(float(r[linears[n].weight != 0].min()) for n, r in ranked.items())
        high = max(float(r[linears[n].weight == 0].max()) for n, r in ranked.items())
        assert low > high
    found = sparsities(model)
    assert found["encoder"] == pytest.approx(0.7, abs=1e-3)
    assert found["mapping"] == 0
    kept = model.albert.encoder.embedding_hidden_mapping_in.weight
    assert torch.equal(kept, mapping)


class _Rounded(nn.Module):
    """Stands for a quantiser: nearest of the steps of 1/16, with the gradient passed through."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + (torch.round(16 * weight) / 16 - weight).detach()


def test_a_quantiser_behind_the_masks_keeps_the_zeros() -> None:
    model = random_model()
    pruning = attach_pruning(model, "magnitude", Schedule(0.5))
    for linear in pruning.linears.values():
        parametrize.register_parametrization(linear, "weight", _Rounded())
    pruning.before(1.0)
    fold_pruning(model)
    for linear in encoder_linears(model).values():
        assert int((linear.weight == 0).sum()) >= linear.weight.numel() // 2
        assert torch.equal(linear.weight * 16, torch.round(linear.weight * 16))


def test_masks_come_first_and_need_a_schedule() -> None:
    model = random_model()
    linear = encoder_linears(model)["k"]
    parametrize.register_parametrization(linear, "weight", _Rounded())
    with pytest.raises(InputError) as caught:
        attach_pruning(model, "movement")
    assert "k has a parametrization" in str(caught.value)
    assert "no schedule" in str(caught.value)


def test_zeros_that_were_there_stay() -> None:
    model = random_model()
    attach_pruning(model, "magnitude", Schedule(0.5)).before(1.0)
    fold_pruning(model)
    zeros = {name: lin.weight == 0 for name, lin in encoder_linears(model).items()}
    attach_pruning(model, "kept")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    with parametrize.cached():
        model(*TEXTS)[-1].sum().backward()
    optimiser.step()
    fold_pruning(model)
    for name, linear in encoder_linears(model).items():
        assert torch.equal(linear.weight == 0, zeros[name])


def test_a_mask_is_computed_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    pruning = attach_pruning(model, "movement", Schedule(0.5))
    calls: list[object] = []
    right = Mask.forward
    monkeypatch.setattr(Mask, "forward", lambda s, w: calls.append(s) or right(s, w))
    with parametrize.cached():
        model(*TEXTS)
    assert len(calls) == len(pruning.masks)


def test_distillation_by_hand() -> None:
    student, teacher = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, -2.0]])
    p = 1 / (1 + np.exp(-2.0))  # softmax of (1, -1)
    q = 1 / (1 + np.exp(1.0))  # of (0.5, 1.5)
    wanted = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    assert distillation_loss(student, teacher, 2.0).item() == pytest.approx(wanted, rel=1e-5)
    model = random_model()
    objective = Distillation(random_model(seed=1))
    logits = model(*TEXTS)[-1]
    labels = torch.tensor([0, 1])
    own = nn.functional.cross_entropy(logits, labels)
    both = distillation_loss(logits, objective.teacher(*TEXTS)[-1], 2.0)
    found = objective(logits, labels, *TEXTS)
    assert found.item() == pytest.approx(0.9 * both.item() + 0.1 * own.item(), rel=1e-5)
    found.backward()
    assert all(p.grad is None for p in objective.teacher.parameters())
