"""Several outputs: each leaves as 32-bit integers from a pass that makes it for nothing else."""

from __future__ import annotations

from shiftforge.generator.conv.legal.moves import Moves, copied
from shiftforge.quant.graph.types import Conv, MaxPool

__all__ = ["legal_outputs"]


def legal_outputs(to: Moves) -> dict[str, str]:
    """Gives every output that is read as well, or that no convolution or maximum makes, a pass that
    copies it out. The network's output by what leaves in its place.

    A network of one output needs none: what it stores may leave as it is.
    """
    outputs = to.model.outputs
    if len(outputs) == 1:
        return {name: name for name in outputs}
    makers = {node.output: node for node in to.model.nodes}
    found = {}
    for name in outputs:
        node, label = makers[name], name
        if to.readers(name) or not isinstance(node, Conv | MaxPool):
            x, label = to.tensor(name), f"{name}:out"
            out = to.between(x, label)
            to.put(copied(f"{node.name}:out", node.source, x, out, to), node.name)
        found[label] = name
    return found
