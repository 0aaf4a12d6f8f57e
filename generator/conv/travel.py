"""Which maps travel through global memory, where strips alone do not fit.

The largest maps go first: as few as needed. Every layer that reads or writes one then runs in
rounds, so that rows come and go while others are computed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from shiftforge.errors import InputError
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.cutter import Cutter
from shiftforge.generator.conv.maps import stored_maps
from shiftforge.generator.conv.network import Network
from shiftforge.generator.conv.plan import Plan
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.segments import Segment
from shiftforge.generator.conv.steps import Step
from shiftforge.generator.conv.through import Span, read_rows, span_of

__all__ = ["travelling_plan"]

# How near the most lines that fit are found: the more, the fewer rounds.
_CLOSE = 0.05
# Rows of a map below which it does not travel: its strips could not be told apart.
_LEAST_ROWS = 4


def travelling_plan(
    network: Network, array: ArrayShape, planned: Callable[..., Plan],
    fits: Callable[[Plan], bool],
) -> Plan | None:  # fmt: skip
    """The plan with the fewest maps in global memory that fits; None where there is none.

    planned: makes a plan from ``segments``, ``through`` and ``tight``. fits: whether a plan does.
    """
    maps = _candidates(network, array)
    counts = [1]
    while counts[-1] < len(maps):
        counts.append(min(2 * counts[-1], len(maps)))
    fewer, found = 0, None
    for count in counts if maps else []:
        found = _within(network, array, _tensors(maps[:count]), planned, fits)
        if found is not None:
            break
        fewer = count
    if found is None:
        return None
    while count - fewer > 1:
        middle = (fewer + count) // 2
        other = _within(network, array, _tensors(maps[:middle]), planned, fits)
        if other is None:
            fewer = middle
        else:
            count, found = middle, other
    return found


def _tensors(maps: Sequence[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*maps)


def _candidates(network: Network, array: ArrayShape) -> list[frozenset[str]]:
    """Maps that may travel, the largest first, each with the tensors that lie in it: those that are
    made and read row by row, all of what is made."""
    layers, scheduled = network.layers, network.scheduled
    lines = {own.name: own.lines for own in stored_maps(scheduled, array)}
    lying: dict[str, set[str]] = defaultdict(set)
    made: list[Span] = []
    read: list[Span] = []
    whole = {scheduled.root(scheduled.image.name)}
    for layer in layers:
        taken = (layer.input, *(() if layer.skip is None else (layer.skip,)))
        spans = [span_of(own.name, own.shape, scheduled, array) for own in (layer.result, *taken)]
        for own, span in zip((layer.result, *taken), spans, strict=True):
            lying[span.root] |= {span.root, own.name}
        made.append(spans[0])
        read += spans[1:]
        if not _by_rows(layer):
            whole |= {span.root for span in spans}
        if layer.result.height < _LEAST_ROWS:
            whole.add(spans[0].root)
    whole |= {own.root for own in made if not any(own.meets(other) for other in read)}
    found = [root for root in lying if root in lines and root not in whole]
    return [frozenset(lying[root]) for root in sorted(found, key=lambda name: -lines[name])]


def _by_rows(layer: Layer) -> bool:
    """Whether a layer can run in strips of rows."""
    leaves = layer.direct or layer.exported
    whole = layer.pool is not None or layer.enlarge is not None
    return not whole and not (leaves and layer.mode == "depthwise")


def _within(
    network: Network, array: ArrayShape, through: frozenset[str], planned: Callable[..., Plan],
    fits: Callable[[Plan], bool],
) -> Plan | None:  # fmt: skip
    """The plan with the most lines of maps that fits; None where even the fewest do not."""
    cutter = Cutter(network, array, through)
    row_room, best = cutter.row_rooms()[0], None
    low, high = -1, sum(lines for lines, _, _ in cutter.alive) + _largest(network, array)
    while high - low > max(1, _CLOSE * high):
        middle = (low + high) // 2
        plan = _plan(network, cutter, middle, row_room, planned)
        if plan is None:
            low = middle
        elif fits(plan):
            best, low = plan, middle
        else:
            high = middle
    return best


def _largest(network: Network, array: ArrayShape) -> int:
    """Lines of the network's largest map, and as many of its rows."""
    return 2 * max(own.lines for own in stored_maps(network.scheduled, array))


def _plan(
    network: Network, cutter: Cutter, room: int, row_room: int, planned: Callable[..., Plan]
) -> Plan | None:
    found = cutter.cut(room, row_room)
    if found is None:
        return None
    inner = {network.layers[i].result.name for own in found[1] for i in range(own.first, own.last)}
    through = cutter.through - inner
    segments = _mended(network, cutter, found[1], through)
    try:
        return planned(segments=segments, through=through, tight=True)
    except InputError:
        return None


def _mended(
    network: Network, cutter: Cutter, segments: Sequence[Segment], through: frozenset[str]
) -> tuple[Segment, ...]:
    """Segments whose last round makes no row that the segment after it reads first: that one is
    fetched while it runs."""
    layers, found = network.layers, list(segments)
    for n, (own, after) in enumerate(pairwise(segments)):
        reader = layers[after.first]
        if after.first != own.last + 1 or layers[own.last].result.name not in through:
            continue
        step = Step(after.first, 0, after.ends[0], after.ends[0] == reader.out_shape[1])
        rows = read_rows(reader, cutter.tilings[after.first], step, through)
        needed = max((one.end for one in rows if one.tensor == reader.input.name), default=0)
        if own.ends[-2] < needed < own.ends[-1]:
            found[n] = replace(own, ends=(*own.ends[:-1], needed, own.ends[-1]))
    return tuple(found)
