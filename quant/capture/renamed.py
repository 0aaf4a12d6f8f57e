"""A float graph under other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from shiftforge.quant.capture.stored import Stored
from shiftforge.quant.capture.types import FloatGraph, FloatNode

__all__ = ["renamed"]

_READ = {"input", "a", "b", "output"}


def renamed(graph: FloatGraph, names: Mapping[str, str], sources: Sequence[str]) -> FloatGraph:
    """The graph whose nodes, and the tensors that they make, have other names and sources.

    names: the new name by tensor; sources: node by node.
    """

    def of(name: str) -> str:
        return names.get(name, name)

    def node(own: FloatNode, source: str) -> FloatNode:
        given: dict[str, Any] = {"name": of(own.output), "source": source}
        for field in fields(own):
            value = getattr(own, field.name)
            if field.name in _READ:
                given[field.name] = of(value)
            elif field.name == "inputs":
                given[field.name] = tuple(map(of, value))
        return replace(own, **given)

    return replace(
        graph,
        output=of(graph.output),
        shapes={of(name): shape for name, shape in graph.shapes.items()},
        nodes=tuple(node(own, s) for own, s in zip(graph.nodes, sources, strict=True)),
        more_outputs=tuple(map(of, graph.more_outputs)),
        host={of(name): kind for name, kind in graph.host.items()},
        stored=Stored(
            {of(name): grid for name, grid in graph.stored.grids.items()},
            {of(name): z for name, z in graph.stored.exponents.items()},
            graph.stored.left,
        ),
    )
