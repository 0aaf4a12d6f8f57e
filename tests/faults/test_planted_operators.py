"""A design in which one operator is another one than in its model: located by map and channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conv_faults import located
from device_client import DeviceClient
from move_cases import GRID, Joined
from random_networks import random_frames

from shiftforge.boards.load import load_board
from shiftforge.generator.conv import target
from shiftforge.generator.conv.schedule import schedule
from shiftforge.quant.graph.file import model_bytes
from shiftforge.quant.graph.types import (
    Concat,
    MaxPool,
    Node,
    QuantizedModel,
    Shuffle,
    Slice,
    Table,
)

OnDevice = Callable[[str], DeviceClient]


def network() -> QuantizedModel:
    """Two branches of a map, one shuffled and one cut, each before a depthwise layer, which wants
    channels where its own lie; joined, looked up, and pooled at a border of its own."""
    own = Joined()
    first = own.conv("input", 32, 3)
    shuffled = own.conv(own.shuffle(first, 2), 32, 3, groups=32)
    cut = own.conv(own.slice(first, 4, 20), 16, 3, groups=16)
    x = own.conv(own.concat(shuffled, cut), 20)
    shape = own.tensors[x].shape
    walk = tuple(int(c) for c in np.arange(256)[::-1])
    x = own.node(Table, shape, GRID, input=x, codes=walk)
    window = {"kernel": (2, 2), "stride": (1, 1), "padding": (1, 0, 0, 1)}
    x = own.node(MaxPool, shape, GRID, input=x, **window)
    return own.model(own.conv(x, 5))


def changed(node: Node) -> Node:
    """The node with a fault: two channels exchanged, a channel further, parts in the other order,
    the border on the other side, an entry one off."""
    match node:
        case Shuffle():
            order = list(node.order)
            order[1], order[4] = order[4], order[1]
            return replace(node, order=tuple(order))
        case Slice():
            return replace(node, start=node.start + 1, stop=node.stop + 1)
        case Concat():
            return replace(node, inputs=node.inputs[::-1])
        case MaxPool():
            return replace(node, padding=(0, 1, 1, 0))
        case Table():
            return replace(node, codes=(*node.codes[:-1], node.codes[-1] ^ 1))
        case _:
            return node


CASES: list[tuple[type, list[int] | None]] = [
    (Shuffle, [1, 4]), (Slice, list(range(16))), (Concat, None), (MaxPool, None), (Table, None)
]  # fmt: skip
"""Operators, and the channels that differ where these are told."""


@pytest.mark.parametrize(
    ("kind", "channels", "device"),
    [
        pytest.param(
            kind, channels, device, id=f"{kind.__name__} {device}",
            marks=[] if (kind, device) in ((Shuffle, "pocl"), (Concat, "pocl")) else
            [pytest.mark.slow],
        )
        for kind, channels in CASES
        for device in ("pocl", "intel-fpga-emu")
    ],
)  # fmt: skip
def test_an_operator_that_is_another_one_is_located(
    kind: type, channels: list[int] | None, device: str, on_device: OnDevice, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    model = network()
    wrong = replace(
        model, nodes=tuple(changed(own) if isinstance(own, kind) else own for own in model.nodes)
    )
    monkeypatch.setattr(target, "model_bytes", lambda _: model_bytes(model))
    board = load_board("a10gx1150")
    target.generate(wrong, board, units=16, pixels=4).write(tmp_path / "p")
    divergence, differing = located(model, tmp_path / "p", random_frames(model, 2),
                                    on_device(device))  # fmt: skip
    node = next(own for own in model.nodes if isinstance(own, kind))
    stage = node.output
    if kind is Concat:
        # Its parts are written where they belong; what is wrong is seen by the pass that reads it.
        layers = schedule(model, 16).layers
        stage = next(own.result.name for own in layers if stage in own.conv.inputs)
    assert divergence.stage == stage
    assert channels is None or differing == channels
