"""Plans of random networks on random arrays, and which kinds of second words occur in them."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise, product
from math import ceil

import numpy as np
from conv_walk_check import definition_of
from conv_walks import Definition
from numpy.typing import NDArray
from random_networks import Family, random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.options import UNITS
from shiftforge.generator.conv.plan import Plan, StepPlan, array_for, make_plan
from shiftforge.generator.conv.schedule import Layer, schedule
from shiftforge.quant.graph.types import QuantizedModel

BOARD = load_board("s10gx2800")
NEWER = 5000
CASES: tuple[tuple[int, Family], ...] = (
    *((seed, "two-term") for seed in range(40)),
    # The last one has what is rare.
    *((seed, "mixed") for seed in (*range(100), 336)),
    # From NEWER on units of all sizes, and frames in flight.
    *((seed, "two-term") for seed in range(NEWER, NEWER + 12)),
    *((seed, "mixed") for seed in range(NEWER + 12, NEWER + 30)),
)  # fmt: skip


def network(seed: int, family: Family = "two-term") -> tuple[QuantizedModel, ArrayShape]:
    """A random network and array; every third mixed network has random channel orders."""
    rng = random.Random(seed)
    model = random_network(
        seed, layers=rng.randint(1, 9), sides=(1, rng.choice((6, 14, 22))), family=family,
        orders=family == "mixed" and seed % 3 == 0,
    )  # fmt: skip
    if seed >= NEWER:
        units, frames = rng.choice(UNITS), rng.randint(1, 5)
        return model, array_for(
            model, units, rng.randint(1, max(1, 256 // units // frames)), frames
        )
    return model, array_for(model, rng.choice((16, 32)), rng.randint(1, 16))


@cache
def planned(seed: int, family: Family = "two-term") -> tuple[tuple[Layer, ...], Plan]:
    """Layers and plan of a random network on a random array."""
    model, array = network(seed, family)
    return schedule(model).layers, make_plan(model, BOARD, array)


KINDS = frozenset({
    *(f"{mode} with {what}" for mode, what in product(
        ("pointwise", "standard"),
        ("no second word", "some second words", "all second words", "1 run", "2 runs", "3 runs",
         "4 runs", "merged runs", "more words after fewer", "fewer words after more",
         "zeros for a first word", "zeros for a second word", "zeros for a whole group",
         "zeros at the end", "lines of zeros behind the last word",
         "lines of zeros behind a second word"),
    )),
    *(f"standard with seconds, {lanes} 9 channels in the last group, {tiles}"
      for lanes, tiles in product(("fewer than", "at least"), ("one tile", "tiles"))),
    *(f"depthwise {order}, {what}" for order, what in product(
        ("by group", "by row"), ("some groups", "all groups"),
    )),
    "depthwise with no second word", "depthwise with zeros for a second word",
    "depthwise with an addition",
})  # fmt: skip
"""What ``second_kinds`` can find."""


def second_kinds(layer: Layer, own: StepPlan, plan: Plan) -> set[str]:
    """Of KINDS, those that a layer is of."""
    there = _terms(layer, definition_of(layer, plan.array))
    if layer.mode == "depthwise":
        return _depthwise_kinds(layer, own, there[:, 0])
    runs, words = own.conv.runs, own.tiling.weight_words
    what = "some second words"
    if not any(run.twice for run in runs):
        what = "no second word"
    elif all(run.twice == words for run in runs):
        what = "all second words"
    found = {what, f"{len(runs)} run" + "s" * (len(runs) > 1)}
    needed = [tuple(max(np.flatnonzero(own[:, term]), default=-1) + 1 for term in (0, 1))
              for own in there]  # fmt: skip
    counts = [(run.words - run.twice, run.twice) for run in runs for _ in range(run.groups)]
    if [(max(1, m), k) for m, k in needed] != counts:
        found.add("merged runs")
    for (before, _), (after, _) in pairwise(counts):
        if before != after:
            found.add("more words after fewer" if after > before else "fewer words after more")
    a_line = plan.array.units / plan.array.taken if layer.mode == "pointwise" else plan.array.units
    for group, (first, second) in zip(there, counts, strict=True):
        if first < words:
            found.add("zeros at the end")
        if ceil(first / a_line) < own.tiling.in_groups:
            found.add("lines of zeros behind the last word")
            if second == first:
                found.add("lines of zeros behind a second word")
        if not group.any():
            found.add("zeros for a whole group")
        elif not group[:second, 0].all():
            found.add("zeros for a first word")
        elif not group[:second, 1].all():
            found.add("zeros for a second word")
    found = {f"{layer.mode} with {text}" for text in found}
    if layer.mode == "standard" and what != "no second word":
        lanes = "fewer than" if own.conv.last_lanes < 9 else "at least"
        tiles = "one tile" if own.conv.tiles == 1 else "tiles"
        found.add(f"standard with seconds, {lanes} 9 channels in the last group, {tiles}")
    return found


def _depthwise_kinds(layer: Layer, own: StepPlan, there: NDArray[np.bool_]) -> set[str]:
    """there: whether a channel group has first and second terms."""
    twice, groups = own.conv.run0.twice, own.tiling.out_groups
    if not twice:
        return {"depthwise with no second word"}
    order = "by group" if own.conv.fires.inner == 1 < groups else "by row"
    found = {f"depthwise {order}, {'all' if twice == groups else 'some'} groups"}
    if layer.skip is not None:
        found.add("depthwise with an addition")
    if not there[:twice, 1].all():
        found.add("depthwise with zeros for a second word")
    return found


def _terms(layer: Layer, definition: Definition) -> NDArray[np.bool_]:
    """Whether any weight of a word has a first and a second term: (groups, words, 2)."""
    size = np.abs(layer.weight.astype(np.int64))
    terms = np.stack([size != 0, (size & (size - 1)) != 0], axis=-1)
    a_word = definition.taken if layer.mode == "pointwise" else 1
    words = 1 if layer.mode == "depthwise" else ceil(layer.in_shape[0] / a_word)
    found = np.zeros((definition.out_lines[0], words, 2), bool)
    for place in np.argwhere(size):
        word = 0 if layer.mode == "depthwise" else place[1] // a_word
        found[place[0] // definition.array.units, word] |= terms[tuple(place)]
    return found
