"""Layer norm of the RTL against golden."""

from __future__ import annotations

import pytest
import sfu_ports
from sfu_cases import SLOW, planted, used
from sfu_checks import check_norm
from sfu_model import build_sfu
from sfu_streams import norm_groups

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
CONFIGS = [
    CONFIG,
    pytest.param(SfuConfig(lanes=2, fraction=6, af_bits=5, exp_bits=2), marks=SLOW),
    pytest.param(SfuConfig(lanes=16, fraction=16), marks=SLOW),
    pytest.param(SfuConfig(lanes=32, fraction=12, norm_row=4096), marks=SLOW),
]
FAULTS = {
    "gamma and beta exchanged": (
        "sfu_layernorm.sv",
        ".wdata_i(gamma_i)",
        ".wdata_i(beta_i[1:0])",
    ),
    "table one off": ("sfu_rom_rsqrt0.sv", "case (index_i)", "case (index_i + 5'd1)"),
    "parity of the exponent": (
        "sfu_root.sv",
        "base1_q <= odd_q ?",
        "base1_q <= !odd_q ?",
    ),
    "padding in the mean": ("sfu_layernorm.sv", "keep ? { {5", "1'b1 ? { {5"),
    "padding in the squares": ("sfu_layernorm.sv", "(!mid_last || ending_q[i]) ?", "1'b1 ?"),
    "epsilon unscaled": ("sfu_root.sv", "{1'b0, block_i, 1'b0}), .value_o", "6'd0), .value_o"),
    "a stage dropped beside the lanes": (
        "sfu_layernorm.sv",
        ".Stages(Levels + 1)) u_sum_tag",
        ".Stages(Levels)) u_sum_tag",
    ),
    "the block exponent a cycle early": (
        "sfu_layernorm.sv",
        ".block_i(out_block_q)",
        ".block_i(out_block)",
    ),
    "a bubble that counts": (
        "sfu_layernorm.sv",
        ".early_valid_i(load_v[LoadStages-1])",
        ".early_valid_i(1'b1)",
    ),
    "another row's mean": ("sfu_layernorm.sv", ".raddr_i(out_at_i)", ".raddr_i(out_at_i ^ 4'd1)"),
    "another row's factor": ("sfu_layernorm.sv", ".raddr_i(late_at)", ".raddr_i(out_at_i)"),
}
QUICK = ("a bubble that counts",)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_lint(config: SfuConfig) -> None:
    lint(used(render_sfu(config), "sfu_layernorm"), "sfu_layernorm")


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_layer_norm(config: SfuConfig) -> None:
    model = build_sfu(config, sfu_ports.layernorm(config))
    check_norm(config, model, norm_groups(config, [2, 3, config.lanes, 33, 63, 64], 12))
    check_norm(config, model, norm_groups(config, [768, config.norm_row], 4))


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=SLOW) for n in FAULTS])
def test_a_planted_fault_is_caught(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.layernorm(CONFIG), planted(FAULTS[name], CONFIG))
    place = r"layer norm: .* row \d+, vector \d+, value of lane [0-3]: "
    with pytest.raises(CheckFailed, match=place):
        check_norm(CONFIG, model, norm_groups(CONFIG, [33, 64], 6))


def test_every_fault_finds_its_text() -> None:
    for fault in FAULTS.values():
        planted(fault, CONFIG)
