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
        "$signed({1'b0, row_first}) - 10'(i)",
        "$signed({1'b0, row_first}) - 10'(i) - 10'sd1",
    ),
    "span mask without the absolute value": (
        "sfu_softmax.sv",
        "apart[9] ? -apart[8:0]",
        "apart[9] ? apart[8:0]",
    ),
    "padding in the sum": ("sfu_exprow.sv", " && keep_o[i]) part", ") part"),
    "padding in the maximum": ("sfu_exprow.sv", "(keep[i] && $signed", "(1'b1 && $signed"),
    "logarithm left out": ("sfu_exprow.sv", "if (log_valid) offset_q <= log;", ""),
    "table one off": ("sfu_rom_exp2.sv", "case (index_i)", "case (index_i + 5'd1)"),
}
QUICK = ("span mask one column off",)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_lint(config: SfuConfig) -> None:
    for top in ("sfu_softmax", "sfu_entropy"):
        lint(used(render_sfu(config), top), top)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_softmax(config: SfuConfig) -> None:
    model = build_sfu(config, sfu_ports.softmax(config))
    check_softmax(config, model, softmax_group(config, 60))
    check_softmax(config, model, softmax_group(config, 30), pause=9)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=SLOW) for n in FAULTS])
def test_a_planted_fault_is_caught(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.softmax(CONFIG), planted(FAULTS[name], CONFIG))
    with pytest.raises(CheckFailed, match=r"softmax: .* row \d+, vector \d+, lane [0-3]: "):
        check_softmax(CONFIG, model, softmax_group(CONFIG, 12))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_entropy_and_exit(config: SfuConfig) -> None:
    check_entropy(build_sfu(config, sfu_ports.entropy(config)), entropy_group(config, 80))


def test_a_strict_threshold_is_caught() -> None:
    fault = ("sfu_entropy.sv", "entropy <= threshold2_q", "entropy < threshold2_q")
    model = build_sfu(CONFIG, sfu_ports.entropy(CONFIG), planted(fault, CONFIG))
    with pytest.raises(CheckFailed, match=r"entropy: .* row \d+, vector 0, exit: 0, expected 1"):
        check_entropy(model, entropy_group(CONFIG, 80))


def test_every_fault_finds_its_text() -> None:
    for fault in FAULTS.values():
        planted(fault, CONFIG)
