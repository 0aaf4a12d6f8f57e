"""Quantisation with chosen weights of two terms: shares of second words, and the smallest share.

The steps: what rounding errors cost in the output, channel orders that gather what gains most from
a second term, the array's words in these orders, and for each share the counts of second words that
gain most. Then all weights are rounded where those words allow two terms.

What is told of a choice is measured: its share f from the weights themselves, and its SQNR on every
fourth calibration image, with weights rounded for the other three: rounding fits its errors to the
images that it sees, so that on these it looks better by many dB than it is. The model's own weights
are rounded for all images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.calibrate.channel_orders import channel_orders
from shiftforge.quant.calibrate.held_out import held_out_decrease
from shiftforge.quant.calibrate.importance import Gains, importance, two_term_gains
from shiftforge.quant.calibrate.network import walk
from shiftforge.quant.calibrate.second_choice import SecondChoice
from shiftforge.quant.calibrate.sequential import Progress
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.evaluate import quantised_logits, sqnr_db
from shiftforge.quant.formats.shift import term_count
from shiftforge.quant.graph.types import Grid, QuantizedModel, ShiftFormat, Variant
from shiftforge.quant.graph.variants import META_KEY
from shiftforge.quant.quantisation import Quantisation, Rounding
from shiftforge.quant.second_words import Orders, WordPlan, WordPlanner

__all__ = ["IMAGES", "Case", "Made", "Masks", "measured_gains", "prepare", "second_counts"]

Masks: TypeAlias = Mapping[str, NDArray[np.bool_]]
Images: TypeAlias = NDArray[np.int64]
"""Indices of calibration images."""

Round: TypeAlias = Callable[[Masks | None, Grid | None, Images | None], QuantizedModel]

IMAGES = 64
"""Calibration images, at most, that importance is measured on."""

# Of each image: with as many images two are as good as more (measured).
_PROBES = 2
# Of how many images one is held out, and from how many on.
_FOLD, _LEAST_IMAGES = 4, 8
# Trials of the smallest share, and how near to it they come.
_TRIALS, _NEAR = 7, 0.01


@dataclass(frozen=True, eq=False)
class Made:
    """A rounded model: its share and added array cycles, counted, and its SQNR, measured on images
    that weights of the same choice were not rounded for."""

    model: QuantizedModel
    asked: float
    f: float
    cycles: int
    sqnr_db: float

    @property
    def facts(self) -> dict[str, Any]:
        """For the model's meta."""
        return {
            "asked": self.asked, "f": self.f, "second_term_cycles": self.cycles,
            "sqnr_db": self.sqnr_db,
        }  # fmt: skip


def second_counts(model: QuantizedModel, plan: WordPlan) -> dict[str, tuple[int, ...]]:
    """Second words of every layer's groups that a model's weights need."""
    return {
        conv.name: plan.words[conv.name].counts(term_count(conv.weight, conv.format) == 2)
        for conv in model.conv_nodes()
        if isinstance(conv.format, ShiftFormat)
    }


@dataclass(frozen=True, eq=False)
class Case:
    """A network ready to be rounded with any share of second words.

    round: the model of masks, the output's grid, and the images that weights are rounded for (all
    where there is None). seen: those of trials. frames: uint8, what trials are measured on (other
    images where ``held_out``), and wanted: the float network's logits of these, (N, classes).
    """

    given: Quantisation
    orders: Orders
    plan: WordPlan
    choice: SecondChoice
    round: Round
    seen: Images
    held_out: bool
    frames: NDArray[np.uint8]
    wanted: NDArray[np.float64]

    def _masks(self, share: float) -> Masks:
        counts = self.choice.counts(share)
        return {name: self.plan.words[name].allowed(own) for name, own in counts.items()}

    def trial(self, share: float) -> float:
        """SQNR in dB with at most a share of second words, on images that were not rounded for."""
        model = self.round(self._masks(share), None, self.seen)
        return round(sqnr_db(self.wanted, quantised_logits(model, self.frames)), 3)

    def make(self, share: float, sqnr: float, output: Grid | None = None) -> Made:
        """The model with at most a share of second words, whose trial had the SQNR."""
        model = self.round(self._masks(share), output, None)
        needed = second_counts(model, self.plan)
        cycles = sum(self.plan.words[name].added_cycles(own) for name, own in needed.items())
        f = self.plan.share(needed)
        return Made(replace(model, orders=dict(self.orders)), share, f, cycles, sqnr)

    def with_shares(self, shares: tuple[float, ...]) -> QuantizedModel:
        """The model of the largest share; the others are its variants."""
        largest = self.make(shares[-1], self.trial(shares[-1]))
        grid = largest.model.tensors[largest.model.output].grid
        made = [largest]
        for share in reversed(shares[:-1]):
            own = self.make(share, self.trial(share), grid)
            if own.f < made[-1].f:  # else all that gains is in both
                made.append(own)
        return self._told(made, {"asked": list(shares)})

    def smallest(self) -> QuantizedModel:
        """The model of the smallest share found whose SQNR reaches ``min_sqnr``.

        SQNR rises with the share but for tenths of a dB: between a share that reaches the goal and
        one that does not the search ends within 0.01, and a smaller one may reach it by chance.
        Raises InputError, with the best that was reached, where all second words do not.
        """
        goal = self.given.min_sqnr or 0.0
        share, reached = self._smallest(goal)
        return self._told([self.make(share, reached)], {"min_sqnr_db": goal})

    def _smallest(self, goal: float) -> tuple[float, float]:
        """(share, its SQNR), in at most ``_TRIALS`` trials."""
        best = top = self.trial(1.0)
        if top < goal:
            what = f"{goal:g} dB asked, {best:.2f} dB with every second word that gains"
            raise InputError(Problem(what, "ask for less", "min_sqnr"))
        low = self.trial(0.0)
        if low >= goal:
            return 0.0, low
        # Regula falsi, the value at an end that stays halved (the Illinois rule).
        left, right = 0.0, min(1.0, self.choice.most)
        below, above, side = low - goal, top - goal, 0
        for _ in range(_TRIALS - 2):
            if right - left <= _NEAR:
                break
            gap = min(_NEAR, (right - left) / 2)  # no nearer to an end than what is wanted
            share = left + (right - left) * below / (below - above)
            share = float(np.clip(share, left + gap, right - gap))
            found = self.trial(share)
            if found >= goal:
                best, right, above = found, share, found - goal
                below, side = below / 2 if side > 0 else below, 1
            else:
                left, below = share, found - goal
                above, side = above / 2 if side < 0 else above, -1
        return right, best

    def _told(self, made: list[Made], more: Mapping[str, Any]) -> QuantizedModel:
        """The first model with the others as variants and the facts of all."""
        first, others = made[0], made[:0:-1]
        facts = {
            "asked": sorted(own.asked for own in made),
            "f": first.f,
            "sqnr_db": first.sqnr_db,
            "one_term_cycles": self.plan.one_term_cycles,
            "second_term_cycles": first.cycles,
            "array": dict(self.plan.array),
            "measured_on": {
                "images": len(self.frames),
                "held_out": self.held_out,
            },
            "choices": [own.facts for own in reversed(made)],
            **more,
        }
        variants = tuple(
            Variant(own.f, own.sqnr_db, {conv.name: conv for conv in own.model.conv_nodes()})
            for own in others
        )
        meta = {**first.model.meta, META_KEY: facts}
        return replace(first.model, variants=variants, meta=meta)


def measured_gains(
    graph: FloatGraph, values: NDArray[np.float32], bits: int, rounding: Rounding = "compensated"
) -> dict[str, Gains]:
    """What every weight's second term gains, (O, I // groups, kh, kw), from at most ``IMAGES``
    evenly spaced ones of the normalised images (N, C, H, W)."""
    some = np.linspace(0, len(values) - 1, min(len(values), IMAGES)).round().astype(np.int64)
    found = importance(graph, values[some], _PROBES)
    decrease = held_out_decrease(graph, values[some], bits, rounding)
    return two_term_gains(graph, found, bits, decrease)


def prepare(
    graph: FloatGraph,
    values: NDArray[np.float32],
    frames: NDArray[np.generic],
    given: Quantisation,
    planner: WordPlanner,
    rounding: Round,
    progress: Progress,
) -> Case:
    """The case of a network.

    graph: equalised. values: its normalised calibration images (N, C, H, W); frames: the same as
    they were given. planner: of the array's words. rounding: see ``Case``.
    Raises InputError where the array cannot run the network.
    """
    progress("choosing weights of two terms", 0, 1)
    gains = measured_gains(graph, values, given.bits or 4, given.rounding)
    orders = channel_orders(graph, gains, planner(graph, {}))
    plan = planner(graph, orders)
    choice = SecondChoice(plan, gains)
    progress("choosing weights of two terms", 1, 1)
    pixels = frames if frames.dtype == np.uint8 else np.rint(frames.astype(np.float64))
    every = np.arange(len(values))
    seen = held = every
    if len(values) >= _LEAST_IMAGES:
        apart = every % _FOLD == _FOLD - 1
        seen, held = every[~apart], every[apart]
    images = np.asarray(pixels, dtype=np.uint8)[held]
    for _, live in walk(graph, values[held]):
        last = live
    wanted = np.concatenate([last[name].flatten(1).double().numpy() for name in graph.outputs], 1)
    return Case(given, orders, plan, choice, rounding, seen, held is not seen, images, wanted)
