"""Yosys reads the whole unit and maps the vector multiply to Intel's logic cells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matmul_cases import small

from shiftforge.generator.edgebert.rtl import TOP, render_unit
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.rtl_files import compile_order

pytest.importorskip("pyosys")

SCRIPT = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def yosys(folder: Path, config: UnitConfig, commands: list[str]) -> None:
    """Runs in a process of its own: an error in Yosys ends the process."""
    reads = []
    files = render_unit(config)
    for name in compile_order(files):
        (folder / name).write_text(files[name], encoding="utf-8")
        reads.append(f"read_verilog -sv -DSYNTHESIS {name}")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *reads, *commands],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def cells(folder: Path, config: UnitConfig, top: str) -> dict[str, int]:
    yosys(
        folder,
        config,
        [f"synth_intel_alm -family cyclonev -top {top}", "tee -o stat.json stat -json"],
    )
    found = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
    counts: dict[str, int] = found["design"]["num_cells_by_type"]
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"weights": "shift", "terms": 2, "accumulator": "exact"}], ids=str
)
def test_the_whole_unit_elaborates(tmp_path: Path, changes: dict[str, Any]) -> None:
    yosys(tmp_path, small(4, **changes), [f"hierarchy -check -top {TOP}", "proc", "check -assert"])


@pytest.mark.slow
def test_shift_lanes_need_no_multiplier(tmp_path: Path) -> None:
    shift = cells(tmp_path, small(8, weights="shift"), "pu_vmac")
    assert sum(count for kind, count in shift.items() if "MUL" in kind) == 0
    af = cells(tmp_path, small(8, multipliers="blocks"), "pu_vmac")
    assert sum(count for kind, count in af.items() if "MUL" in kind) == 8


@pytest.mark.slow
@pytest.mark.parametrize("top", ["pu_post", "pu_mask_decoder", "pu_mask_encoder", "pu_acc"])
def test_the_blocks_synthesise(tmp_path: Path, top: str) -> None:
    assert cells(tmp_path, small(4), top)
