"""A clocked run as trace events, which https://ui.perfetto.dev and chrome://tracing show.

The format is the JSON of Chrome's trace events ("Trace Event Format", complete events ``X``,
counters ``C`` and metadata ``M``). One cycle is 1 / clock microseconds. A track a kernel holds a
slice a layer; two tracks above them hold the frames and the layers as they are counted. A counter a
kernel shows which share of each slice's cycles it was stopped, by channel.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from shiftforge import __version__
from shiftforge.sim.conv.clocked.run import ClockedRun, Span

__all__ = ["is_timeline", "timeline_text"]

_BEGIN = '{"otherData": {"generator": "ShiftForge'
_PROCESS = 1
_COUNTED = ("frames (counted)", "layers (counted)")


def is_timeline(path: Path) -> bool:
    """Whether an existing file is a timeline, and so may be replaced by another."""
    try:
        with open(path, "rb") as stream:
            return stream.read(len(_BEGIN)) == _BEGIN.encode()
    except OSError:
        return False


def timeline_text(run: ClockedRun, layers: Sequence[str], clock_mhz: float, title: str) -> str:
    """The whole file, identical for identical input.

    layers: the name of each column of ``run.layer_ends``. title: of the process in the viewer.
    """
    kernels = list(dict.fromkeys(span.kernel for span in run.spans))
    tracks = {name: number for number, name in enumerate((*_COUNTED, *kernels))}
    events = chain(
        _names(tracks, title),
        _counted(run, layers, clock_mhz),
        chain.from_iterable(_slice(s, layers, clock_mhz, tracks) for s in run.spans),
        chain.from_iterable(_stops(run, kernel, clock_mhz) for kernel in kernels),
    )
    document = {
        "otherData": {
            "generator": f"ShiftForge {__version__}",
            "clock_mhz": clock_mhz,
            "cycle_us": 1 / clock_mhz,
        },
        "displayTimeUnit": "ns",
        "traceEvents": list(events),
    }
    return json.dumps(document) + "\n"


def _names(tracks: dict[str, int], title: str) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "pid": _PROCESS, "name": "process_name", "args": {"name": title}}
    for name, number in tracks.items():
        track = {"ph": "M", "pid": _PROCESS, "tid": number}
        yield {**track, "name": "thread_name", "args": {"name": name}}
        yield {**track, "name": "thread_sort_index", "args": {"sort_index": number}}


def _time(cycle: int, clock_mhz: float) -> float:
    """Microseconds, to the nearest picosecond."""
    return round(cycle / clock_mhz, 6)


def _event(name: str, track: int, start: int, end: int, clock_mhz: float) -> dict[str, Any]:
    begin = _time(start, clock_mhz)
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": track,
        "name": name,
        "ts": begin,
        "dur": round(_time(end, clock_mhz) - begin, 6),
    }


def _counted(run: ClockedRun, layers: Sequence[str], clock_mhz: float) -> Iterator[dict[str, Any]]:
    start = run.first
    for frame, ends in enumerate(run.layer_ends.tolist()):
        yield _event(f"frame {frame}", 0, start, ends[-1], clock_mhz)
        for name, end in zip(layers, ends, strict=True):
            args = {"frame": frame, "cycles": end - start}
            yield {**_event(name, 1, start, end, clock_mhz), "args": args}
            start = end


def _slice(
    span: Span, layers: Sequence[str], clock_mhz: float, tracks: dict[str, int]
) -> Iterator[dict[str, Any]]:
    name, track = layers[span.layer], tracks[span.kernel]
    args = {"frame": span.frame, "cycles": span.end - span.start, "busy": span.busy}
    stalled = {f"stopped by {key}": value for key, value in span.stalled.items() if value}
    yield {
        **_event(name, track, span.start, span.end, clock_mhz),
        "args": {**args, **stalled},
    }


def _stops(run: ClockedRun, kernel: str, clock_mhz: float) -> Iterator[dict[str, Any]]:
    """The counter of a kernel: percent of a slice's cycles by channel, 0 between slices."""
    own = sorted((s for s in run.spans if s.kernel == kernel), key=lambda s: s.start)
    names = sorted({name for span in own for name, cycles in span.stalled.items() if cycles})
    if not names:
        return
    counter = {"ph": "C", "pid": _PROCESS, "name": f"{kernel} stopped, percent"}
    for number, span in enumerate(own):
        length = span.end - span.start
        share = {name: round(100 * span.stalled.get(name, 0) / length, 2) for name in names}
        yield {**counter, "ts": _time(span.start, clock_mhz), "args": share}
        if number + 1 == len(own) or own[number + 1].start > span.end:
            yield {**counter, "ts": _time(span.end, clock_mhz), "args": dict.fromkeys(names, 0)}
