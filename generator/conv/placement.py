"""Placement rules for intervals in time: give each a base so that none overlap while alive.

The first rule is the asymmetric double buffer: in order of birth, each item goes to the end of the
array opposite to the one before it, against that end or against what is still alive there. It
reaches the bound on chains, and on chains with residuals that skip a few items. Where it does not,
greedy rules over the whole lifetimes are tried and the smallest result is taken; finding the
optimum is NP-hard (dynamic storage allocation) and not attempted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Item", "Placement", "place"]

# Choices tried before _two_ends gives up at one array size. A chain needs one per item.
_TRIES = 4000


@dataclass(frozen=True)
class Item:
    """Something of ``lines`` lines that is alive over the steps [born, dies], or over the spans of
    them that are told."""

    lines: int
    born: int
    dies: int
    spans: tuple[tuple[int, int], ...] = ()

    def meets(self, other: Item) -> bool:
        """Whether both are alive at some step."""
        if self.born > other.dies or other.born > self.dies:
            return False
        if not (self.spans or other.spans):
            return True
        mine, theirs = (
            self.spans or ((self.born, self.dies),),
            other.spans or ((other.born, other.dies),),
        )
        i = j = 0
        while i < len(mine) and j < len(theirs):
            if mine[i][0] <= theirs[j][1] and theirs[j][0] <= mine[i][1]:
                return True
            if mine[i][1] < theirs[j][1]:
                i += 1
            else:
                j += 1
        return False


@dataclass(frozen=True)
class Placement:
    """bases: one a item, in the items' order. total: lines used. rule: the rule's name."""

    bases: tuple[int, ...]
    total: int
    rule: str


def place(items: Sequence[Item], bound: int) -> Placement:
    """The smallest placement that the rules find; ``bound`` (a lower bound) ends the search."""
    alternating = _two_ends(items, bound)
    if alternating is not None:
        return Placement(tuple(alternating), bound, "two ends")
    found = [_greedy(items, name, key, fit) for name, key in _ORDERS for fit in (False, True)]
    best = min(found, key=lambda p: p.total)  # the first of equals: a fixed result
    # Between the bound and the greedy result, opposite ends may still fit; a few sizes are tried.
    step = max(1, (best.total - bound) // 16)
    for size in range(bound + step, best.total, step):
        alternating = _two_ends(items, size)
        if alternating is not None:
            return Placement(tuple(alternating), size, "two ends")
    return best


def _gaps(
    items: Sequence[Item], bases: dict[int, int], new: Item, size: int
) -> list[tuple[int, int]]:
    """Free spans [low, high) of the array over the whole life of ``new``, lowest first."""
    taken = sorted(
        (base, base + items[i].lines) for i, base in bases.items() if items[i].meets(new)
    )
    gaps = []
    low = 0
    for start, end in taken:
        if start > low:
            gaps.append((low, start))
        low = max(low, end)
    if low < size:
        gaps.append((low, size))
    return gaps


def _two_ends(items: Sequence[Item], size: int) -> list[int] | None:
    """Bases within ``size`` lines, found by placing each item at an end of the free space.

    The preferred end alternates. When a later item does not fit, the latest choice is revised:
    first the other end, then the edges of the gaps between.
    """
    order = sorted(range(len(items)), key=lambda i: items[i].born)
    bases: dict[int, int] = {}
    untried: list[list[tuple[int, bool]]] = []  # one list an item placed, next choice last
    from_top: list[bool] = []
    tries = 0
    while len(untried) < len(order):
        new = items[order[len(untried)]]
        untried.append(
            _choices(
                _gaps(items, bases, new, size),
                new.lines,
                top_first=bool(from_top) and not from_top[-1],
            )
        )
        while not untried[-1]:
            untried.pop()
            if not untried:
                return None
            from_top.pop()
            del bases[order[len(untried) - 1]]
        tries += 1
        if tries > _TRIES:
            return None
        base, top = untried[-1].pop()
        bases[order[len(untried) - 1]] = base
        from_top.append(top)
    return [bases[i] for i in range(len(items))]


def _choices(
    gaps: Sequence[tuple[int, int]], lines: int, top_first: bool
) -> list[tuple[int, bool]]:
    """Bases worth trying and whether they lie at a gap's top, the preferred one last."""
    fitting = [g for g in gaps if g[1] - g[0] >= lines]
    lows = [(g[0], False) for g in fitting]
    highs = [(g[1] - lines, True) for g in reversed(fitting)]
    near, far = (highs, lows) if top_first else (lows, highs)
    ranked = near[:1] + far[:1] + near[1:] + far[1:]
    return ranked[::-1]


_ORDERS: tuple[tuple[str, Callable[[Item], tuple[int, ...]]], ...] = (
    ("largest first", lambda i: (-i.lines, i.born)),
    ("longest-lived first", lambda i: (i.born - i.dies, -i.lines)),
    ("largest area first", lambda i: (-i.lines * (i.dies - i.born + 1), i.born)),
    ("earliest first", lambda i: (i.born, -i.lines)),
)


def _greedy(
    items: Sequence[Item], name: str, key: Callable[[Item], tuple[int, ...]], best_fit: bool
) -> Placement:
    """Items in one order, each in the first free gap, or in the tightest."""
    endless = sum(i.lines for i in items)
    bases: dict[int, int] = {}
    for index in sorted(range(len(items)), key=lambda i: key(items[i])):
        new = items[index]
        gaps = [g for g in _gaps(items, bases, new, endless) if g[1] - g[0] >= new.lines]
        bases[index] = (min(gaps, key=lambda g: g[1] - g[0]) if best_fit else gaps[0])[0]
    total = max((base + items[i].lines for i, base in bases.items()), default=0)
    rule = f"{name}, {'best' if best_fit else 'first'} fit"
    return Placement(tuple(bases[i] for i in range(len(items))), total, rule)
