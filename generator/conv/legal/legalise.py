"""The rewriting: node by node, in execution order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from shiftforge.generator.conv.embed import fits_depthwise
from shiftforge.generator.conv.geometry import on_image
from shiftforge.generator.conv.legal.copies import Copies
from shiftforge.generator.conv.legal.followers import legal_follower
from shiftforge.generator.conv.legal.max_pools import legal_max_pool
from shiftforge.quant.graph.types import (
    Conv,
    MaxPool,
    Node,
    Pool,
    QuantizedModel,
    Table,
    Tensor,
)

__all__ = ["Legal", "legalise"]

_STRIDES = {3: (1, 3), 4: (2, 2)}
"""For strides that the array has not: the one of the convolution itself, and of the copy that
takes some of its results."""
_COPIES = {2: (2,), 3: (3,), 4: (2, 2)}
"""Strides of the copies that take every second, third or fourth row and column."""


@dataclass(frozen=True, eq=False)
class Legal:
    """model: what the array runs. made: by name of its nodes that the network has not, the node of
    the network that each is for."""

    model: QuantizedModel
    made: Mapping[str, str]


def legalise(model: QuantizedModel) -> Legal:
    """The network in nodes that the array can run. It must lie in its own channel order."""
    builder = _Builder(model)
    for node in model.nodes:
        builder.add(node)
    if all(a is b for a, b in zip_longest(model.nodes, builder.nodes)):
        return Legal(model, {})
    tensors = {**model.tensors, **builder.tensors}
    return Legal(replace(model, nodes=tuple(builder.nodes), tensors=tensors), builder.made)


@dataclass(eq=False)
class _Builder:
    model: QuantizedModel
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    copies: Copies = field(init=False)
    thinned: dict[tuple[str, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.copies = Copies.of(self.model)

    def tensor(self, name: str) -> Tensor:
        """Of the network or made."""
        return self.tensors[name] if name in self.tensors else self.model.tensors[name]

    def add(self, node: Node) -> None:
        """A node of the network, in nodes that the array can run."""
        match node:
            case Conv() if node.stride > 1 and not self._runs(node):
                self._strided(node)
            case MaxPool():
                legal_max_pool(node, self)
            case Table() | Pool():
                legal_follower(node, self)
            case _:
                self.nodes.append(node)

    def put(self, node: Node, made_for: str) -> None:
        """A node for one of the network, whose name it has or another."""
        self.nodes.append(node)
        if node.name != made_for:
            self.made[node.name] = made_for

    def maker(self, name: str) -> Node | None:
        """What makes a tensor that one node alone reads; None of other tensors and of the image."""
        alone = [name in node.inputs for node in self.model.nodes].count(True) == 1
        if not alone or name in self.model.outputs:
            return None
        return next((node for node in self.nodes if node.output == name), None)

    def between(self, like: Tensor, label: str) -> Tensor:
        """A tensor that the network has not."""
        self.tensors[label] = replace(like, name=label)
        return self.tensors[label]

    def _runs(self, conv: Conv) -> bool:
        """Whether the array has a convolution's stride."""
        return on_image(conv, self.model) or fits_depthwise(conv)

    def _strided(self, conv: Conv) -> None:
        stride = conv.stride
        plain = conv.kernel == (1, 1) and not any(conv.padding)
        if plain and conv.weight.shape[1] > 1 and stride in _COPIES:
            # Rows and columns between are never read.
            name = self._thinned(conv, conv.input, _COPIES[stride])
            self.nodes.append(replace(conv, input=name, stride=1))
        elif stride in _STRIDES and self.tensor(conv.output).grid.bits <= 8:
            own, every = _STRIDES[stride]
            x, top, left, bottom, right = self.tensor(conv.input), *conv.padding
            reach_h, reach_w = (conv.dilation * (k - 1) + 1 for k in conv.kernel)
            out = self.tensor(conv.output)
            rows = (x.height + top + bottom - reach_h) // own + 1
            columns = (x.width + left + right - reach_w) // own + 1
            whole = replace(out, name=f"{out.name}:at{own}", height=rows, width=columns)
            self.tensors[whole.name] = whole
            self.nodes.append(replace(conv, output=whole.name, stride=own))
            self._thin(conv, whole.name, every, out)
        else:
            self.nodes.append(conv)

    def _thinned(self, conv: Conv, name: str, strides: tuple[int, ...]) -> str:
        """The tensor that has every so many rows and columns of another."""
        for stride in strides:
            key = name, stride
            if key not in self.thinned:
                x = self.tensor(name)
                out = replace(
                    x, name=f"{name}:every{stride}", height=-(-x.height // stride),
                    width=-(-x.width // stride),
                )  # fmt: skip
                self.tensors[out.name] = out
                self._thin(conv, name, stride, out)
                self.thinned[key] = out.name
            name = self.thinned[key]
        return name

    def _thin(self, conv: Conv, name: str, stride: int, out: Tensor) -> None:
        label = f"{conv.name}:every{stride}"
        while label in self.made:
            label += f":every{stride}"
        own = self.copies.subsample(label, conv.source, self.tensor(name), out, stride)
        self.nodes.append(own)
        self.made[own.name] = conv.name
