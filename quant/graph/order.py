"""The network as the accelerator lays it out: every tensor's channels in the tensor's order."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.ties import is_depthwise
from shiftforge.quant.graph.types import Conv, QuantizedModel

__all__ = ["in_network_order", "reordered"]

T = TypeVar("T", bound=np.generic)


def reordered(model: QuantizedModel) -> QuantizedModel:
    """The same network with channel i of each tensor in the place where ``model.orders`` lays it.

    It has no orders, and neither the float weights nor the variants, which are in the network's
    order. Every tensor of it holds the codes of the model's tensor, with the channels permuted. The
    model must be valid; one without orders is returned as it is.
    """
    if not model.orders:
        return model
    nodes = tuple(_laid_out(n, model) if isinstance(n, Conv) else n for n in model.nodes)
    return replace(model, nodes=nodes, orders={}, floats={}, variants=())


def in_network_order(
    laid_out: NDArray[T], order: NDArray[np.int32] | None, axis: int
) -> NDArray[T]:
    """Undo an order along an axis: what lies in place i goes back to channel order[i]."""
    if order is None:
        return laid_out
    return np.asarray(np.take(laid_out, np.argsort(order), axis=axis))


def _laid_out(conv: Conv, model: QuantizedModel) -> Conv:
    """The convolution with its outputs in its output's order and its inputs in its input's."""
    own, read = model.orders.get(conv.output), model.orders.get(conv.input)
    weight = conv.weight
    if read is not None and not is_depthwise(conv):
        weight = weight[:, read]
    if own is None:
        return replace(conv, weight=weight)
    return replace(
        conv,
        weight=weight[own],
        z=conv.z[own],
        bias=conv.bias[own],
        acc_bits=conv.acc_bits[own],
        multiplier=None if conv.multiplier is None else conv.multiplier[own],
        shift=None if conv.shift is None else conv.shift[own],
    )
