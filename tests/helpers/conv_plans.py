"""Plans of random networks on random arrays, and which kinds of second words occur in them."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise, product

import numpy as np
from conv_walk_check import definition_of
from conv_walks import Definition
from numpy.typing import NDArray
from random_networks import Family, random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.plan import LayerPlan, Plan, array_for, make_plan
from shiftforge.generator.conv.schedule import Layer, schedule

BOARD = load_board("s10gx2800")
CASES: tuple[tuple[int, Family], ...] = (
    *((seed, "two-term") for seed in range(40)),
    # The last three have what is rare.
    *((seed, "mixed") for seed in (*range(100), 155, 173, 336)),
)  # fmt: skip


@cache
def planned(seed: int, family: Family = "two-term") -> tuple[tuple[Layer, ...], Plan]:
    """A random network on a random array; every third mixed one in random channel orders."""
    rng = random.Random(seed)
    model = random_network(
        seed, layers=rng.randint(1, 9), sides=(1, rng.choice((6, 14, 22))), family=family,
        orders=family == "mixed" and seed % 3 == 0,
    )  # fmt: skip
    array = array_for(model, rng.choice((16, 32)), rng.randint(1, 16))
    return schedule(model).layers, make_plan(model, BOARD, array)


KINDS = frozenset({
    *(f"{mode} with {what}" for mode, what in product(
        ("pointwise", "standard"),
        ("no second word", "some second words", "all second words", "1 run", "2 runs", "3 runs",
         "4 runs", "merged runs", "more words after fewer", "fewer words after more",
         "zeros for a first word", "zeros for a second word", "zeros for a whole group"),
    )),
    *(f"standard with seconds, {lanes} 9 channels in the last group, {tiles}"
      for lanes, tiles in product(("fewer than", "at least"), ("one tile", "tiles"))),
    *(f"depthwise {order}, {when}, {what}" for order, when, what in product(
        ("by group", "by row"), ("late", "held"), ("some groups", "all groups"),
    )),
    "depthwise with no second word", "depthwise with zeros for a second word",
    "depthwise with an addition, late", "depthwise with an addition, held",
})  # fmt: skip
"""What ``second_kinds`` can find."""


def second_kinds(layer: Layer, own: LayerPlan, plan: Plan) -> set[str]:
    """Of KINDS, those that a layer is of."""
    definition = definition_of(layer, plan.array)
    blocks = _terms(layer, definition)
    counts = own.seconds
    if layer.mode == "depthwise":
        if not own.conv.twice:
            return {"depthwise with no second word"}
        when = "late" if own.conv.late else "held"
        order = "by group" if own.conv.fires.inner == 1 < own.tiling.out_groups else "by row"
        what = "all" if own.conv.twice == own.tiling.out_groups else "some"
        found = {f"depthwise {order}, {when}, {what} groups"}
        if layer.skip is not None:
            found.add(f"depthwise with an addition, {when}")
        if any(not blocks[0, b, 1] for b in range(own.conv.twice)):
            found.add("depthwise with zeros for a second word")
        return found
    words = own.tiling.weight_words
    what = "no second word" if not any(counts) else "some second words"
    if min(counts) == words:
        what = "all second words"
    plural = "" if len(own.conv.runs) == 1 else "s"
    found = {what, f"{len(own.conv.runs)} run{plural}"}
    raw = [max((b + 1 for b in range(words) if blocks[g, b, 1]), default=0)
           for g in range(len(counts))]  # fmt: skip
    if raw != list(counts):
        found.add("merged runs")
    for before, after in pairwise(counts):
        if before < after:
            found.add("more words after fewer")
        elif before > after:
            found.add("fewer words after more")
    for g, count in enumerate(counts):
        if not blocks[g].any():
            found.add("zeros for a whole group")
        for b in range(count):
            if not blocks[g, b, 0]:
                found.add("zeros for a first word")
            elif not blocks[g, b, 1]:
                found.add("zeros for a second word")
    found = {f"{layer.mode} with {text}" for text in found}
    if layer.mode == "standard" and any(counts):
        lanes = "fewer than" if own.conv.last_lanes < 9 else "at least"
        tiles = "one tile" if own.conv.tiles == 1 else "tiles"
        found.add(f"standard with seconds, {lanes} 9 channels in the last group, {tiles}")
    return found


def _terms(layer: Layer, definition: Definition) -> NDArray[np.bool_]:
    """Whether any weight of a group and block has a first and a second term: (groups, blocks, 2).
    """
    size = np.abs(layer.weight.astype(np.int64))
    there = np.stack([size != 0, (size & (size - 1)) != 0], axis=-1)
    groups = definition.out_lines[0]
    depthwise = layer.mode == "depthwise"
    blocks = groups if depthwise else max(w for _, w, _ in definition.weights()) + 1
    found = np.zeros((1 if depthwise else groups, blocks, 2), bool)
    for place in np.argwhere(there.any(axis=-1)):
        group, block = place[0] // definition.array.units, place[1]
        if layer.mode == "pointwise":
            block = place[1] // 9
        if depthwise:
            group, block = 0, group
        found[group, block] |= there[tuple(place)]
    return found
