"""Movement and magnitude pruning of the encoder's matrices, as torch parametrizations.

Movement (V. Sanh, T. Wolf, A. Rush, NeurIPS 2020): W' = W * Top_v(S), S learned with the
straight-through gradient dL/dS = dL/dW' * W. Magnitude (M. Zhu, S. Gupta, 2017): the same with
S = |W|, not learned. The kept share falls as f + (i - f)(1 - progress)^3.

A mask is registered before a quantiser's parametrization: the quantiser sees the zeros, and keeps
them. Layers share their weights, so a step is to run within ``parametrize.cached()``, which
computes each mask once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.albert.network.model import OffRampAlbert

__all__ = [
    "Mask",
    "Method",
    "Pruning",
    "Schedule",
    "attach_pruning",
    "encoder_linears",
    "fold_pruning",
    "sparsities",
]

Method = Literal["movement", "magnitude", "kept"]
"""How the weights that stay are chosen; kept: those that are not 0 at the start, for good."""


def encoder_linears(model: OffRampAlbert, mapping: bool = False) -> dict[str, nn.Linear]:
    """The shared layer's matrices by the formulas' names, q to ffn2; with ``mapping`` if asked."""
    encoder = model.albert.encoder
    layer: Any = cast(Any, encoder.albert_layer_groups)[0].albert_layers[0]
    attention = layer.attention
    found = {
        "q": attention.query,
        "k": attention.key,
        "v": attention.value,
        "output": attention.dense,
        "ffn1": layer.ffn,
        "ffn2": layer.ffn_output,
    }
    if mapping:
        found["mapping"] = encoder.embedding_hidden_mapping_in
    return found


@dataclass(frozen=True)
class Schedule:
    """The kept share of the weights over a training.

    sparsity: at the end, 0..1. warm_up: share of the training, from the start, with all weights.
    cool_down: share, up to the end, with the last sparsity. Raises InputError.
    """

    sparsity: float
    warm_up: float = 0.1
    cool_down: float = 0.3

    def __post_init__(self) -> None:
        problems = Problems()
        if not 0 <= self.sparsity < 1:
            problems.append(Problem(f"sparsity {self.sparsity}", "use 0 to below 1", "sparsity"))
        if min(self.warm_up, self.cool_down) < 0 or self.warm_up + self.cool_down >= 1:
            what = f"a warm-up of {self.warm_up} and a cool-down of {self.cool_down} of a training"
            problems.append(Problem(what, "use shares whose sum is below 1", "schedule"))
        problems.stop()

    def keep(self, progress: float) -> float:
        """Kept share at 0..1 of the training: Zhu and Gupta, equation 1, from 1 down."""
        last = 1 - self.sparsity
        along = (progress - self.warm_up) / (1 - self.warm_up - self.cool_down)
        return last + (1 - last) * (1 - min(max(along, 0.0), 1.0)) ** 3


class _Top(torch.autograd.Function):
    """1 at the ``kept`` highest scores, else 0; the gradient passes through unchanged."""

    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, kept: int) -> torch.Tensor:
        flat = torch.zeros(scores.numel(), dtype=scores.dtype)
        flat[scores.flatten().topk(kept, sorted=False).indices] = 1
        return flat.view_as(scores)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


class Mask(nn.Module):
    """W * mask. kept: weights that stay. scores: learned (movement), or None."""

    fixed: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, method: Method) -> None:
        super().__init__()
        self.kept = weight.numel()
        # Scores of 0 are the published start. They then hold the sum of the movements alone, and
        # their rate's size does not matter to the order.
        self.scores = nn.Parameter(torch.zeros_like(weight)) if method == "movement" else None
        fixed = (weight.detach() != 0).to(weight.dtype) if method == "kept" else None
        self.register_buffer("fixed", fixed)

    def importance(self, weight: torch.Tensor) -> torch.Tensor:
        """What the weights are ordered by: the highest stay."""
        return weight.detach().abs() if self.scores is None else self.scores

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        if self.fixed is not None:
            return weight * self.fixed
        if self.scores is None and self.kept == weight.numel():
            return weight
        top = _Top.apply(self.importance(weight), self.kept)  # type: ignore[no-untyped-call]
        return weight * cast(torch.Tensor, top)


@dataclass(frozen=True, eq=False)
class Pruning:
    """The masks of a network under training (an addition of ``loop.fit_network``).

    linears, masks: by name. schedule: None for fixed masks. rate: highest rate of the scores, of
    Adam, without decay. over_all: the weights that stay are chosen over all matrices together; by
    default in each matrix by itself, so that no matrix loses nearly all of its weights.
    """

    linears: Mapping[str, nn.Linear]
    masks: Mapping[str, Mask]
    schedule: Schedule | None
    rate: float
    over_all: bool

    def groups(self) -> list[dict[str, Any]]:
        """The scores."""
        scores = [m.scores for m in self.masks.values() if m.scores is not None]
        return [{"params": scores, "lr": self.rate, "weight_decay": 0.0}] if scores else []

    @torch.no_grad()
    def before(self, progress: float) -> None:
        """Set how many weights stay at 0..1 of the training."""
        if self.schedule is None:
            return
        keep = self.schedule.keep(progress)
        for mask, kept in zip(self.masks.values(), self._counts(keep), strict=True):
            mask.kept = kept

    def _counts(self, keep: float) -> list[int]:
        originals = [
            cast(torch.Tensor, lin.parametrizations.weight.original)  # type: ignore[union-attr]
            for lin in self.linears.values()
        ]
        if not self.over_all:
            return [round(keep * w.numel()) for w in originals]
        ranked = [
            m.importance(w).flatten() for m, w in zip(self.masks.values(), originals, strict=True)
        ]
        # The highest over all are, in each matrix, its own highest of some number.
        owner = torch.repeat_interleave(torch.tensor([len(r) for r in ranked]))
        together = torch.cat(ranked)
        top = together.topk(round(keep * len(together)), sorted=False).indices
        return torch.bincount(owner[top], minlength=len(ranked)).tolist()

    def loss(self) -> None:
        """None: the scores learn from the network's own loss."""

    def after(self) -> None:
        """Nothing."""


def attach_pruning(
    model: OffRampAlbert,
    method: Method,
    schedule: Schedule | None = None,
    *,
    rate: float = 1e-2,
    over_all: bool = False,
    mapping: bool = False,
) -> Pruning:
    """Mask the encoder's matrices (q, k, v, output, ffn1, ffn2; ``mapping`` if asked).

    Off-ramps, embeddings, biases and layer norms are not pruned. Raises InputError where a matrix
    has a parametrization already (masks come first), or a schedule is missing.
    """
    linears = encoder_linears(model, mapping)
    taken = [n for n, lin in linears.items() if parametrize.is_parametrized(lin, "weight")]
    problems = [Problem(f"{n} has a parametrization", "attach masks first", n) for n in taken]
    if method != "kept" and schedule is None:
        problems.append(Problem("no schedule", "give one", "schedule"))
    if problems:
        raise InputError(problems)
    masks = {name: Mask(linear.weight, method) for name, linear in linears.items()}
    for name, linear in linears.items():
        parametrize.register_parametrization(linear, "weight", masks[name])
    made = Pruning(linears, masks, None if method == "kept" else schedule, rate, over_all)
    made.before(0.0)
    return made


def fold_pruning(model: OffRampAlbert) -> None:
    """Write the masked weights, with exact zeros, over the weights; the masks go.

    Other parametrizations of the same matrices are folded with them.
    """
    for linear in encoder_linears(model, mapping=True).values():
        if parametrize.is_parametrized(linear, "weight"):
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)


def sparsities(model: OffRampAlbert) -> dict[str, float]:
    """Share of exact zeros of each matrix, 0..1, and of q to ffn2 together as ``encoder``."""
    with torch.no_grad():
        zeros = {n: (lin.weight == 0).numpy() for n, lin in encoder_linears(model, True).items()}
    found = {name: float(own.mean()) for name, own in zeros.items()}
    own = [z.ravel() for name, z in zeros.items() if name != "mapping"]
    return {**found, "encoder": float(np.concatenate(own).mean())}
