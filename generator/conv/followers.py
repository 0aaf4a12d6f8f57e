"""What runs in the pass of a node: an addition, tables before and behind it, a global pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeAlias

from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Conv,
    MaxPool,
    Node,
    Pool,
    QuantizedModel,
    Table,
    Tensor,
    Upsample,
)

__all__ = ["Followers", "Leads", "followers_of", "readers_of"]

Leads: TypeAlias = Conv | MaxPool | AveragePool | Upsample
"""Nodes of a legal network with which a pass begins."""


@dataclass(frozen=True, eq=False)
class Followers:
    """The nodes that follow in a node's pass, in their order: code_table before the addition, table
    behind it. skip: what the addition reads besides. result: the tensor that the pass stores or
    sends out."""

    code_table: Table | None
    add: Add | None
    table: Table | None
    pool: Pool | None
    skip: Tensor | None
    result: str

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those that there are."""
        own = self.code_table, self.add, self.table, self.pool
        return tuple(node for node in own if node is not None)


def followers_of(
    node: Leads, model: QuantizedModel, readers: Mapping[str, Sequence[Node]],
    on_chip: Set[str],
) -> Followers:  # fmt: skip
    """What follows a node in its pass. on_chip: tensors that an addition may read then."""
    result, add, pool, skip = node.output, None, None, None
    code_table, table = None, None
    follower = _only_reader(readers, result, model)
    if isinstance(follower, Table):
        after = _only_reader(readers, follower.output, model)
        if _other(after, follower.output, on_chip):
            code_table, result, follower = follower, follower.output, after
    if isinstance(follower, Add) and (other := _other(follower, result, on_chip)):
        add, skip, result = follower, model.tensors[other], follower.output
        follower = _only_reader(readers, result, model)
    if isinstance(follower, Table):
        table, result = follower, follower.output
        follower = _only_reader(readers, result, model)
    if isinstance(follower, Pool):
        pool, result = follower, follower.output
    return Followers(code_table, add, table, pool, skip, result)


def _other(node: Node | None, own: str, on_chip: Set[str]) -> str:
    """The other operand of an addition that a pass can run which makes one; "" of all else."""
    if not isinstance(node, Add):
        return ""
    other = node.b if node.a == own else node.a
    return other if other in on_chip else ""


def readers_of(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """By tensor the nodes that read it, one as often as it does."""
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers


def _only_reader(
    readers: Mapping[str, Sequence[Node]], tensor: str, model: QuantizedModel
) -> Node | None:
    found = readers.get(tensor, [])
    return found[0] if len(found) == 1 and tensor not in model.outputs else None
