"""transformers' ALBERT, as it is, with a linear classifier (off-ramp) after every layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AlbertConfig, AlbertModel

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.network.spans import ATTENTION, AttentionSpans

__all__ = ["OffRampAlbert", "attach_spans", "batch_of", "configuration", "shorten"]


def configuration(shape: Shape, vocabulary: int, dropout: float = 0.0) -> AlbertConfig:
    """transformers' settings: shared layers, gelu_new, epsilon 1e-12."""
    return AlbertConfig(
        vocab_size=vocabulary,
        embedding_size=shape.embedding,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_hidden_groups=1,
        inner_group_num=1,
        num_attention_heads=shape.heads,
        intermediate_size=shape.ffn,
        hidden_act="gelu_new",
        hidden_dropout_prob=dropout,
        # Dropping out of attention costs a third of a step on a processor.
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=shape.length,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        pad_token_id=0,
    )


class OffRampAlbert(nn.Module):
    """albert: transformers' model, without its pooler. ramps: one linear classifier a layer, over
    the first token's column. spans: of the heads, see ``attach_spans``; None for none."""

    spans: AttentionSpans | None

    def __init__(
        self, config: AlbertConfig, classes: int, albert: AlbertModel | None = None
    ) -> None:
        super().__init__()
        self.albert = albert or AlbertModel(config, add_pooling_layer=False)
        self.config = self.albert.config
        self.spans = None
        self.drop = nn.Dropout(config.hidden_dropout_prob)
        self.ramps = nn.ModuleList(
            nn.Linear(config.hidden_size, classes) for _ in range(config.num_hidden_layers)
        )

    def first_columns(self, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """The first token's column (N, hidden) after every layer."""
        # Once a call: every layer has the same mask.
        more = {} if self.spans is None else {"span_mask": self.spans(ids.shape[1])}
        found = self.albert(input_ids=ids, attention_mask=mask, output_hidden_states=True, **more)
        states = found.hidden_states[-self.config.num_hidden_layers :]
        return [state[:, 0] for state in states]

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """Logits (N, classes) of every off-ramp. ids, mask: (N, L), mask 1 for tokens."""
        columns = self.first_columns(ids, mask)
        return [ramp(self.drop(c)) for ramp, c in zip(self.ramps, columns, strict=True)]


def attach_spans(model: OffRampAlbert, ramp: int, start: float | None = None) -> AttentionSpans:
    """Give a classifier attention spans, with which it computes from then on.

    ramp: R, in tokens, at least 1. start: of every z, in tokens; by default the network's length,
    where no probability is masked. Raises InputError.
    """
    if ramp < 1:
        raise InputError(Problem(f"a ramp of {ramp} tokens", "use 1 or more", "ramp"))
    config = model.config
    spans = AttentionSpans(config.num_attention_heads, ramp, config.max_position_embeddings, start)
    model.albert.set_attn_implementation(ATTENTION)
    model.spans = spans
    return spans


def shorten(model: OffRampAlbert, length: int) -> None:
    """Leave out the places past ``length`` tokens; shorter sentences are computed as before."""
    embeddings = model.albert.embeddings
    held = embeddings.position_embeddings.weight
    if length >= len(held):
        return
    kept = nn.Embedding(length, held.shape[1])
    with torch.no_grad():
        kept.weight.copy_(held[:length])
    embeddings.position_embeddings = kept
    for name in ("position_ids", "token_type_ids"):
        if (own := getattr(embeddings, name, None)) is not None:
            setattr(embeddings, name, own[:, :length])
    model.config.max_position_embeddings = length


def batch_of(sentences: Sequence[NDArray[np.int64]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token identities and mask (N, L) of sentences of up to L tokens."""
    longest = max(len(s) for s in sentences)
    ids = np.zeros((len(sentences), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = sentence
        mask[row, : len(sentence)] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
