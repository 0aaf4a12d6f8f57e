"""Whether the books of a clocked run balance: every place where they do not is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from shiftforge.sim.conv.clocked.run import ARRAY_KERNEL, MEMORY, ClockedRun, Span, stream_kernels

__all__ = ["Fault", "check_run"]


@dataclass(frozen=True)
class Fault:
    """place: such as "frame 1, layer 3, conv". what: does not hold there."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def check_run(run: ClockedRun, reentry: int = 0) -> list[Fault]:
    """Every fault of a run's figures.

    reentry: least cycles between a kernel's invocations. Shapes come first, alone: without them the
    rest means nothing. Then: layers end in their order; no frame begins after its first layer ends;
    a span's busy and stalled cycles fit into it; spans of a kernel follow each other; every kernel
    works on the same layers in every frame, conv on all; a layer ends while its kernels work on it;
    no channel holds more than its depth.
    """
    faults = list(_shapes(run))
    if faults:
        return faults
    faults += _ends(run)
    for span in run.spans:
        faults += _span(span, run)
    if faults:
        return faults
    return [*_kernels(run, reentry), *_covered(run), *_stores(run), *_channels(run)]


def _shapes(run: ClockedRun) -> Iterator[Fault]:
    shape = run.layer_ends.shape
    if len(shape) != 2 or 0 in shape:
        yield Fault("layer_ends", f"has the shape {shape}, not (frames, layers)")
    elif run.frame_starts.shape != shape[:1]:
        yield Fault("frame_starts", f"has the shape {run.frame_starts.shape}, not {shape[:1]}")
    for name, array in (("layer_ends", run.layer_ends), ("frame_starts", run.frame_starts)):
        if array.dtype.kind != "i":
            yield Fault(name, f"holds {array.dtype}, not integers")


def _ends(run: ClockedRun) -> Iterator[Fault]:
    for (frame, layer), cycles in _items(run):
        if cycles <= 0:
            end = int(run.layer_ends[frame, layer])
            yield Fault(
                f"frame {frame}, layer {layer}",
                f"ends at cycle {end:,}, the one before it at {end - cycles:,}",
            )
    before = run.first - 1
    for frame, start in enumerate(run.frame_starts.tolist()):
        end = int(run.layer_ends[frame, 0])
        if not before < start < end:
            yield Fault(
                f"frame {frame}",
                f"takes its image at cycle {start:,}, not after {before:,} and before {end:,}, "
                "where its first layer ends",
            )
        before = start


def _items(run: ClockedRun) -> Iterator[tuple[tuple[int, int], int]]:
    cycles = run.layer_cycles()
    for frame in range(run.frames):
        for layer in range(cycles.shape[1]):
            yield (frame, layer), int(cycles[frame, layer])


def _place(span: Span) -> str:
    return f"frame {span.frame}, layer {span.layer}, {span.kernel}"


def _span(span: Span, run: ClockedRun) -> Iterator[Fault]:
    place = _place(span)
    frames, layers = run.layer_ends.shape
    if not (0 <= span.frame < frames and 0 <= span.layer < layers):
        yield Fault(place, f"the run has {frames} frames of {layers} layers")
    if not run.first <= span.start < span.end:
        yield Fault(place, f"lasts from cycle {span.start:,} to {span.end:,}")
    if span.busy < 0 or any(cycles < 0 for cycles in span.stalled.values()):
        yield Fault(place, f"counts below 0: busy {span.busy}, stalled {dict(span.stalled)}")
    stalled, length = sum(span.stalled.values()), span.end - span.start
    if span.busy + stalled > length:
        what = f"busy {span.busy:,} and stalled {stalled:,} are more than its {length:,} cycles"
        yield Fault(place, what)
    for name in span.stalled:
        if name not in run.depths and name != MEMORY:
            yield Fault(place, f"stalled on {name!r}, which is no channel")


def _by_kernel(spans: Iterable[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        found[span.kernel].append(span)
    return {kernel: sorted(own, key=lambda s: s.start) for kernel, own in found.items()}


def _kernels(run: ClockedRun, reentry: int) -> Iterator[Fault]:
    for own in _by_kernel(run.spans).values():
        for one, two in pairwise(own):
            # Kernels without layers are one invocation: their spans only part the frames.
            least = 0 if one.kernel in stream_kernels(True) else reentry
            if two.start < one.end + least:
                more = f" and {least} cycles of re-entry" if least else ""
                what = f"begins at cycle {two.start:,}, before {_place(one)} ends at {one.end:,}"
                yield Fault(_place(two), what + more)
            elif (two.frame, two.layer) < (one.frame, one.layer):
                yield Fault(_place(two), f"comes after {_place(one)}")


def _covered(run: ClockedRun) -> Iterator[Fault]:
    frames, layers = run.layer_ends.shape
    kernels = _by_kernel(run.spans)
    if ARRAY_KERNEL not in kernels:
        yield Fault(ARRAY_KERNEL, "has no span at all")
    for kernel, own in kernels.items():
        found = {(span.frame, span.layer) for span in own}
        needed = {layer for _, layer in found}
        if kernel == ARRAY_KERNEL:
            needed = set(range(layers))
        for frame in range(frames):
            for layer in sorted(needed):
                if (frame, layer) not in found:
                    yield Fault(f"frame {frame}, layer {layer}, {kernel}", "has no span")


def _stores(run: ClockedRun) -> Iterator[Fault]:
    """A layer's last result is stored while a kernel works on the layer."""
    reach: dict[tuple[int, int], tuple[int, int]] = {}
    for span in run.spans:
        key = (span.frame, span.layer)
        low, high = reach.get(key, (span.start, span.end))
        reach[key] = (min(low, span.start), max(high, span.end))
    for key, (low, high) in reach.items():
        end = int(run.layer_ends[key])
        if not low < end <= high:
            what = f"ends at cycle {end:,}, its kernels work from {low:,} to {high:,}"
            yield Fault(f"frame {key[0]}, layer {key[1]}", what)


def _channels(run: ClockedRun) -> Iterator[Fault]:
    for name in sorted(set(run.depths) | set(run.high_water)):
        depth, most = run.depths.get(name), run.high_water.get(name)
        if depth is None or most is None:
            yield Fault(f"channel {name}", f"has the depth {depth} and the high-water mark {most}")
        elif not 0 <= most <= depth or depth < 1:
            yield Fault(f"channel {name}", f"held {most} words, its depth is {depth}")
