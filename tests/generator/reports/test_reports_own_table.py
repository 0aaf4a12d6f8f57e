"""The table that the rules make of a text is one that a report can be held against."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from aoc_reports import Kernel, Row, project, script

from shiftforge.generator.reports.compare import compare_report
from shiftforge.generator.reports.ours import read_ours
from shiftforge.generator.reports.read import read_report
from shiftforge.generator.rules.pipeline.table import loop_table, to_json

TEXT = """\
int sum(__global const int *restrict in, int n) {
  int s = 0;
  for (int i = 0; i < n; ++i) {
    s += in[i];
  }
  return s;
}
__kernel __attribute__((max_global_work_dim(0)))
void both(__global const int *restrict in, __global int *restrict out, int n) {
  for (int k = 0; k < 4; ++k) {
    out[k] = sum(in, n) + sum(in, 2 * n);
  }
}
"""


def rows(table: list[dict[str, Any]]) -> tuple[Row, ...]:
    """A report's rows that say what a table of one nest says."""
    outer, *inner = table
    assert [row["depth"] for row in table] == [0, *[1] * len(inner)]
    below = tuple(Row(row["line"], interval(row)) for row in inner)
    return (Row(outer["line"], interval(outer), inside=below),)


def interval(row: dict[str, Any]) -> str:
    if row["ii"] is None:
        return "n/a"
    return f"{'>=' if row['at_least'] else ''}{row['ii']}"


def test_a_report_that_says_what_the_rules_say(tmp_path: Path) -> None:
    table = json.loads(to_json(loop_table(TEXT)))
    assert [(row["kernel"], row["line"]) for row in table] == [("both", n) for n in (10, 3, 3)]
    ours = read_ours(project(tmp_path / "p", table))
    assert [loop.line for loop in ours.loops] == [10, 3, 3]
    path = tmp_path / "report_data.js"
    (nest,) = rows(table)
    for form in ("B0", "B", "C"):
        path.write_text(script(form, [Kernel("both", (nest,))]))
        assert compare_report(ours, read_report(path)).differences == ()
        slow = replace(nest, inside=(nest.inside[0], Row(3, "7")))
        path.write_text(script(form, [Kernel("both", (slow,))]))
        found = compare_report(ours, read_report(path))
        assert [(d.kernel, d.loop, d.worse) for d in found.differences] == [("both", "sum:3", True)]
