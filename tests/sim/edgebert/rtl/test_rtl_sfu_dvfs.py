"""Predicted exit layer and choice of the voltage/frequency point of the RTL against golden."""

from __future__ import annotations

import pytest
import sfu_ports
from sfu_cases import SLOW, planted, used
from sfu_checks import check_dvfs
from sfu_model import build_sfu
from sfu_streams import dvfs_groups

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
FAULTS = {
    "row one off": ("sfu_dvfs.sv", "? product_q[30:24]", "? product_q[30:24] + 7'd1"),
    "equal is late": ("sfu_dvfs.sv", "reach >= 57", "reach > 57"),
    "layer 1 counted again": ("sfu_dvfs.sv", "layer_q - 8'd1", "layer_q"),
}


def test_lint() -> None:
    for config in (CONFIG, SfuConfig(predictor_rows=1024)):
        lint(used(render_sfu(config), "sfu_dvfs"), "sfu_dvfs")


def test_layer_and_point() -> None:
    check_dvfs(build_sfu(CONFIG, sfu_ports.dvfs(CONFIG)), dvfs_groups(CONFIG, 40))


@SLOW
def test_layer_and_point_of_a_large_table() -> None:
    config = SfuConfig(predictor_rows=1024)
    check_dvfs(build_sfu(config, sfu_ports.dvfs(config)), dvfs_groups(config, 60))


@pytest.mark.parametrize(
    "name", [n if n == "row one off" else pytest.param(n, marks=SLOW) for n in FAULTS]
)
def test_a_planted_fault_is_caught(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.dvfs(CONFIG), planted(FAULTS[name], CONFIG))
    with pytest.raises(CheckFailed, match=r"dvfs: .* row \d+, vector 0, (layer|point|late): "):
        check_dvfs(model, dvfs_groups(CONFIG, 12))


def test_every_fault_finds_its_text() -> None:
    for fault in FAULTS.values():
        planted(fault, CONFIG)
