"""Multiply-accumulate operations of a sentence, as the unit's products count them."""

from __future__ import annotations

from shiftforge.quant.albert.network.settings import Shape

__all__ = ["layer_macs", "sentence_macs"]


def layer_macs(shape: Shape, tokens: int, heads_off: int = 0) -> int:
    """Of one encoder layer over ``tokens`` tokens: q, k, v and output projections, scores and
    context of the heads that are on, feed-forward. ALBERT-base at 128 tokens: 931.1 million."""
    width = shape.hidden // shape.heads
    projections = 4 * tokens * shape.hidden**2
    attention = 2 * tokens**2 * width * (shape.heads - heads_off)
    return projections + attention + 2 * tokens * shape.hidden * shape.ffn


def sentence_macs(
    shape: Shape, tokens: int, layers: float, classes: int, heads_off: int = 0
) -> float:
    """Of a sentence: embedding mapping, ``layers`` layers (an average may be a fraction), and an
    off-ramp after each."""
    mapping = tokens * shape.embedding * shape.hidden
    return mapping + layers * (layer_macs(shape, tokens, heads_off) + classes * shape.hidden)
