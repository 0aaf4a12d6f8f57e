"""DTSSQ by weight words: orders, words and starting thresholds before training, the record and its
check after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.calibrate.channel_orders import channel_orders
from shiftforge.quant.calibrate.importance import importance, two_term_gains
from shiftforge.quant.evaluate import evaluate
from shiftforge.quant.formats.shift import term_count
from shiftforge.quant.graph.types import QuantizedModel, ShiftFormat
from shiftforge.quant.graph.variants import META_KEY
from shiftforge.quant.schemes.base import Site
from shiftforge.quant.schemes.blocks import BlockMask
from shiftforge.quant.schemes.dtssq import DTSSQ, DtssqQuantiser
from shiftforge.quant.schemes.folded import ParametrisedWeight, by_scheme
from shiftforge.quant.schemes.network import QuantNetwork
from shiftforge.quant.schemes.shift import ShiftQuantiser
from shiftforge.quant.second_terms import second_counts
from shiftforge.quant.second_words import Orders, SecondWords, WordPlan, WordPlanner

__all__ = [
    "Words",
    "begin_words",
    "check_words",
    "end_words",
    "selected_counts",
    "with_words",
]

# Of the least ratio of a score to its layer's threshold: training begins with every block selected.
_BELOW = 0.99
# Importance of a weight that nothing depends on.
_FAINTEST = 1e-60


@dataclass(frozen=True, eq=False)
class Words:
    """What a network is trained with. orders: of the accelerator's channels, by tensor. asked: the
    target of its second words' share, where DTSSQ has one."""

    plan: WordPlan
    orders: Orders
    asked: float | None = None


def begin_words(network: QuantNetwork, planner: WordPlanner, images: NDArray[np.float32]) -> Words:
    """Give all DTSSQ layers of a folded network their weight words; without any, orders are none.

    Layers' thresholds begin in the ratio of a word's cycles to its layer's mean importance, so that
    blocks leave in the order of what they gain per cycle. images: normalised (N, C, H, W), for the
    importance. Raises InputError where the target is less than what other schemes' layers take.
    """
    graph = network.graph
    sites = {
        n: q.site for n, q in network.quantisers().items() if isinstance(q, ParametrisedWeight)
    }
    own = {n: q for n, site in sites.items() if isinstance(q := site.quantiser, DtssqQuantiser)}
    if not own:
        return Words(planner(graph, {}), {})
    found = importance(graph, images)
    gains = two_term_gains(graph, found, max(q.bits for q in own.values()))
    orders = channel_orders(graph, gains, planner(graph, {}))
    plan = planner(graph, orders)
    spent = _spent(sites, plan)
    asked = _target(own, plan, spent)
    once = sum(plan.words[name].once for name in own)
    closed = asked is not None and spent + once > asked * plan.one_term_cycles
    relative, least = {}, math.inf
    for name, quantiser in own.items():
        weight, words = sites[name].weight.detach(), plan.words[name]
        rows = np.repeat(found.inputs[name], len(weight) // len(found.inputs[name]), axis=0)
        each = torch.from_numpy(found.outputs[name][:, None] * rows).reshape(weight.shape)
        # Of squared residuals, which are in units of the scales.
        each = (each * quantiser.scale(weight).double().square()).clamp(min=_FAINTEST)
        blocks = BlockMask(words, plan.one_term_cycles, each, spent, closed)
        quantiser.take_words(blocks, 1.0)
        relative[name] = words.cycles / float(each.mean())
        scores = quantiser.scores(quantiser.parts(weight)[2])
        if not blocks.free and bool((scores > 0).any()):
            least = min(least, float(scores[scores > 0].min()) / relative[name])
    for name, quantiser in own.items():
        if quantiser.blocks is not None and not quantiser.blocks.free and least < math.inf:
            quantiser.take_words(quantiser.blocks, _BELOW * least * relative[name])
    return Words(plan, orders, asked)


def _sites(network: QuantNetwork) -> dict[str, Site]:
    found = network.quantisers()
    return {n: q.site for n, q in found.items() if isinstance(q, ParametrisedWeight)}


def _spent(sites: Mapping[str, Site], plan: WordPlan) -> int:
    """Cycles of second words in layers of other schemes, all of whose weights may need them."""
    spent = 0
    for name, site in sites.items():
        held = site.quantiser
        if isinstance(held, ShiftQuantiser) and not isinstance(held, DtssqQuantiser):
            words = plan.words[name]
            blocks = words.blocks if held.terms_most == 2 else 0
            spent += words.added_cycles((blocks,) * words.groups)
    return spent


def _target(own: Mapping[str, DtssqQuantiser], plan: WordPlan, spent: int) -> float | None:
    """The one target of all layers. Raises InputError for more, and for one that is not reached."""
    schemes = {q.scheme for q in own.values() if isinstance(q.scheme, DTSSQ)}
    if len(schemes) > 1:
        what = "layers of DTSSQ with different settings, which share one budget of cycles"
        raise InputError(Problem(what, "give all of them the same settings"))
    target = next(scheme.target for scheme in schemes)
    if target is not None and spent > target * plan.one_term_cycles:
        share = spent / plan.one_term_cycles
        what = f"a target of {target:g}, and layers of other schemes alone add {share:.3f}"
        raise InputError(Problem(what, "give these layers DTSSQ too, or a higher target"))
    return target


def end_words(network: QuantNetwork) -> None:
    """Once more the limit, which is otherwise looked at every so many steps."""
    for scheme, sites in by_scheme(network.quantisers()).items():
        if isinstance(scheme, DTSSQ):
            scheme.tighten(sites, last=True)


def selected_counts(network: QuantNetwork) -> dict[str, tuple[int, ...]]:
    """Second words of each group as training has selected them, by convolution of DTSSQ."""
    return {
        name: site.quantiser.counts(site.weight)
        for name, site in _sites(network).items()
        if isinstance(site.quantiser, DtssqQuantiser)
    }


def with_words(
    model: QuantizedModel,
    words: Words,
    selected: Mapping[str, tuple[int, ...]],
    frames: NDArray[np.uint8],
) -> QuantizedModel:
    """The model with its channel orders and the record of its second words.

    frames: uint8 (N, H, W, C), on which it is held against its float network. Raises InputError as
    `check_words` does.
    """
    check_words(model, words.plan, selected)
    counts = second_counts(model, words.plan)
    f = words.plan.share(counts)
    facts = {
        "f": f,
        "sqnr_db": round(evaluate(model, frames).sqnr_db, 3),
        "second_term_cycles": sum(words.plan.words[n].added_cycles(c) for n, c in counts.items()),
    }
    asked = f if words.asked is None else words.asked
    record = {
        **facts,
        "asked": [asked],
        "one_term_cycles": words.plan.one_term_cycles,
        "array": dict(words.plan.array),
        "measured_on": {"images": len(frames), "held_out": False},
        "choices": [{"asked": asked, **facts}],
    }
    return replace(model, orders=words.orders, meta={**model.meta, META_KEY: record})


def check_words(
    model: QuantizedModel, plan: WordPlan, allowed: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises InputError naming the convolutions, groups and blocks with two-term weights outside
    the first words of their group, of which allowed says how many there are."""
    problems = []
    for node in model.conv_nodes():
        if node.name in allowed and isinstance(node.format, ShiftFormat):
            two = term_count(node.weight, node.format) == 2
            problems += _outside(node.name, two, plan.words[node.name], allowed[node.name])
    if problems:
        raise InputError(problems)


def _outside(
    name: str, two: NDArray[np.bool_], words: SecondWords, allowed: tuple[int, ...]
) -> list[Problem]:
    places = np.argwhere(two & ~words.allowed(allowed))
    found = {
        (int(words.group[place[0]]), int(words.block[tuple(place)])): tuple(map(int, place))
        for place in reversed(places)
    }
    return [
        Problem(
            f"weight {place} has two terms, in block {block} of group {group}, which has "
            f"{allowed[group]} second words",
            "second words are the first ones of a group",
            name,
        )
        for (group, block), place in sorted(found.items())
    ]
