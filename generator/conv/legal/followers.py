"""Tables and global pools behind a pass: post has what it looks up and sums from requantisation."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from shiftforge.generator.conv.legal.copies import Copies
from shiftforge.quant.graph.types import Add, Conv, MaxPool, Node, Pool, Table, Tensor

__all__ = ["Builds", "legal_follower"]


class Builds(Protocol):
    """What is asked of the network that is being made."""

    copies: Copies

    def tensor(self, name: str) -> Tensor: ...
    def put(self, node: Node, made_for: str) -> None: ...
    def between(self, like: Tensor, label: str) -> Tensor: ...
    def maker(self, name: str) -> Node | None: ...


def legal_follower(node: Table | Pool, to: Builds) -> None:
    """The node behind what makes its input, or behind a copy where that is no pass that can go on
    with it: others read it too, or it is the image or what a pass ends with."""
    own = (Conv, MaxPool, Add, Table) if isinstance(node, Pool) else (Conv, MaxPool, Add)
    if isinstance(to.maker(node.input), own):
        to.put(node, node.name)
        return
    x = to.tensor(node.input)
    copy = to.between(x, f"{node.output}:read")
    to.put(to.copies.moved(f"{node.name}:read", node.source, x, copy, 0), node.name)
    to.put(replace(node, input=copy.name), node.name)
