"""Per-layer facts of a model: work, weights, storage and how the weights are made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shiftforge.quant.formats import packing, shift
from shiftforge.quant.graph.types import Conv, QuantizedModel, ShiftFormat, Tensor

__all__ = ["LayerKind", "LayerSummary", "layer_kind", "summarise"]

LayerKind = Literal["standard", "depthwise", "pointwise", "classifier"]


@dataclass(frozen=True)
class LayerSummary:
    """One convolution.

    macs: multiply-accumulates a frame, padding included. weights: their number.
    bits_per_weight: of the stored codes, row padding included. storage_bytes: of the stored codes.
    zero_fraction: share of weights that are 0. one_term_fraction, two_term_fraction: shares of
    weights with one and two terms; None for uniform formats.
    acc_bits: the widest channel's accumulator.
    """

    name: str
    kind: LayerKind
    macs: int
    weights: int
    bits_per_weight: float
    zero_fraction: float
    one_term_fraction: float | None
    two_term_fraction: float | None
    acc_bits: int
    storage_bytes: int


def layer_kind(conv: Conv, x: Tensor) -> LayerKind:
    """The kind of a convolution that reads tensor x.

    A 1x1 kernel on a 1x1 map is a classifier, any other ungrouped 1x1 kernel pointwise; one group
    a channel is depthwise; all else, grouped convolution included, is standard.
    """
    if conv.groups == x.channels and conv.groups > 1:
        return "depthwise"
    if conv.kernel == (1, 1) and conv.groups == 1:
        return "classifier" if (x.height, x.width) == (1, 1) else "pointwise"
    return "standard"


def summarise(model: QuantizedModel) -> list[LayerSummary]:
    """One summary a convolution, in execution order. The model must be valid."""
    return [_layer(conv, model) for conv in model.conv_nodes()]


def _layer(conv: Conv, model: QuantizedModel) -> LayerSummary:
    x, out = model.tensors[conv.input], model.tensors[conv.output]
    count = int(conv.weight.size)
    one = two = None
    storage = count
    if isinstance(conv.format, ShiftFormat):
        terms = shift.term_count(conv.weight, conv.format)
        one, two = float((terms == 1).mean()), float((terms == 2).mean())
        storage = int(packing.pack(conv.weight, conv.format).size)
    return LayerSummary(
        name=conv.name,
        kind=layer_kind(conv, x),
        macs=count * out.height * out.width,
        weights=count,
        bits_per_weight=8 * storage / count,
        zero_fraction=float((conv.weight == 0).mean()),
        one_term_fraction=one,
        two_term_fraction=two,
        acc_bits=int(conv.acc_bits.max()),
        storage_bytes=storage,
    )
