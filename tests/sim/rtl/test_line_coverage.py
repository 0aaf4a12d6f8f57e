"""Coverage of lines: what Verilator writes, added up and told by module, and as LCOV."""

from __future__ import annotations

import pytest

from shiftforge.errors import CheckFailed
from shiftforge.sim.rtl.coverage import Coverage, Point, read_coverage


def line(file: str, at: int, kind: str, what: str, lines: str, count: int, path: str = "u") -> str:
    parts = {"f": file, "l": at, "n": 3, "t": kind, "page": "x", "o": what, "h": path}
    if lines:
        parts["S"] = lines
    return "C '" + "".join(f"\x01{k}\x02{v}" for k, v in parts.items()) + f"' {count}\n"


TEXT = "# SystemC::Coverage-3\n" + "".join(
    [
        line("a.sv", 4, "line", "block", "4,6-9", 10),
        line("a.sv", 4, "line", "block", "4,6-9", 5, "other instance"),
        line("a.sv", 6, "branch", "if", "7-8", 0),
        line("a.sv", 6, "branch", "else", "", 15),
        line("b.sv", 1, "branch", "if", "2", 3),
        line("b.sv", 1, "branch", "else", "", 0),
    ]
)


def test_points_are_read_and_instances_count_together() -> None:
    found = read_coverage(TEXT)
    assert found.counts[Point("a.sv", 4, 3, "line", "block", (4, 6, 7, 8, 9))] == 15
    a, b = found.modules()
    assert (a.module, a.points, a.reached, a.never, a.branches) == ("a", 3, 2, ("7-8",), ())
    assert (b.module, b.never, b.branches, b.share) == ("b", (), (1,), 0.5)
    # The innermost point tells how often a line ran.
    assert found.line_counts() == {"a.sv": {4: 15, 6: 15, 7: 0, 8: 0, 9: 15}, "b.sv": {2: 3}}


def test_runs_add_up_and_files_are_chosen() -> None:
    once = read_coverage(TEXT)
    later = read_coverage(line("a.sv", 6, "branch", "if", "7-8", 2))
    both = once + later + Coverage()
    assert [own.reached for own in both.modules()] == [3, 1]
    assert [own.module for own in both.only({"b.sv"}).modules()] == ["b"]
    assert once.counts == read_coverage(TEXT).counts


def test_as_lcov() -> None:
    told = read_coverage(TEXT).lcov("p/rtl").splitlines()
    assert told[:5] == ["SF:p/rtl/a.sv", "BRDA:6,0,0,15", "BRDA:6,0,1,0", "BRF:2", "BRH:1"]
    assert told[5:11] == ["DA:4,15", "DA:6,15", "DA:7,0", "DA:8,0", "DA:9,15", "LF:5"]
    assert told[11:13] == ["LH:3", "end_of_record"] and told[-1] == "end_of_record"


@pytest.mark.parametrize("text", ["", "nothing\n", line("a.sv", 0, "line", "block", "x", 1)])
def test_what_is_no_coverage_is_refused(text: str) -> None:
    with pytest.raises(CheckFailed, match="coverage"):
        read_coverage(text)
