"""The network's formulas in float64, one sentence at a time, every tensor under its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EMBEDDING_STAGES", "LINEARS", "NORMS", "FloatNetwork", "Rounding", "Stages",
           "float_stages"]  # fmt: skip

Floats = NDArray[np.float64]
Stages = dict[str, Floats]
Rounding = Callable[[int | None, str, Floats], Floats]
"""Takes a layer (None before the layers), a stage and its values, gives what goes on."""

LINEARS = ("q", "k", "v", "output", "ffn1", "ffn2")
"""A layer's matrices (outputs, inputs); each has a bias ``NAME.bias``."""
NORMS = ("norm1", "norm2")
"""Its layer norms, with ``NAME.gamma`` and ``NAME.beta``."""
EMBEDDING_STAGES = ("word", "place", "embedded", "embedding_norm", "input")
"""Before the layers: word embedding, position with type, their sum, its layer norm, the layer's
input."""


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """values: by name: ``word`` (V, E), ``position`` (L, E), ``type`` (T, E), ``embedding_norm.*``,
    ``mapping`` (H, E) with its bias, a layer's LINEARS and NORMS, ``ramp i`` (classes, H) with
    ``ramp i.bias``. spans: attention span z of each head (heads,), in tokens, and ramp its slope's
    length R, in tokens; None for no mask."""

    values: Mapping[str, Floats]
    heads: int
    layers: int
    epsilon: float
    classes: tuple[str, ...]
    spans: Floats | None = None
    ramp: int = 0

    @property
    def length(self) -> int:
        """The longest sentence."""
        return len(self.values["position"])

    def dense(self, x: Floats, name: str) -> Floats:
        """x W^T + b."""
        y: Floats = x @ self.values[name].T + self.values[name + ".bias"]
        return y

    def norm(self, x: Floats, name: str) -> Floats:
        """Layer norm of the rows."""
        deviation = np.sqrt(x.var(axis=1, keepdims=True) + self.epsilon)
        y: Floats = (x - x.mean(axis=1, keepdims=True)) / deviation
        return y * self.values[name + ".gamma"] + self.values[name + ".beta"]


def _span_mask(spans: Floats, ramp: int, length: int) -> Floats:
    """m_z(x) = clamp((R + z - x) / R, 0, 1), x = |i - j|: (heads, length, length)."""
    place = np.arange(length)
    apart = np.abs(place[:, None] - place[None, :])
    return np.asarray(np.clip((ramp + spans[:, None, None] - apart) / ramp, 0, 1))


def _exact(layer: int | None, name: str, values: Floats) -> Floats:
    return values


def _layer(network: FloatNetwork, x: Floats, index: int, rounded: Rounding) -> Stages:
    out: Stages = {}

    def keep(name: str, values: Floats) -> Floats:
        out[name] = rounded(index, name, values)
        return out[name]

    for name in ("q", "k", "v"):
        keep(name, network.dense(x, name))
    length, width = len(x), x.shape[1] // network.heads
    q, k, v = (out[s].reshape(length, network.heads, width).transpose(1, 0, 2) for s in "qkv")
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(width)
    e = np.exp(scores - scores.max(axis=2, keepdims=True))
    keep("scores", scores)
    shares = e / e.sum(axis=2, keepdims=True)
    if network.spans is not None:
        shares *= _span_mask(network.spans, network.ramp, length)
    shares = keep("probabilities", shares)
    keep("context", (shares @ v).transpose(1, 0, 2).reshape(length, -1))
    keep("attention_output", network.dense(out["context"], "output"))
    keep("add1", x + out["attention_output"])
    keep("norm1", network.norm(out["add1"], "norm1"))
    y = keep("ffn1", network.dense(out["norm1"], "ffn1"))
    keep("gelu", 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3))))
    keep("ffn2", network.dense(out["gelu"], "ffn2"))
    keep("add2", out["norm1"] + out["ffn2"])
    keep("norm2", network.norm(out["add2"], "norm2"))
    return out


def float_stages(
    network: FloatNetwork,
    ids: NDArray[np.int64],
    types: NDArray[np.int64] | None = None,
    rounded: Rounding = _exact,
) -> tuple[Stages, list[Stages]]:
    """(embedding stages, the stages of every layer with its off-ramp's ``logits`` (1, classes)).

    ids: token identities (L,). types: token types (L,), 0 by default. rounded: what becomes of each
    stage before the next one takes it. ``probabilities`` are those behind the span mask, with no
    renormalisation.
    """
    values = network.values
    kinds = np.zeros(len(ids), dtype=np.int64) if types is None else types
    first: Stages = {}

    def keep(name: str, values: Floats) -> Floats:
        first[name] = rounded(None, name, values)
        return first[name]

    keep("word", values["word"][ids])
    keep("place", values["position"][: len(ids)] + values["type"][kinds])
    keep("embedded", first["word"] + first["place"])
    keep("embedding_norm", network.norm(first["embedded"], "embedding_norm"))
    x = keep("input", network.dense(first["embedding_norm"], "mapping"))
    layers = []
    for index in range(network.layers):
        stages = _layer(network, x, index, rounded)
        x = stages["norm2"]
        stages["logits"] = rounded(index, "logits", network.dense(x[:1], f"ramp {index}"))
        layers.append(stages)
    return first, layers
