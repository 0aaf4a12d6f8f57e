"""The steady state of a clocked run: what one frame takes among many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shiftforge.errors import CheckFailed
from shiftforge.sim.conv.clocked.check import check_run
from shiftforge.sim.conv.clocked.run import ClockedRun, Span

__all__ = ["FIRST_FRAMES", "MOST_FRAMES", "SteadyFrame", "steady"]

FIRST_FRAMES, MOST_FRAMES = 3, 8
_FAULTS_SHOWN = 5


@dataclass(frozen=True, eq=False)
class SteadyFrame:
    """A run, and the frame of it that stands for all.

    frame: its number. steady: whether an earlier one took the same cycles in every layer; where
    none did, frame is the run's last. All figures are that frame's; cycles in all of them.
    """

    run: ClockedRun
    frame: int
    steady: bool

    @property
    def layers(self) -> tuple[int, ...]:
        """Cycles of each layer; they add up to ``cycles``."""
        return tuple(self.run.layer_cycles()[self.frame].tolist())

    @property
    def cycles(self) -> int:
        """The frame's period: from the end of the frame before to its own."""
        return int(self.run.periods()[self.frame])

    @property
    def latency(self) -> int:
        """Of frame 0, before which there is none: first beat of the image to last result."""
        return int(self.run.layer_ends[0, -1] - self.run.frame_starts[0])

    @property
    def spans(self) -> tuple[Span, ...]:
        """Of the frame, in the order of the run."""
        return tuple(span for span in self.run.spans if span.frame == self.frame)

    @property
    def busy(self) -> dict[str, int]:
        """Iterations issued, by kernel."""
        found: dict[str, int] = defaultdict(int)
        for span in self.spans:
            found[span.kernel] += span.busy
        return dict(found)

    @property
    def stalls(self) -> dict[str, dict[str, int]]:
        """Stalled cycles by kernel and by what it waited for, most first; without zeros."""
        found: dict[str, dict[str, int]] = {kernel: defaultdict(int) for kernel in self.busy}
        for span in self.spans:
            for name, cycles in span.stalled.items():
                found[span.kernel][name] += cycles
        return {
            kernel: dict(sorted(((n, c) for n, c in own.items() if c), key=lambda x: (-x[1], x[0])))
            for kernel, own in found.items()
        }


def steady(
    run: Callable[[int], ClockedRun],
    *,
    first: int = FIRST_FRAMES,
    most: int = MOST_FRAMES,
    reentry: int = 0,
) -> SteadyFrame:
    """The steady-state frame: frames are added until two successive ones agree in every layer.

    Where none do, any two that agree: frames that come back in turn.

    run: makes a run of so many frames. Frame 0 finds everything empty and is none of the two. The
    last frame has no frame behind it and may be faster; then the two before it agree. first: frames
    to begin with, at least 3; most: to end with, whether two agree or not. Raises CheckFailed where
    a run's figures contradict each other.
    """
    frames = max(first, FIRST_FRAMES)
    while True:
        found = run(frames)
        faults = check_run(found, reentry)
        if faults:
            more = f", and {len(faults) - _FAULTS_SHOWN} more" * (len(faults) > _FAULTS_SHOWN)
            told = "; ".join(map(str, faults[:_FAULTS_SHOWN]))
            raise CheckFailed(f"the clocked run's figures contradict each other: {told}{more}")
        if found.frames != frames:
            raise CheckFailed(f"the clocked run has {found.frames} frames, {frames} were asked for")
        cycles = found.layer_cycles()
        for frame in range(frames - 1, 1, -1):
            if np.array_equal(cycles[frame], cycles[frame - 1]):
                return SteadyFrame(found, frame, True)
        if frames >= most:
            # Frames may come back in turn: how far the feeder is ahead goes from one to the next.
            for frame in range(frames - 1, 1, -1):
                if any(np.array_equal(cycles[frame], other) for other in cycles[1:frame]):
                    return SteadyFrame(found, frame, True)
            return SteadyFrame(found, frames - 1, False)
        frames += 1
