"""A pass through the array: the node that it begins with, as a convolution, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shiftforge.generator.conv.followers import Followers, Leads, followers_of
from shiftforge.generator.conv.legal import Copies, Legal
from shiftforge.quant.graph.types import AveragePool, Conv, MaxPool, Node, Upsample

__all__ = ["Pass", "pass_of"]


@dataclass(frozen=True, eq=False)
class Pass(Followers):
    """A node with those that run in its pass. conv: it, or what follows a pool's windows or
    copies what is enlarged."""

    node: Leads
    conv: Conv
    digits: tuple[int, ...]
    direct: bool


def pass_of(
    node: Leads, legal: Legal, readers: Mapping[str, Sequence[Node]], on_chip: set[str],
    copies: Copies,
) -> Pass:  # fmt: skip
    """The pass of a node; on_chip: tensors that an addition may read."""
    model = legal.model
    own = followers_of(node, model, readers, on_chip)
    x = model.tensors[node.input]
    digits: tuple[int, ...] = ()
    match node:
        case AveragePool():
            averaged = copies.average(node, x, model.tensors[node.output])
            conv, digits = averaged.conv, averaged.digits
        case MaxPool():
            conv = copies.largest(node, x)
        case Upsample():
            conv = copies.enlarged(node, x, model.tensors[node.output])
        case Conv():
            conv = node
    direct = node.output in model.outputs and not readers.get(node.output)
    return Pass(**vars(own), node=node, conv=conv, digits=digits, direct=direct)
