"""Random networks some of whose maps travel through global memory: chains, and joined maps."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from conv_chains import chain
from random_maps import random_maps

from shiftforge.boards.load import load_board
from shiftforge.errors import InputError
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.segments import Segment
from shiftforge.generator.conv.strips import limited_plan
from shiftforge.quant.graph.types import Concat, Conv, Shuffle, Slice

BOARD = load_board("s10gx2800")


def _rounds(rng: random.Random, rows: int) -> tuple[int, ...]:
    """Ends of two rounds or more; the last one makes few rows."""
    cuts = sorted(rng.sample(range(1, rows), rng.randint(1, min(3, rows - 1))))
    return (*cuts, rows)


def _kept(layers: list[dict[str, Any]], height: int, width: int) -> list[dict[str, Any]]:
    """Without layers whose windows do not fit what those before leave."""
    found = []
    for own in layers:
        top, left, bottom, right = own.get("padding", (0, 0, 0, 0))
        rows, columns = height + top + bottom - own["kernel"], width + left + right - own["kernel"]
        if min(rows, columns) >= 0:
            height, width = (side // own.get("stride", 1) + 1 for side in (rows, columns))
            found.append(own)
    return found


def travelling(seed: int) -> tuple[Network, Plan]:
    """A chain of all kinds of layers, some of whose maps travel. Strips in which a layer's first
    rows would be fetched before they are stored are drawn anew."""
    rng = random.Random(seed)
    layers: list[dict[str, Any]] = [{"out": rng.choice((12, 20)), "kernel": 3,
                                     "padding": (1, 1, 1, 1)}]  # fmt: skip
    for _ in range(5):
        out = layers[-1]["out"]
        kind = rng.choice(("standard", "pointwise", "depthwise"))
        if kind == "pointwise":
            layers.append({"out": rng.choice((12, 20, 33)), "kernel": 1})
            continue
        padding = rng.choice(((1, 1, 1, 1), (0, 1, 1, 1), (1, 0, 1, 2), (0, 0, 2, 1)))
        own = {"out": out, "kernel": 3, "padding": padding, "stride": rng.choice((1, 1, 2))}
        layers.append({**own, "groups": out} if kind == "depthwise" else own)
    height, width = rng.randint(17, 24), rng.randint(7, 15)
    model = chain(*_kept(layers, height, width), channels=3, height=height, width=width)
    network = network_of(model)
    array = array_for(network, rng.choice((8, 16, 24)), rng.randint(1, 6), rng.choice((1, 1, 2)))
    last = network.layers[-1]
    strips = network.layers[:-1] if last.mode == "depthwise" else network.layers
    while True:
        segments = [Segment(own.index, own.index, _rounds(rng, own.out_shape[1]))
                    for own in strips if own.out_shape[1] > 1]  # fmt: skip
        names = [a.result.name for a, b in pairwise(network.layers) if a.out_shape[1] > 1
                 and b in strips]  # fmt: skip
        through = rng.sample(names, rng.randint(1, len(names)))
        try:
            return network, make_plan(
                network, BOARD, array, segments=segments, through=through, tight=seed % 2 == 1
            )
        except InputError as error:
            assert "fetched before" in str(error) or "height" in str(error)


def joined_travelling(seed: int) -> tuple[Network, Plan] | None:
    """Channels that move; the first plan within less and less memory by which a map that others lie
    in travels. None where none does."""
    kinds = (Conv, Conv, Concat, Slice, Shuffle)
    model = random_maps(seed, nodes=10, sides=(12, 30), on_array=True, kinds=kinds)
    network = network_of(model)
    array = array_for(network, *((16, 2, 1), (8, 4, 1), (16, 1, 2))[seed % 3])
    whole = make_plan(network, BOARD, array, must_fit=False).map_bytes
    for part in (0.75, 0.6, 0.5, 0.4):
        try:
            plan = limited_plan(network, BOARD, array, int(whole * part))
        except InputError:
            continue
        if any(own.first for own in plan.through.spans.values()):
            return network, plan
    return None
