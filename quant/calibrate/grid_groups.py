"""Which tensors share a grid, an exponent or a sign, before any value is seen.

What moves values unchanged (a maximum, a cut, a shuffle, an enlargement) leaves them on one grid:
its tensors are of one *class*. A concatenation's inputs take its output's grid, so that it moves
codes as well, and an addition's operands share its exponent. The image's grid follows from the
preprocessing: what shares a class with the image has it, and no group changes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import torch

from shiftforge.quant.capture.function import Function
from shiftforge.quant.capture.function_values import values
from shiftforge.quant.capture.types import (
    FloatAdd,
    FloatAveragePool,
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatMaxPool,
    FloatPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)

__all__ = ["grid_classes", "residual_groups", "signedness"]

Groups = list[tuple[str, ...]]
# Where a function's sign is looked at: near 0, and far from it.
_NEAR, _FAR = torch.arange(-8192, 8193) / 1024.0, torch.arange(-1024, 1025) / 2.0


def grid_classes(graph: FloatGraph) -> Groups:
    """Tensors on one grid, as disjoint classes in execution order."""
    kinds = (FloatMaxPool, FloatSlice, FloatShuffle, FloatUpsample)
    return _joined(
        _names(graph), [(*n.inputs, n.output) for n in graph.nodes if isinstance(n, kinds)]
    )


def residual_groups(graph: FloatGraph, *, additions: bool = True) -> Groups:
    """Tensors that share an exponent: those of a class, a concatenation or an addition.

    additions: whether those of an addition do. The image's class is a group of its own.
    """
    image, rest = _without_image(graph)
    kinds = (FloatAdd, FloatConcat) if additions else (FloatConcat,)
    ties = [(*n.inputs, n.output) for n in graph.nodes if isinstance(n, kinds)]
    own = [tuple(name for name in tie if name not in image) for tie in ties]
    return [tuple(image), *_joined([n for c in rest for n in c], [*rest, *own])]


def signedness(graph: FloatGraph) -> dict[str, bool]:
    """Whether a tensor has a signed grid.

    It has none where no value can be below 0: after relu and relu6, and what is made of such alone.
    Tensors of a class, and those that a concatenation joins, have the sign that the widest needs.
    """
    signed = {graph.input: True}
    for node in graph.nodes:
        match node:
            case FloatConv():
                signed[node.output] = node.activation == "none"
            case FloatAdd():
                either = signed[node.a] or signed[node.b]
                signed[node.output] = node.activation == "none" and either
            case FloatPool() | FloatAveragePool() | FloatMaxPool() | FloatSlice():
                signed[node.output] = signed[node.input]
            case FloatShuffle() | FloatUpsample():
                signed[node.output] = signed[node.input]
            case FloatConcat():
                signed[node.output] = any(signed[name] for name in node.inputs)
            case FloatTable():
                signed[node.output] = _goes_below(node.function, signed[node.input])
            case _:
                assert_never(node)
    image, rest = _without_image(graph)
    ties = [(*n.inputs, n.output) for n in graph.nodes if isinstance(n, FloatConcat)]
    own = [tuple(name for name in tie if name not in image) for tie in ties]
    for group in _joined([n for c in rest for n in c], [*rest, *own]):
        signed.update(dict.fromkeys(group, any(signed[name] for name in group)))
    return signed


def _goes_below(function: Function, signed: bool) -> bool:
    """Whether a function gives values below 0, of any numbers or of those that are not below 0."""
    x = torch.cat([_NEAR, _FAR]).double()
    found = values(function, x if signed else x[x >= 0])
    return bool((found < 0).any())


def _names(graph: FloatGraph) -> list[str]:
    return [graph.input, *(node.output for node in graph.nodes)]


def _without_image(graph: FloatGraph) -> tuple[tuple[str, ...], Groups]:
    """(the image's class, the other classes)."""
    classes = grid_classes(graph)
    return classes[0], classes[1:]


def _joined(names: Iterable[str], ties: Iterable[tuple[str, ...]]) -> Groups:
    """Disjoint groups of names, in their order, those of a tie in one."""
    place = {name: k for k, name in enumerate(names)}
    parent = list(range(len(place)))

    def find(k: int) -> int:
        while parent[k] != k:
            parent[k] = k = parent[parent[k]]
        return k

    for tie in ties:
        roots = sorted({find(place[name]) for name in tie})
        for other in roots[1:]:
            parent[other] = roots[0]
    groups: dict[int, list[str]] = {}
    for name, k in place.items():
        groups.setdefault(find(k), []).append(name)
    return [tuple(group) for group in groups.values()]
