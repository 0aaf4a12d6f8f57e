"""``x * gain + offset`` per channel: batch norm, and arithmetic with constants.

Folded into the convolution before it where nothing else reads that; else a depthwise 1x1
convolution of its own, which ``merge_scales`` folds into the one behind it where that is exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node

from shiftforge.quant.capture.draft import DraftConv, DraftMap, Value
from shiftforge.quant.capture.function import Function, X, compose
from shiftforge.quant.capture.lower import MAP_NAMES, Lowering, Unsupported, operator_name
from shiftforge.quant.capture.trace import BATCH, module_path
from shiftforge.quant.capture.types import FloatTable

__all__ = [
    "affine",
    "batch_norm",
    "depthwise",
    "line",
    "live_norm",
    "per_channel",
    "scaled",
    "with_outer",
]

_NAMED_OTHERWISE = {"add", *MAP_NAMES.values()}

Constant = float | NDArray[np.float64]


def depthwise(
    state: Lowering, node: Node, x: Value, gain: Constant, offset: Constant
) -> tuple[Value, DraftConv]:
    """``x * gain + offset`` as a depthwise 1x1 convolution of its own, for a node's result."""
    out = state.fresh(node, x)
    channels = x.shape[0]
    weight = np.broadcast_to(np.asarray(gain, np.float64), (channels,)).reshape(channels, 1, 1, 1)
    draft = DraftConv(
        source=module_path(node),
        # Operators without weights would be named as such are.
        operator="scale" if operator_name(node) in _NAMED_OTHERWISE else operator_name(node),
        input=x.tensor,
        output=out.tensor,
        weight=weight,
        bias=np.broadcast_to(np.asarray(offset, np.float64), (channels,)),
        groups=channels,
    )
    return state.emit(draft, out), draft


def affine(state: Lowering, node: Node, operand: object, gain: Constant, offset: Constant) -> Value:
    """``x * gain + offset``; gain and offset: a number, or one for each channel."""
    x = state.value(operand, lines=True)
    if not isinstance(operand, Node) or state.result_shape(node) != state.result_shape(operand):
        raise Unsupported("it makes another shape of its operand", "keep the shape")
    return scaled(state, node, x, gain, offset)


def scaled(state: Lowering, node: Node, x: Value, gain: Constant, offset: Constant) -> Value:
    """``x * gain + offset`` of any value, for a node's result or a step on the way to it."""
    before = state.producers.get(x.tensor)
    sole = state.sole(node)
    if np.all(np.equal(gain, 1)) and not np.any(offset):
        return replace(x, sole=x.sole and sole)
    if isinstance(before, DraftConv) and before.activation == "none" and x.sole:
        channels = (x.shape[0],)
        state.grids.pop(x.tensor, None)  # it was that of the values before
        before.rescale(np.broadcast_to(gain, channels), np.broadcast_to(offset, channels))
        return replace(x, sole=sole)
    numbers = np.ndim(gain) == np.ndim(offset) == 0 and x.sole
    if numbers and isinstance(before, DraftMap) and isinstance(before.node, FloatTable):
        state.grids.pop(x.tensor, None)
        before.node = with_outer(before.node, line(float(gain), float(offset)))
        return replace(x, sole=sole)
    value, made = depthwise(state, node, x, gain, offset)
    made.scale = True
    return value


def line(gain: float, offset: float) -> Function:
    """``x * gain + offset``, without what changes nothing."""
    made = X if gain == 1 else Function("mul", (X, gain))
    return made if offset == 0 else Function("add", (made, offset))


def with_outer(table: FloatTable, outer: Function) -> FloatTable:
    """A table of ``outer(f(x))``, f being the table's function."""
    composed = compose(outer, table.function)
    assert isinstance(composed, Function)
    return replace(table, function=composed)


def per_channel(state: Lowering, constant: object, operand: object) -> Constant:
    """A constant that meets a map: one number, or one for each channel of the map (C,), finite.

    constant: a number, or a traced parameter, buffer or what is computed of them. Raises
    Unsupported where it differs within a channel or makes the map larger.
    """
    x = state.value(operand, lines=True)
    shape = state.result_shape(operand) if isinstance(operand, Node) else None
    array = (
        np.asarray(constant)
        if not isinstance(constant, Node)
        else state.constant(constant, "constant")
    )
    if array.dtype.kind not in "biuf":
        raise Unsupported(f"its constant is {constant!r}", "use a real number")
    if not np.isfinite(array).all():
        raise Unsupported("its constant is not finite", "check it for NaN and infinity")
    try:
        full = np.broadcast_to(array.astype(np.float64), shape or ())
    except ValueError as error:
        raise Unsupported(
            f"its constant of shape {list(array.shape)} makes the map larger",
            "use one number for each channel, of shape (C, 1, 1)",
        ) from error
    if array.size == 1:
        return float(array.reshape(()))
    maps = full.reshape(BATCH, *x.shape)
    channel: NDArray[np.float64] = maps[0, :, 0, 0].copy()
    if not np.array_equal(maps, np.broadcast_to(channel[:, None, None], maps.shape)):
        raise Unsupported(
            "its constant differs within a channel",
            "use one number for each channel, of shape (C, 1, 1)",
        )
    return channel


def batch_norm(state: Lowering, node: Node) -> Value:
    """Batch norm by its running statistics."""
    call = state.arguments(node)
    x = state.value(call["input"])
    if x.flat and x.shape[1:] != (1, 1):
        raise Unsupported("it normalises a flattened map", "normalise before flattening")
    mean = state.constant(call["running_mean"], "running mean")
    var = state.constant(call["running_var"], "running variance")
    gamma = np.ones_like(mean)
    if call["weight"] is not None:
        gamma = state.constant(call["weight"], "weight")
    beta = np.zeros_like(mean)
    if call["bias"] is not None:
        beta = state.constant(call["bias"], "bias")
    if any(array.shape != (x.shape[0],) for array in (mean, var, gamma, beta)):
        raise Unsupported("its parameters have not one number for each channel", "mend them")
    spread = var + float(call["eps"])
    if bool((spread <= 0).any()):
        raise Unsupported("running variance plus eps is not positive", "train or reload it")
    gain = gamma / np.sqrt(spread)
    with np.errstate(over="ignore", invalid="ignore"):
        return affine(state, node, call["input"], gain, beta - mean * gain)


def live_norm(state: Lowering, node: Node) -> Value:
    """A normalisation by what the image itself gives: refused."""
    kind = operator_name(node)
    if "batch_norm" in kind:
        call = state.arguments(node)
        if call.get("running_mean") is None:
            raise Unsupported(
                "it has no running statistics: it would normalise by those of the frames at hand",
                "use track_running_stats=True, and train or calibrate it",
            )
        raise Unsupported(
            "it normalises by the frames at hand, as in training",
            "use nn.BatchNorm2d, or F.batch_norm(..., training=self.training)",
        )
    raise Unsupported("it normalises by statistics of the image", "use nn.BatchNorm2d")
