"""Slices, shuffles and concatenations: addresses and the readers' weights where that suffices.

A convolution of one group reads a view with its weights at other places. Whatever else reads maps
wants channels one after another from a channel group on; for these, for outputs and where it takes
fewer cycles than reading more channels, a pass copies the channels (``Copies``). What is
concatenated is written where it belongs, if it lies nowhere else yet and on the same grid; the
rest is copied there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Protocol

import numpy as np

from shiftforge.generator.conv.array import TAPS
from shiftforge.generator.conv.embed import windows_of
from shiftforge.generator.conv.legal.copies import Copies
from shiftforge.generator.conv.legal.homes import Home, Homes, View
from shiftforge.quant.graph.types import (
    Concat,
    Conv,
    Grid,
    Node,
    QuantizedModel,
    Shuffle,
    Slice,
    Tensor,
)

__all__ = ["Moves", "copied", "legal_concat", "legal_move"]


class Moves(Protocol):
    """What is asked of the network that is being made."""

    model: QuantizedModel
    copies: Copies
    homes: Homes

    def tensor(self, name: str) -> Tensor: ...
    def put(self, node: Node, made_for: str) -> None: ...
    def between(self, like: Tensor, label: str) -> Tensor: ...
    def readers(self, name: str) -> Sequence[Node]: ...


def legal_move(node: Slice | Shuffle, to: Moves) -> None:
    """A slice or a shuffle as a view, or as a pass that copies."""
    x, out = to.tensor(node.input), to.tensor(node.output)
    order = range(node.start, node.stop) if isinstance(node, Slice) else node.order
    view = to.homes.view(x).taken(order)
    once = len(set(order)) == len(order)
    if once and not _wants_own(out, view, to) and _is_cheaper(out, view, to):
        to.homes.views[out.name] = view
        to.put(node, node.name)
        return
    to.put(to.copies.chosen(node.name, node.source, x, out, order), node.name)


def legal_concat(node: Concat, to: Moves) -> None:
    """A concatenation as one root; and a pass that copies it where that is not enough."""
    out = to.tensor(node.output)
    parts, places, channels = [], [], 0
    for k, name in enumerate(node.inputs):
        part = _part(node, k, to.tensor(name), out, to)
        view = to.homes.view(part)
        parts.append((part.name, view.root, channels))
        places.append(view.places + channels)
        channels += _channels(view.root, to)
    view = View(out.name, np.concatenate(places))
    own = _wants_own(out, view, to)
    label = f"{out.name}:joined" if own else out.name
    for _, root, first in parts:
        to.homes.placed[root] = Home(label, first)
    to.homes.joined[label] = channels, out.channels
    to.homes.views[label] = replace(view, root=label)
    inputs = tuple(name for name, _, _ in parts)
    if not own:
        to.put(replace(node, inputs=inputs), node.name)
        return
    joined = to.between(out, label)
    to.put(replace(node, name=f"{node.name}:joined", inputs=inputs, output=label), node.name)
    to.put(copied(node.name, node.source, joined, out, to), node.name)


def _part(node: Concat, number: int, x: Tensor, out: Tensor, to: Moves) -> Tensor:
    """The tensor that is written as a part: it itself, or a copy."""
    root = to.homes.view(x).root
    again = root in to.homes.placed or any(
        to.homes.view(to.tensor(name)).root == root for name in node.inputs[:number]
    )
    if _same_codes(x.grid, out.grid) and not again and root != to.model.input and _is_all(x, to):
        return x
    like = replace(out, channels=x.channels)
    made = to.between(like, f"{out.name}:part{number}")
    to.put(copied(f"{node.name}:part{number}", node.source, x, made, to), node.name)
    return made


def copied(name: str, source: str, x: Tensor, out: Tensor, to: Moves) -> Conv:
    """A pass that copies a tensor, whichever way its channels lie, onto the grid of another."""
    if to.homes.is_plain(x):
        return to.copies.rescaled(name, source, x, out)
    return to.copies.chosen(name, source, x, out, range(x.channels))


def _same_codes(x: Grid, out: Grid) -> bool:
    """Whether codes of one grid are the same on another."""
    return (x.signed, x.exponent) == (out.signed, out.exponent) and x.bits <= out.bits


def _is_all(x: Tensor, to: Moves) -> bool:
    """Whether a tensor has every channel of its root."""
    view = to.homes.view(x)
    if view.root in to.homes.joined:
        return len(view.places) == to.homes.joined[view.root][1]
    return len(view.places) == to.tensor(view.root).channels


def _channels(root: str, to: Moves) -> int:
    """Of a root, up to the end of its last channel group."""
    if root in to.homes.joined:
        return to.homes.joined[root][0]
    return to.homes.whole(to.tensor(root).channels)


def _wants_own(out: Tensor, view: View, to: Moves) -> bool:
    """Whether a tensor has to be a map of its own: the output, or not plain and read by what needs
    that. Of several outputs each is copied out, which reads it in any way."""
    if to.model.outputs == (out.name,):
        return True
    readers = to.readers(out.name)
    return not view.is_plain(to.homes.units) and not all(_reads_views(n) for n in readers)


def _reads_views(node: Node) -> bool:
    """Whether a node reads channels that lie apart."""
    match node:
        case Conv():
            # One of several columns reads a copy of every second column.
            every = node.stride > 1 and node.kernel == (1, 1)
            return node.groups == 1 and not every
        case Concat() | Slice() | Shuffle():
            return True
        case _:
            return False


def _is_cheaper(out: Tensor, view: View, to: Moves) -> bool:
    """Whether readers of a view take no more cycles of the array for the channels that they read
    besides than a copy would."""
    units = to.homes.units
    if view.is_plain(units):
        return True
    first = int(view.places.min()) // units * units
    read = int(view.places.max()) + 1 - first
    taken = min(TAPS, units)
    copy = ceil(out.channels / units) * ceil(read / taken) * out.height * out.width
    more = 0
    for node in to.readers(out.name):
        if not isinstance(node, Conv):
            continue
        made = to.tensor(node.output)
        if node.kernel == (1, 1) and not any(node.padding):
            cycles = ceil(read / taken) - ceil(out.channels / taken)
        else:
            cycles = windows_of(node).count * (read - out.channels)
        more += ceil(made.channels / units) * cycles * made.height * made.width
    return more <= copy
