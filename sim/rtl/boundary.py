"""A module with a register behind every port, so that place and route times what is between."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shiftforge.errors import ToolFailed
from shiftforge.scratch import work_folder
from shiftforge.sim.rtl.yosys import read_commands, run_yosys

__all__ = ["BOUNDARY", "Port", "module_ports", "registered_boundary"]

BOUNDARY = "boundary"
"""The name of the module."""
_PORT = re.compile(r"^(input|output|inout) \[(\d+):(\d+)\] (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Port:
    """direction: "input" or "output". width: bits, of all dimensions together."""

    name: str
    direction: str
    width: int


def module_ports(text: Mapping[str, str], sources: Sequence[str], top: str) -> list[Port]:
    """The ports of ``top`` as Yosys elaborates it. sources: the files to read, in this order.

    Raises ToolFailed where Yosys refuses the text or a port is neither input nor output.
    """
    with work_folder("ports") as folder:
        commands = [f"hierarchy -check -top {top}", f"tee -q -o ports.txt portlist {top}"]
        files = {name: text[name] for name in sources}
        run_yosys(folder, files, [*read_commands(sources), *commands], top)
        listed = (folder / "ports.txt").read_text(encoding="utf-8")
    found = [
        Port(name, kind, abs(int(high) - int(low)) + 1)
        for kind, high, low, name in _PORT.findall(listed)
    ]
    if not found or any(port.direction == "inout" for port in found):
        raise ToolFailed(f"the ports of {top} cannot be registered: {listed.strip()[-500:]}")
    return found


def registered_boundary(top: str, ports: Sequence[Port], clock: str) -> str:
    """SystemVerilog of BOUNDARY: ``top`` with a register at every port but the clock.

    The instance has the name of its module, with which names in a report begin. A module without
    a clock is timed between the registers alone.
    """
    heads, body, pins = [f"  input wire {clock}"], [], []
    for port in ports:
        if port.name == clock:
            pins.append(f".{clock}({clock})")
            continue
        name, bits = port.name, f"[{port.width - 1}:0]"
        heads.append(f"  {port.direction} wire {bits} {name}")
        # Kept: registers that hold the same, or that are constant, are a port's load all the same.
        body.append(f"  (* keep *) reg {bits} {name}_boundary;")
        if port.direction == "input":
            body.append(f"  always @(posedge {clock}) {name}_boundary <= {name};")
            pins.append(f".{name}({name}_boundary)")
        else:
            body.append(f"  wire {bits} {name}_inner;")
            body.append(f"  always @(posedge {clock}) {name}_boundary <= {name}_inner;")
            body.append(f"  assign {name} = {name}_boundary;")
            pins.append(f".{name}({name}_inner)")
    joined = ",\n".join(heads)
    wired = ",\n    ".join(pins)
    inner = f"  {top} {top} (\n    {wired}\n  );"
    return "\n".join([f"module {BOUNDARY} (", f"{joined}", ");", *body, inner, "endmodule", ""])
