"""Running Yosys from its wheel: scripts of commands, in a process of their own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from shiftforge.errors import InputError, Problem, ToolFailed
from shiftforge.scratch import check_room
from shiftforge.tools import run_tool

__all__ = ["read_commands", "require_yosys", "run_yosys", "yosys_version"]

SCRIPT = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def require_yosys() -> None:
    """Raise InputError where Yosys is not installed."""
    if importlib.util.find_spec("pyosys") is None:
        raise InputError(Problem("Yosys is not installed", "pip install 'pyosys>=0.70'", "pyosys"))


def yosys_version() -> str:
    """Of the installed wheel."""
    return importlib.metadata.version("pyosys")


def read_commands(sources: Sequence[str], leave_out: Sequence[str] = ()) -> list[str]:
    """Commands that read files, in their order; of modules left out the ports alone."""
    return [
        f"read_verilog -sv {'-lib' if name.removesuffix('.sv') in leave_out else '-DSYNTHESIS'} "
        f"{name}"
        for name in sources
    ]


def run_yosys(folder: Path, text: Mapping[str, str], commands: Sequence[str], top: str) -> None:
    """Write the files into the folder and run the commands there.

    In a process of its own: an error in Yosys ends the process. Raises ToolFailed with the end of
    what it said where it refuses ``top``.
    """
    for file, data in text.items():
        (folder / file).write_text(data, encoding="utf-8")
    done = run_tool([sys.executable, "-c", SCRIPT, *commands], folder=folder)
    if done.returncode != 0:
        check_room(folder)
        raise ToolFailed(f"Yosys refused {top}: {(done.stdout + done.stderr)[-2000:]}")
