"""Products and quotients of a map with functions of itself: one function of its values.

``x * sigmoid(x)``, ``x * relu6(x + 3) / 6`` and GELU written out are tables, whatever is computed
on the way; what nothing else reads of that is left out of the graph.
"""

from __future__ import annotations

from torch.fx import Node

from shiftforge.quant.capture.function import Function, Operand, X, compose
from shiftforge.quant.capture.functions import function_of
from shiftforge.quant.capture.lower import Lowering, Unsupported

__all__ = ["function_of_one_map"]

_TWO = {"aten.add": "add", "aten.sub": "sub", "aten.mul": "mul", "aten.div": "div"}
# Calls on the way from the map to the product, at most.
_MOST = 32


def function_of_one_map(state: Lowering, node: Node) -> tuple[Node, Function] | None:
    """(map, function) of a call that computes of one map alone, value by value; None for others.

    The map is the last one that all of it comes from.
    """
    place = {own: k for k, own in enumerate(state.trace.nodes)}
    reached = _before(state, node)
    for root in sorted(reached - {node}, key=lambda own: place.get(own, -1), reverse=True):
        found = _expression(state, node, root)
        if isinstance(found, Function):
            return root, found
    return None


def _operands(state: Lowering, node: Node) -> list[Node]:
    """The maps that a call computes of value by value; none where it does not."""
    try:
        one = function_of(state, node)
    except Unsupported:
        return []
    if one is not None:
        return [one[0]]
    if str(node.target).rpartition(".")[0] in _TWO:
        return [own for own in node.all_input_nodes if own not in state.constants]
    return []


def _before(state: Lowering, node: Node) -> set[Node]:
    """What a call's value comes of through calls that compute value by value."""
    seen: set[Node] = set()
    waiting = [node]
    while waiting and len(seen) < _MOST:
        own = waiting.pop(0)
        if own not in seen:
            seen.add(own)
            waiting += _operands(state, own)
    return seen


def _expression(state: Lowering, operand: object, root: Node, depth: int = 0) -> Operand | None:
    """A value as a function of the root's; None where it comes of anything else, too."""
    if operand is root:
        return X
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        return float(operand)
    if not isinstance(operand, Node) or depth > _MOST:
        return None
    if operand in state.constants:
        held = state.constants[operand]
        return float(held) if held.numel() == 1 and not held.is_complex() else None
    if state.result_shape(operand) != state.result_shape(root):
        return None
    one = function_of(state, operand) if _operands(state, operand) else None
    if one is not None:
        inner = _expression(state, one[0], root, depth + 1)
        return None if inner is None else compose(one[1], inner)
    kind = _TWO.get(str(operand.target).rpartition(".")[0])
    if kind is None:
        return None
    call = state.arguments(operand)
    alpha = call.get("alpha", 1)
    if call.get("rounding_mode") is not None or not isinstance(alpha, int | float):
        return None
    parts = [_expression(state, call[name], root, depth + 1) for name in ("self", "other")]
    if parts[0] is None or parts[1] is None:
        return None
    second = parts[1] if alpha == 1 else Function("mul", (parts[1], float(alpha)))
    return Function(kind, (parts[0], second))
