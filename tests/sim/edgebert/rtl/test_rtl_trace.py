"""Traces that the simulations write on request."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from shiftforge.cli.unit import _trace_problems
from shiftforge.errors import InputError, ToolFailed
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.render import render
from shiftforge.sim.rtl import trace as traces
from shiftforge.sim.rtl.cocotb_run import build_for_cocotb, run_cocotb
from shiftforge.sim.rtl.trace import TraceKind, trace_build, trace_kind
from shiftforge.sim.rtl.verilator import build_model, simulation_failure

TOP = "tiny"
COUNTER = """module tiny (
  input logic clk_i
);
  logic [3:0] count_q;
  logic wraps;
  initial count_q = 4'd13;
  assign wraps = count_q == 4'd15;
  always_ff @(posedge clk_i) begin
    count_q <= count_q + 4'd1;
    if (count_q == 4'd2) $finish;
  end
endmodule
"""
TESTS = """import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles


@cocotb.test()
async def it_counts(dut):
    Clock(dut.clk_i, 2, "ns").start()
    await ClockCycles(dut.clk_i, 4)
"""


def build(kind: TraceKind | None) -> Path:
    main = render("edgebert/rtl/bench/main.cpp.j2", {"version": "0", "top": TOP})
    return build_model({"tiny.sv": COUNTER, "main.cpp": main}, TOP, trace=kind)


def changes(path: Path) -> dict[str, list[tuple[int, int]]]:
    """(time, value) of each signal of a VCD file."""
    head, body = path.read_text(encoding="ascii").split("$enddefinitions $end")
    names = dict(re.findall(r"\$var \w+ +\d+ (\S+) (\S+)", head))
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in names.values()}
    time = 0
    for line in body.split("\n"):
        if line.startswith("#"):
            time = int(line[1:])
        elif match := re.fullmatch(r"b([01]+) (\S+)|([01])(\S+)", line.strip()):
            name = names[match[2] or match[4]]
            found[name].append((time, int(match[1] or match[3], 2)))
    return found


def test_a_vcd_trace_holds_every_change(tmp_path: Path) -> None:
    path = tmp_path / "tiny.vcd"
    subprocess.run([build("vcd"), f"+trace={path}"], check=True, capture_output=True)
    found = changes(path)
    # Rising edges at odd times.
    assert found["count_q"] == [(0, 13), (1, 14), (3, 15), (5, 0), (7, 1), (9, 2), (11, 3)]
    assert found["wraps"] == [(0, 0), (3, 1), (5, 0)]
    assert found["clk_i"] == [(t, t % 2) for t in range(12)]


@pytest.mark.slow
def test_an_fst_trace_is_one(tmp_path: Path) -> None:
    path = tmp_path / "tiny.fst"
    subprocess.run([build("fst"), f"+trace={path}"], check=True, capture_output=True)
    data = path.read_bytes()
    # Header block: type 0, length, first and last time, e as the sample of byte order.
    kind, length, first, last = struct.unpack(">BQQQ", data[:25])
    assert (kind, length, first, last) == (0, 329, 0, 11)
    assert 2.718281828459045 in struct.unpack("<d", data[25:33]) + struct.unpack(">d", data[25:33])


def test_stand_ins_take_the_place_of_missing_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_links", lambda *_: False)
    without = trace_build("fst", "g++")
    assert [name for name, _ in without.headers] == ["lz4.h", "zlib.h"] and not without.libraries
    monkeypatch.setattr(traces, "_links", lambda *_: True)
    assert trace_build("fst", "g++").libraries == ("-llz4", "-lz")
    assert not trace_build("vcd", "g++").headers


def test_a_cocotb_run_is_traced(tmp_path: Path) -> None:
    (tmp_path / "cocotb_tiny.py").write_text(TESTS, encoding="utf-8")
    program = build_for_cocotb({"tiny.sv": COUNTER}, TOP, options=["--public-flat-rw"], trace="vcd")
    path = tmp_path / "wave.vcd"
    passed, _ = run_cocotb(program, UnitConfig(), "cocotb_tiny", [tmp_path], trace=path)
    assert passed == 1
    assert [value for _, value in changes(path)["count_q"]] == [14, 15, 0, 1]


def test_a_trace_is_refused_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "tiny.vcd"
    done = subprocess.run(
        [build(None), f"+trace={path}"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1 and "without traces" in done.stderr and not path.exists()
    assert trace_kind(path) == "vcd" and trace_kind(Path("a.FST")) == "fst"
    with pytest.raises(InputError, match=r"\.vcd or \.fst"):
        trace_kind(Path("trace.txt"))
    unwritable = [build("vcd"), f"+trace={tmp_path / 'no' / 'tiny.vcd'}"]
    done = subprocess.run(unwritable, check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "cannot write" in done.stderr


def test_a_trace_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    error = simulation_failure("the RTL did not finish", 1, "x\ncannot write /proc/x.vcd\n")
    assert isinstance(error, InputError) and error.problems[0].where == "/proc/x.vcd"
    assert isinstance(simulation_failure("the RTL failed", 127, "no such file"), ToolFailed)
    problems = _trace_problems(tmp_path / "missing" / "x.vcd")
    assert [problem.what for problem in problems] == ["its folder does not exist"]
