"""The trace events of a clocked run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clocked_cases import made_up

from shiftforge.sim.conv.clocked.timeline import is_timeline, timeline_text

NAMES = ("stem", "block.1", "head")
RUN = made_up(3)


def events() -> list[dict[str, Any]]:
    text = timeline_text(RUN, NAMES, 250.0, "a project")
    document = json.loads(text)
    assert document["otherData"]["cycle_us"] == 0.004
    found: list[dict[str, Any]] = document["traceEvents"]
    return found


def test_a_track_a_kernel_and_a_slice_a_layer() -> None:
    found = events()
    names = {e["tid"]: e["args"]["name"] for e in found if e["name"] == "thread_name"}
    tracks = ["frames (counted)", "layers (counted)", "loader", "conv", "post"]
    assert [names[number] for number in sorted(names)] == tracks
    slices = [e for e in found if e["ph"] == "X" and names[e["tid"]] in tracks[2:]]
    assert len(slices) == len(RUN.spans)
    for event, span in zip(slices, RUN.spans, strict=True):
        assert event["name"] == NAMES[span.layer]
        assert names[event["tid"]] == span.kernel
        assert round(event["ts"] * 250) == span.start
        assert round((event["ts"] + event["dur"]) * 250) == span.end
        assert event["args"]["busy"] == span.busy
    assert any("stopped by operand" in event["args"] for event in slices)


def test_layers_and_frames_follow_each_other_without_a_gap() -> None:
    for track, count in ((0, 3), (1, 9)):
        own = [e for e in events() if e["ph"] == "X" and e["tid"] == track]
        assert len(own) == count
        assert round(sum(e["dur"] for e in own) * 250) == RUN.layer_ends[-1, -1]
    layers = [e for e in events() if e["ph"] == "X" and e["tid"] == 1]
    assert [e["args"]["cycles"] for e in layers] == [110, 160, 90] * 3


def test_counters_tell_what_stopped_a_kernel() -> None:
    found = [e for e in events() if e["ph"] == "C"]
    assert {e["name"] for e in found} == {"conv stopped, percent", "post stopped, percent"}
    conv = [e for e in found if e["name"].startswith("conv")]
    assert all(set(e["args"]) == {"operand", "memory"} for e in conv)
    assert conv[0]["args"] == {"memory": round(1200 / 99, 2), "operand": 0}
    assert conv[1]["args"] == {"memory": 0, "operand": 0}
    assert [e["ts"] for e in conv] == sorted(e["ts"] for e in conv)


def test_it_is_known_again(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    assert not is_timeline(path)
    path.write_text(timeline_text(RUN, NAMES, 250.0, "a project"))
    assert is_timeline(path)
    path.write_text("{}")
    assert not is_timeline(path)
    assert not is_timeline(tmp_path)
