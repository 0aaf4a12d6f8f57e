"""Additions, tables and global pools that no pass has room for get one that copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeGuard

from shiftforge.generator.conv.followers import Leads, followers_of, readers_of
from shiftforge.generator.conv.geometry import LANE_BITS, on_image
from shiftforge.generator.conv.legal.copies import Copies
from shiftforge.quant.graph.types import (
    Add,
    Concat,
    Node,
    Pool,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
    Tensor,
)

__all__ = ["chip_before", "with_passes"]


class Joins(Protocol):
    """What is asked of the network that is being made."""

    copies: Copies
    made: dict[str, str]

    def tensor(self, name: str) -> Tensor: ...
    def between(self, like: Tensor, label: str) -> Tensor: ...


def chip_before(model: QuantizedModel) -> set[str]:
    """Tensors that an addition may read before the first pass: the image where it is stored, as it
    is unless one convolution alone reads it as the loader lays it out."""
    laid_out = any(on_image(conv, model) for conv in model.conv_nodes())
    return set() if laid_out else {model.input}


def with_passes(model: QuantizedModel, to: Joins) -> QuantizedModel:
    """The network with a copy in front of every addition, table and pool that is in no pass: others
    read its operands too, or these are the image or what passes end with. model: with all of its
    tensors; what is made in ``to`` besides is added."""
    while (node := _left(model, to)) is not None:
        read = node.a if isinstance(node, Add) else node.input
        x = model.tensors[read]
        copy = to.between(x, f"{node.output}:read")
        own = to.copies.rescaled(_copy_of(node), node.source, x, copy)
        to.made[own.name] = to.made.get(node.name, node.name)
        nodes = list(model.nodes)
        at = nodes.index(node)
        reads = replace(node, a=copy.name) if isinstance(node, Add) else replace(
            node, input=copy.name
        )  # fmt: skip
        nodes[at : at + 1] = [own, reads]
        tensors = {**model.tensors, copy.name: copy}
        model = replace(model, nodes=tuple(nodes), tensors=tensors)
    return model


def _copy_of(node: Add | Table | Pool) -> str:
    return f"{node.name}:read"


def _left(model: QuantizedModel, to: Joins) -> Add | Table | Pool | None:
    """The first of them, of 8-bit maps, that runs in no pass and has no copy yet."""
    readers, on_chip = readers_of(model.nodes), chip_before(model)
    taken: set[str] = set()
    for node in model.nodes:
        if isinstance(node, Leads):
            found = followers_of(node, model, readers, on_chip)
            taken.update(own.name for own in found.nodes)
            on_chip.add(found.result)
        elif isinstance(node, Concat | Slice | Shuffle):
            on_chip.add(node.output)
        elif _needs_copy(node, model, to) and node.name not in taken:
            return node
    return None


def _needs_copy(node: Node, model: QuantizedModel, to: Joins) -> TypeGuard[Add | Table | Pool]:
    if not isinstance(node, Add | Table | Pool) or _copy_of(node) in to.made:
        return False
    return all(model.tensors[name].grid.bits <= LANE_BITS for name in node.inputs)
