"""Where the cycles of a frame went that did no multiply-accumulate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shiftforge.sim.conv.clocked.run import ARRAY_KERNEL
from shiftforge.sim.conv.clocked.steady import SteadyFrame

__all__ = ["GAP", "PADDING", "Loss", "find_losses"]

PADDING, GAP = "lanes without work (padding)", "between layers (drain, re-entry)"


@dataclass(frozen=True)
class Loss:
    """Cycles of a frame in which the array's lanes did nothing, by their cause.

    layer: index of the layer that has most of them; of a gap, the layer behind it.
    """

    name: str
    cycles: float
    layer: int


def find_losses(found: SteadyFrame, macs: Sequence[int], lanes: int) -> tuple[Loss, ...]:
    """The causes, most cycles first; they add up to ``found.cycles - sum(macs) / lanes``.

    macs: of each layer. Three kinds: cycles' worth of lanes in issued iterations that had no work
    (padding of channels, rows and tiles), cycles in which a channel or memory stopped the array's
    kernel, and the rest: between its last iteration of a layer and its first of the next.
    """
    own = sorted((s for s in found.run.spans if s.kernel == ARRAY_KERNEL), key=lambda s: s.start)
    parts: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for layer, count in enumerate(macs):
        parts[PADDING][layer] = -count / lanes
    taken = 0
    for span in (span for span in own if span.frame == found.frame):
        parts[PADDING][span.layer] += span.busy
        taken += span.busy + sum(span.stalled.values())
        for name, cycles in span.stalled.items():
            parts[f"{ARRAY_KERNEL} stopped by {name}"][span.layer] += cycles
    for before, span in pairwise(own):
        if span.frame == found.frame:
            issued = before.busy + sum(before.stalled.values())
            parts[GAP][span.layer] += span.start - before.start - issued
    totals = {name: sum(by_layer.values()) for name, by_layer in parts.items()}
    # The gaps go from start to start; a frame's cycles from its last result to the next one's.
    totals[GAP] = found.cycles - taken
    named = [Loss(name, cycles, _worst(parts[name])) for name, cycles in totals.items() if cycles]
    return tuple(sorted(named, key=lambda loss: (-loss.cycles, loss.name)))


def _worst(by_layer: Mapping[int, float]) -> int:
    return max(by_layer, key=lambda layer: (by_layer[layer], -layer), default=0)
