"""Where tensors lie in each other: what joins, cuts and shuffles channels without a pass.

A *root* is a map of its own on chip. A tensor may be a *view*, whose channels are some of a root's;
a map that joins others is a root in which each of these lies from a whole channel group of the
array on, so that a few channels between them may be none of the tensor's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.types import Tensor

__all__ = ["Home", "Homes", "View", "Window"]


@dataclass(frozen=True, eq=False)
class View:
    """Channel c of a tensor is channel ``places[c]`` of the map ``root``."""

    root: str
    places: NDArray[np.int64]

    def taken(self, order: Sequence[int]) -> View:
        """Some of the channels, in an order."""
        return View(self.root, self.places[np.asarray(order)])

    def is_plain(self, units: int) -> bool:
        """Whether the channels follow each other from a whole channel group on."""
        return bool(self.places[0] % units == 0 and (np.diff(self.places) == 1).all())


@dataclass(frozen=True)
class Home:
    """A tensor lies in ``root``, from channel ``channel`` on, the first of a channel group."""

    root: str
    channel: int


@dataclass(frozen=True, eq=False)
class Window:
    """What is read in place of a tensor whose channels lie apart: ``tensor``, of which its channel
    c is channel ``places[c]``."""

    tensor: Tensor
    places: NDArray[np.int64]

    def spread(self, weight: NDArray[np.int8]) -> NDArray[np.int8]:
        """Weights (O, I, kh, kw) for the tensor that is read; zeros for what is not the tensor's.
        Values that take no memory stay so."""
        outputs, _, *kernel = weight.shape
        shape = (outputs, self.tensor.channels, *kernel)
        if not any(weight.strides):
            return np.broadcast_to(weight.reshape(-1)[:1].reshape(()), shape)
        found = np.zeros(shape, weight.dtype)
        found[:, self.places] = weight
        return found


@dataclass(eq=False)
class Homes:
    """Collects views and places. units: of the array. joined: of roots that join others, their
    channels with those between, and without them."""

    units: int
    views: dict[str, View] = field(default_factory=dict)
    placed: dict[str, Home] = field(default_factory=dict)
    joined: dict[str, tuple[int, int]] = field(default_factory=dict)

    def view(self, tensor: Tensor) -> View:
        """Of a tensor; itself where it is a root."""
        found = self.views.get(tensor.name)
        return found or View(tensor.name, np.arange(tensor.channels))

    def is_plain(self, tensor: Tensor) -> bool:
        """Whether whatever reads maps can read a tensor."""
        return self.view(tensor).is_plain(self.units)

    def whole(self, channels: int) -> int:
        """So many channels up to the end of their last channel group."""
        return ceil(channels / self.units) * self.units

    def root_of(self, name: str) -> Home:
        """Where a root lies: in itself, or in what joins it."""
        found = Home(name, 0)
        while found.root in self.placed:
            outer = self.placed[found.root]
            found = Home(outer.root, outer.channel + found.channel)
        return found

    def home(self, tensor: Tensor) -> Home:
        """Of a tensor that is plain."""
        view = self.view(tensor)
        root = self.root_of(view.root)
        return Home(root.root, root.channel + int(view.places[0]))

    def window(self, tensor: Tensor) -> Window:
        """Of a tensor that is not: whole channel groups up to its last channel."""
        view = self.view(tensor)
        first = int(view.places.min()) // self.units * self.units
        end = int(view.places.max()) + 1
        name = f"{view.root}[{first}:{end}]"
        return Window(replace(tensor, name=name, channels=end - first), view.places - first)

    def sizes(self) -> Mapping[str, int]:
        """Channels of the roots that join others."""
        return {name: channels for name, (channels, _) in self.joined.items()}
