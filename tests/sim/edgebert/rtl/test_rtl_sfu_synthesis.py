"""Yosys reads and elaborates every module of the special function unit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sfu_cases import used

from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig

pytest.importorskip("pyosys")

SCRIPT = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""
TOPS = ("gelu", "add", "tiles", "exprow", "softmax", "decode", "layernorm", "entropy", "dvfs")


@pytest.mark.slow
@pytest.mark.parametrize("top", TOPS)
def test_a_function_elaborates(tmp_path: Path, top: str) -> None:
    commands = []
    for name, text in used(render_sfu(SfuConfig(lanes=4)), f"sfu_{top}").items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        commands.append(f"read_verilog -sv -DSYNTHESIS {name}")
    commands += [f"hierarchy -check -top sfu_{top}", "proc", "check -assert"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
