"""Clocked runs that nobody ran: a few kernels whose books balance, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from shiftforge.sim.conv.clocked.run import ClockedRun, Span

CYCLES = (100, 150, 80)
REENTRY = 10
DRAIN = 20
STALLED = 12


def made_up(
    frames: int,
    cycles: Sequence[int] = CYCLES,
    extra: Callable[[int, int], int] = lambda frame, layer: 0,
    reentry: int = REENTRY,
) -> ClockedRun:
    """A loader that works on the first layer, conv and post on every layer, in turn.

    A layer takes its cycles, those of re-entry and extra(frame, layer). Of its first cycles, conv
    is stopped for ``STALLED``, by the memory in the first layer and by ``operand`` in others.
    """
    spans, ends, starts, now = [], [], [], 0
    for frame in range(frames):
        for layer, own in enumerate(cycles):
            begin = now + reentry
            end = begin + own + extra(frame, layer)
            if layer == 0:
                starts.append(now + 1)
                spans.append(Span(frame, layer, "loader", now, end - 1, 5))
            busy = end - begin - DRAIN - STALLED
            stopped = {"operand" if layer else "memory": STALLED}
            spans.append(Span(frame, layer, "conv", begin, end - 1, busy, stopped))
            spans.append(Span(frame, layer, "post", begin + 5, end, own // 2, {"acc": 7}))
            ends.append(end)
            now = end
    shape = (frames, len(cycles))
    return ClockedRun(
        tuple(spans), np.array(ends).reshape(shape), 0, np.array(starts),
        {"operand": 3, "acc": 1}, {"operand": 16, "acc": 4},
    )  # fmt: skip


def with_span(
    run: ClockedRun, frame: int, layer: int, kernel: str, /, **changes: Any
) -> ClockedRun:  # fmt: skip
    """The run with one span changed; without changes, left out."""
    key = (frame, layer, kernel)
    spans = []
    for span in run.spans:
        if (span.frame, span.layer, span.kernel) != key:
            spans.append(span)
        elif changes:
            spans.append(replace(span, **changes))
    return replace(run, spans=tuple(spans))


def with_end(run: ClockedRun, frame: int, layer: int, cycle: int) -> ClockedRun:
    """The run with one layer's end at another cycle."""
    ends = run.layer_ends.copy()
    ends[frame, layer] = cycle
    return replace(run, layer_ends=ends)
