"""Sums, differences, products and quotients of a traced network, as drafts.

Of two maps there is the sum alone; a constant of one number, or one a channel, may stand in any.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from torch.fx import Node

from shiftforge.quant.capture.affine import affine, per_channel, scaled
from shiftforge.quant.capture.draft import DraftAdd, Value
from shiftforge.quant.capture.functions import applied
from shiftforge.quant.capture.lower import Lowering, Unsupported
from shiftforge.quant.capture.products import function_of_one_map
from shiftforge.quant.capture.trace import module_path

__all__ = ["add", "div", "mul", "neg", "rsub", "sub"]


def _sum(state: Lowering, node: Node, a: object, b: object, factor: object) -> Value:
    """``a + factor * b``, where one of the two may be a constant."""
    if not isinstance(factor, int | float):
        raise Unsupported(f"it scales one operand by {factor}", "use a number that is fixed")
    if not state.is_map(b):
        return affine(state, node, a, 1.0, np.multiply(per_channel(state, b, a), factor))
    if not state.is_map(a):
        return affine(state, node, b, float(factor), per_channel(state, a, b))
    x, y = state.value(a, lines=True), state.value(b, lines=True)
    same = state.result_shape(cast(Node, a)) == state.result_shape(cast(Node, b))
    if not same or x.shape != y.shape or x.flat != y.flat:
        raise Unsupported(
            f"its operands have different shapes {x.shape} and {y.shape}", "add maps of one shape"
        )
    if factor != 1:
        y = scaled(state, node, y, float(factor), 0.0)
    out = state.alike(node, a, x)
    draft = DraftAdd(module_path(node), "add", x.tensor, y.tensor, out.tensor)
    return state.emit(draft, out)


def add(state: Lowering, node: Node) -> Value:
    """``self + alpha * other``."""
    call = state.arguments(node)
    return _sum(state, node, call["self"], call["other"], call["alpha"])


def sub(state: Lowering, node: Node) -> Value:
    """``self - alpha * other``."""
    call = state.arguments(node)
    return _sum(state, node, call["self"], call["other"], _negative(call["alpha"]))


def rsub(state: Lowering, node: Node) -> Value:
    """``other - alpha * self``."""
    call = state.arguments(node)
    return _sum(state, node, call["other"], call["self"], _negative(call["alpha"]))


def _negative(alpha: object) -> object:
    return -alpha if isinstance(alpha, int | float) else alpha


def neg(state: Lowering, node: Node) -> Value:
    """``-self``."""
    return affine(state, node, state.arguments(node)["self"], -1.0, 0.0)


def mul(state: Lowering, node: Node) -> Value:
    """``self * other``."""
    call = state.arguments(node)
    a, b = call["self"], call["other"]
    if state.is_map(a) and state.is_map(b):
        return _of_one_map(
            state, node, (a, b), "it multiplies two feature maps",
            "only constants may scale a map, one a channel, and functions of itself",
        )  # fmt: skip
    if not state.is_map(a):
        a, b = b, a
    return affine(state, node, a, per_channel(state, b, a), 0.0)


def _of_one_map(
    state: Lowering, node: Node, maps: tuple[object, ...], what: str, remedy: str
) -> Value:
    """Of a map and functions of itself one function; Unsupported for maps of their own."""
    for operand in maps:
        state.value(operand, lines=True, padded=True, channels=True)
    found = function_of_one_map(state, node)
    if found is None:
        raise Unsupported(what, remedy)
    root, function = found
    return applied(state, node, state.value(root, lines=True), function)


def div(state: Lowering, node: Node) -> Value:
    """``self / other``."""
    call = state.arguments(node)
    if call.get("rounding_mode") is not None:
        raise Unsupported(f"it rounds its result ({call['rounding_mode']})", "divide exactly")
    if state.is_map(call["other"]):
        maps = tuple(own for own in (call["self"], call["other"]) if state.is_map(own))
        return _of_one_map(
            state, node, maps, "it divides by a feature map", "only constants may divide a map"
        )
    divisor = np.asarray(per_channel(state, call["other"], call["self"]))
    if not divisor.all():
        raise Unsupported("it divides by 0", "check the constant")
    with np.errstate(over="ignore"):
        return affine(state, node, call["self"], 1.0 / divisor, 0.0)
