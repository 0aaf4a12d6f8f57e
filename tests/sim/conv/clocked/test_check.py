"""The books of a clocked run: every planted fault is seen and its place named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from clocked_cases import REENTRY, made_up, with_end, with_span

from shiftforge.sim.conv.clocked.check import check_run
from shiftforge.sim.conv.clocked.run import ClockedRun

RUN = made_up(3)


def span_of(frame: int, layer: int, kernel: str) -> tuple[int, int]:
    (found,) = [s for s in RUN.spans if (s.frame, s.layer, s.kernel) == (frame, layer, kernel)]
    return found.start, found.end


def test_a_sound_run_has_no_fault() -> None:
    assert check_run(RUN) == []
    assert check_run(RUN, REENTRY) == []


def test_its_layers_add_up_to_its_frames() -> None:
    assert RUN.layer_cycles().tolist() == [[110, 160, 90]] * 3
    assert RUN.periods().tolist() == [360] * 3


def late(run: ClockedRun) -> ClockedRun:
    return with_end(run, 1, 1, int(run.layer_ends[1, 0]) - 5)


FAULTS: list[tuple[str, Callable[[ClockedRun], ClockedRun], str, str]] = [
    ("a layer ends before the one in front", late, "frame 1, layer 1", "the one before it at"),
    ("a layer takes no cycle", lambda r: with_end(r, 2, 0, int(r.layer_ends[1, 2])),
     "frame 2, layer 0", "ends at cycle 720, the one before it at 720"),
    ("an image is taken before the run begins", lambda r: replace(r, first=5),
     "frame 0", "takes its image at cycle 1"),
    ("images out of order", lambda r: replace(r, frame_starts=r.frame_starts[[0, 2, 1]]),
     "frame 2", "takes its image"),
    ("an image after its layer", lambda r: replace(r, frame_starts=r.frame_starts + 200),
     "frame 0", "where its first layer ends"),
    ("spans overlap", lambda r: with_span(r, 1, 1, "conv", start=span_of(1, 0, "conv")[1] - 1),
     "frame 1, layer 1, conv", "before frame 1, layer 0, conv ends"),
    ("a span in front of another frame's",
     lambda r: with_span(with_span(r, 0, 2, "conv", frame=1), 1, 2, "conv", frame=0),
     "frame 0, layer 2, conv", "comes after frame 1"),
    ("sums beyond the span", lambda r: with_span(r, 2, 1, "conv", stalled={"operand": 51}),
     "frame 2, layer 1, conv", "busy 118 and stalled 51 are more than its 149 cycles"),
    ("busy below 0", lambda r: with_span(r, 0, 0, "post", busy=-1),
     "frame 0, layer 0, post", "below 0"),
    ("stalled below 0", lambda r: with_span(r, 0, 0, "post", stalled={"acc": -1}),
     "frame 0, layer 0, post", "below 0"),
    ("a stop by what is no channel", lambda r: with_span(r, 0, 1, "post", stalled={"ack": 1}),
     "frame 0, layer 1, post", "'ack', which is no channel"),
    ("a span that ends as it begins", lambda r: with_span(r, 0, 1, "post", end=0),
     "frame 0, layer 1, post", "lasts from"),
    ("a layer that is none", lambda r: with_span(r, 0, 2, "post", layer=3),
     "frame 0, layer 3, post", "3 frames of 3 layers"),
    ("a frame that is none", lambda r: with_span(r, 2, 2, "post", frame=3),
     "frame 3, layer 2, post", "3 frames of 3 layers"),
    ("a span left out", lambda r: with_span(r, 1, 2, "conv"),
     "frame 1, layer 2, conv", "has no span"),
    ("one of a kernel that need not have it", lambda r: with_span(r, 2, 0, "loader"),
     "frame 2, layer 0, loader", "has no span"),
    ("no array", lambda r: replace(r, spans=tuple(s for s in r.spans if s.kernel != "conv")),
     "conv", "has no span at all"),
    ("a result stored after everything ended", lambda r: with_end(r, 1, 0, 475),
     "frame 1, layer 0", "ends at cycle 475, its kernels work from 360 to 470"),
    ("a channel overfull", lambda r: replace(r, high_water={"operand": 17, "acc": 1}),
     "channel operand", "held 17 words, its depth is 16"),
    ("a channel without a mark", lambda r: replace(r, high_water={"operand": 16}),
     "channel acc", "the high-water mark None"),
    ("a mark without a channel", lambda r: replace(r, high_water={**r.high_water, "x": 1}),
     "channel x", "the depth None"),
    ("ends of the wrong shape", lambda r: replace(r, layer_ends=r.layer_ends[0]),
     "layer_ends", "(3,), not (frames, layers)"),
    ("starts of the wrong shape", lambda r: replace(r, frame_starts=r.frame_starts[:2]),
     "frame_starts", "(2,), not (3,)"),
    ("times that are no integers", lambda r: replace(r, layer_ends=r.layer_ends.astype(float)),
     "layer_ends", "float64"),
    ("no frame", lambda r: replace(r, layer_ends=np.zeros((0, 3), np.int64)),
     "layer_ends", "(0, 3)"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "place", "told"), [f[1:] for f in FAULTS], ids=[
    f[0] for f in FAULTS
])  # fmt: skip
def test_a_planted_fault_is_located(
    plant: Callable[[ClockedRun], ClockedRun], place: str, told: str
) -> None:
    faults = check_run(plant(RUN))
    assert any(fault.place == place and told in fault.what for fault in faults), faults


def test_re_entry_is_asked_for() -> None:
    faults = check_run(RUN, REENTRY + 2)
    assert faults
    assert {fault.place.split(", ")[-1] for fault in faults} == {"conv"}
    assert "12 cycles of re-entry" in faults[0].what
