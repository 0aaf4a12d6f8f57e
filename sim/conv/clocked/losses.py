"""Where the cycles of a frame went that did no multiply-accumulate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shiftforge.sim.conv.clocked.run import ARRAY_KERNEL
from shiftforge.sim.conv.clocked.steady import SteadyFrame

__all__ = ["BUSY", "GAP", "PADDING", "Loss", "find_losses", "layer_states"]

PADDING, GAP = "lanes without work (padding)", "between layers (drain, re-entry)"
BUSY = "busy"


@dataclass(frozen=True)
class Loss:
    """Cycles of a frame in which the array's lanes did nothing, by their cause.

    layer: index of the layer that has most of them; of a gap, the layer behind it.
    """

    name: str
    cycles: float
    layer: int


def layer_states(found: SteadyFrame) -> tuple[Mapping[str, int], ...]:
    """For each layer the cycles of the array's kernel by state: ``BUSY``; the channel, or memory,
    that stopped it; ``GAP``, from the last iteration of the layer before to its own first."""
    own = sorted((s for s in found.run.spans if s.kernel == ARRAY_KERNEL), key=lambda s: s.start)
    states: list[dict[str, int]] = [defaultdict(int) for _ in found.layers]
    for span in (span for span in own if span.frame == found.frame):
        states[span.layer][BUSY] += span.busy
        for name, cycles in span.stalled.items():
            states[span.layer][name] += cycles
    for before, span in pairwise(own):
        if span.frame == found.frame:
            issued = before.busy + sum(before.stalled.values())
            states[span.layer][GAP] += span.start - before.start - issued
    return tuple(states)


def find_losses(found: SteadyFrame, macs: Sequence[int], lanes: int) -> tuple[Loss, ...]:
    """The causes, most cycles first; they add up to ``found.cycles - sum(macs) / lanes``.

    macs: of each layer. Three kinds: cycles' worth of lanes in issued iterations that had no work
    (padding of channels, rows and tiles), cycles in which a channel or memory stopped the array's
    kernel, and the rest: between its last iteration of a layer and its first of the next.
    """
    states = layer_states(found)
    parts: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for layer, (count, own) in enumerate(zip(macs, states, strict=True)):
        parts[PADDING][layer] = own.get(BUSY, 0) - count / lanes
        for name, cycles in own.items():
            if name != BUSY:
                cause = GAP if name == GAP else f"{ARRAY_KERNEL} stopped by {name}"
                parts[cause][layer] += cycles
    taken = sum(n for own in states for name, n in own.items() if name != GAP)
    totals = {name: sum(by_layer.values()) for name, by_layer in parts.items()}
    # The gaps go from start to start; a frame's cycles from its last result to the next one's.
    totals[GAP] = found.cycles - taken
    named = [Loss(name, cycles, _worst(parts[name])) for name, cycles in totals.items() if cycles]
    return tuple(sorted(named, key=lambda loss: (-loss.cycles, loss.name)))


def _worst(by_layer: Mapping[int, float]) -> int:
    return max(by_layer, key=lambda layer: (by_layer[layer], -layer), default=0)
