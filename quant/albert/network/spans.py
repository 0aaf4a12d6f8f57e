"""Learned attention spans of the heads (S. Sukhbaatar et al., ACL 2019; EdgeBERT, MICRO 2021).

A head's softmax probabilities are multiplied by m_z(x) = clamp((R + z - x) / R, 0, 1), x = |i - j|
tokens, z learned, R the ramp. There is no renormalisation behind it: the unit has none. Layers
share their weights, and the spans with them: one z a head.

transformers' AlbertModel stays as it is: the mask reaches the attention function of this module as
the keyword ``span_mask`` of the model's call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

__all__ = [
    "ATTENTION",
    "AttentionSpans",
    "SpanLearning",
    "masked_probabilities",
    "span_attention",
    "span_mask",
    "span_rate",
]

ATTENTION = "shiftforge_span"
"""Name of the attention function among transformers' implementations."""


def span_mask(z: torch.Tensor, ramp: int, length: int) -> torch.Tensor:
    """m_z(|i - j|) (heads, length, length), 0..1. z: (heads,), in tokens. ramp: in tokens."""
    place = torch.arange(length, dtype=z.dtype, device=z.device)
    apart = (place[:, None] - place[None, :]).abs()
    # Of every distance once, then spread: the gradient of z passes through (heads, length) only.
    table = ((ramp + z[:, None] - place) / ramp).clamp(0, 1)
    return table[:, apart.long()]


class AttentionSpans(nn.Module):
    """The spans of a network's heads.

    z: (heads,), in tokens, in [-ramp, length]; at -ramp a head attends to nothing and is off.
    """

    def __init__(self, heads: int, ramp: int, length: int, start: float | None = None) -> None:
        super().__init__()
        self.ramp, self.length = ramp, length
        self.z = nn.Parameter(torch.full((heads,), float(length if start is None else start)))
        self.restrict()

    def forward(self, length: int) -> torch.Tensor:
        """The mask (heads, length, length) of sentences of a length."""
        return span_mask(self.z, self.ramp, length)

    @torch.no_grad()
    def restrict(self) -> None:
        """Put z back into its range, after a training step."""
        self.z.clamp_(-self.ramp, self.length)

    def loss(self) -> torch.Tensor:
        """length · mean(z): the paper's span loss is 5e-6 times that."""
        return self.length * self.z.mean()

    def off(self) -> tuple[bool, ...]:
        """Heads whose mask, rounded to 8 fraction bits as on the unit, is 0 everywhere."""
        held = torch.round(256 * self.z.detach().double()).tolist()
        return tuple(round((256 * self.ramp + z) / self.ramp) <= 0 for z in held)

    def average(self) -> float:
        """Mean over the heads of the reach z + ramp (0 for a head that is off), in tokens, at most
        the length."""
        return float((self.z.detach() + self.ramp).clamp(0, self.length).mean())


@dataclass(frozen=True, eq=False)
class SpanLearning:
    """The spans under training (an addition of ``loop.fit_network``).

    coefficient: of ``AttentionSpans.loss``; the paper's is 5e-6. rate: highest rate of z, in
    tokens a step (``span_rate``).
    """

    spans: AttentionSpans
    coefficient: float
    rate: float

    def groups(self) -> list[dict[str, Any]]:
        """z."""
        return [{"params": [self.spans.z], "lr": self.rate, "weight_decay": 0.0}]

    def before(self, progress: float) -> None:
        """Nothing."""

    def loss(self) -> torch.Tensor:
        """The span loss."""
        return self.coefficient * self.spans.loss()

    def after(self) -> None:
        """z stays in its range."""
        self.spans.restrict()


def span_rate(spans: AttentionSpans, steps: int, travel: float) -> float:
    """Highest rate, in tokens a step, at which z can cross its range ``travel`` times in training.

    Adam moves a parameter by about its rate a step, whatever the gradient's size. z is in tokens,
    its range is [-ramp, length]: at the weights' rate, of about 1e-3, it would stay within a token
    of its start. The schedule's mean is half of its highest rate.
    """
    return travel * (spans.length + spans.ramp) / max(0.5 * steps, 1)


def masked_probabilities(
    query: torch.Tensor,
    key: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None,
    dropout: float,
    span_mask: torch.Tensor | None,
) -> torch.Tensor:
    """Softmax of the scores, times the span mask: (N, heads, L, L).

    Arguments as of :func:`span_attention`; dropout: 0 where nothing is to be dropped.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query * scale, key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores.add_(attention_mask)  # a product's backward pass does not need its result
    probabilities = nn.functional.softmax(scores, dim=-1)
    if dropout:
        probabilities = nn.functional.dropout(probabilities, p=dropout)
    return probabilities if span_mask is None else probabilities * span_mask


def span_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    span_mask: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of transformers' interface with the span mask behind the softmax.

    query, key, value: (N, heads, L, width). attention_mask: (N, 1, L, L), added to the scores.
    span_mask: (heads, L, L), None for none. Returns the context (N, L, heads, width) and the masked
    probabilities (N, heads, L, L).
    """
    rate = dropout if module.training else 0.0
    probabilities = masked_probabilities(query, key, attention_mask, scaling, rate, span_mask)
    context = torch.matmul(probabilities, value).transpose(1, 2).contiguous()
    return context, probabilities


AttentionInterface.register(ATTENTION, span_attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)
