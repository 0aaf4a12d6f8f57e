"""The rewriting: node by node, in execution order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest

from shiftforge.generator.conv.embed import fits_depthwise
from shiftforge.generator.conv.followers import readers_of
from shiftforge.generator.conv.geometry import on_image
from shiftforge.generator.conv.legal.average_pools import legal_average_pool
from shiftforge.generator.conv.legal.copies import Copies
from shiftforge.generator.conv.legal.homes import Home, Homes, Window
from shiftforge.generator.conv.legal.joins import with_passes
from shiftforge.generator.conv.legal.max_pools import legal_max_pool
from shiftforge.generator.conv.legal.moves import legal_concat, legal_move
from shiftforge.generator.conv.legal.outputs import legal_outputs
from shiftforge.quant.graph.types import (
    Add,
    AveragePool,
    Concat,
    Conv,
    MaxPool,
    Node,
    QuantizedModel,
    Shuffle,
    Slice,
    Tensor,
)

__all__ = ["Legal", "legalise"]

USUAL_UNITS = 16

_STRIDES = {3: (1, 3), 4: (2, 2)}
"""For strides that the array has not: the one of the convolution itself, and of the copy that
takes some of its results."""
_COPIES = {2: (2,), 3: (3,), 4: (2, 2)}
"""Strides of the copies that take every second, third or fourth row and column."""


@dataclass(frozen=True, eq=False)
class Legal:
    """model: what the array runs; its slices, shuffles and concatenations are no passes. made: by
    name of its nodes that the network has not, the node of the network that each is for.

    homes: of tensors that lie in others. windows: what convolutions read in place of tensors whose
    channels lie apart. joined: channels of the maps that join others, with those between. outputs:
    of the network, by what leaves in place of each.
    """

    model: QuantizedModel
    made: Mapping[str, str]
    homes: Mapping[str, Home] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)
    joined: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def shared(self) -> frozenset[str]:
        """Tensors that lie in others, or hold others."""
        return frozenset(self.homes) | {home.root for home in self.homes.values()}


def legalise(model: QuantizedModel, units: int = USUAL_UNITS) -> Legal:
    """The network in nodes that an array of so many units can run. It must lie in its own channel
    order."""
    builder = _Builder(model, Homes(units))
    for node in model.nodes:
        builder.add(node)
    outputs = legal_outputs(builder)
    made = with_passes(builder.whole(tuple(outputs)), builder)
    if all(a is b for a, b in zip_longest(model.nodes, made.nodes)):
        made = model
    return replace(_found(made, builder), outputs=outputs)


def _found(made: QuantizedModel, builder: _Builder) -> Legal:
    """What the builder has collected, of the tensors that passes read and write."""
    own = builder.homes
    homes: dict[str, Home] = {}
    windows: dict[str, Window] = {}
    for node in made.nodes:
        if isinstance(node, Concat | Slice | Shuffle):
            continue
        for name in (*node.inputs, node.output):
            tensor = made.tensors[name]
            if own.is_plain(tensor):
                homes[name] = own.home(tensor)
                continue
            windows[name] = window = own.window(tensor)
            root = own.root_of(own.view(tensor).root)
            first = int(own.view(tensor).places[0] - window.places[0])
            homes[window.tensor.name] = Home(root.root, root.channel + first)
    homes = {name: home for name, home in homes.items() if home != Home(name, 0)}
    return Legal(made, builder.made, homes, windows, own.sizes())


@dataclass(eq=False)
class _Builder:
    model: QuantizedModel
    homes: Homes
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    copies: Copies = field(init=False)
    thinned: dict[tuple[str, int], str] = field(default_factory=dict)
    _readers: Mapping[str, Sequence[Node]] = field(init=False)

    def __post_init__(self) -> None:
        self.copies = Copies.of(self.model)
        self._readers = readers_of(self.model.nodes)

    def readers(self, name: str) -> Sequence[Node]:
        """The network's nodes that read a tensor."""
        return self._readers.get(name, ())

    def whole(self, outputs: tuple[str, ...]) -> QuantizedModel:
        """The network that is made, but for slices and shuffles whose readers read past them."""
        needed = set(outputs)
        nodes: list[Node] = []
        tensors = {**self.model.tensors, **self.tensors}
        for node in reversed(self.nodes):
            if node.output in needed or not isinstance(node, Slice | Shuffle):
                needed.update(node.inputs)
                nodes.append(node)
            else:
                del tensors[node.output]
        return replace(
            self.model, nodes=tuple(reversed(nodes)), tensors=tensors, output=outputs[0],
            more_outputs=outputs[1:],
        )  # fmt: skip

    def tensor(self, name: str) -> Tensor:
        """Of the network or made."""
        return self.tensors[name] if name in self.tensors else self.model.tensors[name]

    def add(self, node: Node) -> None:
        """A node of the network, in nodes that the array can run."""
        if isinstance(node, Conv):
            node = self._past_moves(node)
        match node:
            case Conv() if node.stride > 1 and not self._runs(node):
                self._strided(node)
            case Slice() | Shuffle():
                legal_move(node, self)
            case Concat():
                legal_concat(node, self)
            case Add() if node.a == node.b:
                x, out = self.tensor(node.a), self.tensor(node.output)
                self.nodes.append(self.copies.doubled(node, x, out))
            case MaxPool():
                legal_max_pool(node, self)
            case AveragePool():
                legal_average_pool(node, self)
            case _:
                self.nodes.append(node)

    def put(self, node: Node, made_for: str) -> None:
        """A node for one of the network, whose name it has or another."""
        self.nodes.append(node)
        if node.name != made_for:
            self.made[node.name] = made_for

    def between(self, like: Tensor, label: str) -> Tensor:
        """A tensor that the network has not."""
        self.tensors[label] = replace(like, name=label)
        return self.tensors[label]

    def _past_moves(self, conv: Conv) -> Conv:
        """A convolution that reads channels of the image reads the image itself, of which the
        loader may lay taps out."""
        x, image = self.tensor(conv.input), self.tensor(self.model.input)
        view = self.homes.view(x)
        if view.root != image.name or x is image or conv.groups > 1:
            return conv
        weight = Window(image, view.places).spread(conv.weight)
        return replace(conv, input=image.name, weight=weight)

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
