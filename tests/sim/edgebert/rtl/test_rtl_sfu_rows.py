"""Softmax with the span mask, and entropy, of the RTL against golden."""

from __future__ import annotations

import pytest
import sfu_ports
from sfu_cases import SLOW, planted, used
from sfu_checks import check_entropy, check_softmax
from sfu_model import build_sfu
from sfu_streams import entropy_group, softmax_group

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
CONFIGS = [
    CONFIG,
    pytest.param(SfuConfig(lanes=2, fraction=6, af_bits=5, exp_bits=2), marks=SLOW),
    pytest.param(SfuConfig(lanes=16, fraction=16), marks=SLOW),
    pytest.param(SfuConfig(lanes=32, fraction=12, row=128), marks=SLOW),
]
FAULTS = {
    "span mask one column off": (
        "sfu_softmax.sv",
        "$signed({1'b0, column, 2'd0}) - 10'(i)",
        "$signed({1'b0, column, 2'd0}) - 10'(i) - 10'sd1",
    ),
    "span mask without the absolute value": (
        "sfu_softmax.sv",
        "apart_q[9] ? -apart_q[8:0]",
        "apart_q[9] ? apart_q[8:0]",
    ),
    "padding in the sum": ("sfu_exprow.sv", "(!mid_last || ending_q[i]) ? 32'", "1'b1 ? 32'"),
    "padding in the maximum": (
        "sfu_exprow.sv",
        "(!load_last_i || ending_q[i]) ? load",
        "1'b1 ? load",
    ),
    "logarithm left out": ("sfu_exprow.sv", ".log_i(out_log)", ".log_i(19'd0)"),
    "table one off": ("sfu_rom_exp2.sv", "case (index_i)", "case (index_i + 5'd1)"),
    "a stage dropped beside the lanes": (
        "sfu_exprow.sv",
        ".Stages(ExpStages)) u_mid_tag",
        ".Stages(ExpStages - 1)) u_mid_tag",
    ),
    "a stage dropped in a lane": (
        "sfu_exp_lane.sv",
        "if (take_i[3]) v_q <= floor + 21'(up);",
        "v_q = floor + 21'(up);",
    ),
    "a bubble that counts": (
        "sfu_exprow.sv",
        ".early_valid_i(sum_v[SumStages-1])",
        ".early_valid_i(1'b1)",
    ),
    "another row's logarithm": ("sfu_exprow.sv", ".raddr_i(late_at)", ".raddr_i(out_at_i)"),
    "another row's maximum": ("sfu_exprow.sv", ".raddr_i(sum_at_i)", ".raddr_i(sum_at_i ^ 4'd1)"),
    "a vector that follows compared with the maximum before both": (
        "sfu_running_max.sv",
        "above_q ? next_i > value_q : next_i > old_q",
        "next_i > old_q",
    ),
    "the maximum of two vectors before left out": (
        "sfu_running_max.sv",
        "if (from_at_hand_q) known_q",
        "if (1'b0) known_q",
    ),
    "the slot before": (
        "sfu_tiles.sv",
        "load_word_q <= fill_word",
        "load_word_q <= fill_word ^ '1",
    ),
}
QUICK = ("span mask one column off", "a bubble that counts", "another row's logarithm")


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_lint(config: SfuConfig) -> None:
    for top in ("sfu_exprow", "sfu_softmax", "sfu_entropy", "sfu_tiles"):
        lint(used(render_sfu(config), top), top)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_softmax(config: SfuConfig) -> None:
    model = build_sfu(config, sfu_ports.softmax(config))
    check_softmax(config, model, softmax_group(config, 60))


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=SLOW) for n in FAULTS])
def test_a_planted_fault_is_caught(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.softmax(CONFIG), planted(FAULTS[name], CONFIG))
    with pytest.raises(CheckFailed, match=r"softmax: .* row \d+, vector \d+, lane [0-3]: "):
        check_softmax(CONFIG, model, softmax_group(CONFIG, 60))


def test_a_pass_that_begins_too_early_is_caught() -> None:
    fault = ("sfu_tiles.sv", "(!sum_first || sum_some_q)", "(fill_tile_unused != '0)")
    model = build_sfu(CONFIG, sfu_ports.softmax(CONFIG), planted(fault, CONFIG))
    with pytest.raises(CheckFailed, match="a row too early"):
        check_softmax(CONFIG, model, softmax_group(CONFIG, 12))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_entropy_and_exit(config: SfuConfig) -> None:
    check_entropy(build_sfu(config, sfu_ports.entropy(config)), entropy_group(config, 80))


def test_a_strict_threshold_is_caught() -> None:
    fault = ("sfu_entropy.sv", "total_q <= threshold_i", "total_q < threshold_i")
    model = build_sfu(CONFIG, sfu_ports.entropy(CONFIG), planted(fault, CONFIG))
    with pytest.raises(CheckFailed, match=r"entropy: .* row \d+, vector 0, exit: 0, expected 1"):
        check_entropy(model, entropy_group(CONFIG, 80))


def test_every_fault_finds_its_text() -> None:
    for fault in FAULTS.values():
        planted(fault, CONFIG)
