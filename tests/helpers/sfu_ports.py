"""The ports of the special function unit's modules, for the benches."""

from __future__ import annotations

from sfu_model import Ports

from shiftforge.generator.edgebert.rtl_latency import EXP2_STAGES
from shiftforge.generator.edgebert.sfu import SLOT_BITS, SfuConfig

EXP2 = Ports("sfu_exp2_probe", (("valid", 1), ("v", 21)), (("exp", 23),))
LOG2 = Ports("sfu_log2", (("valid", 1), ("sum", 32)), (("log", 19),))
# The lane has no valid flag: a wrapper of the bench adds one.
EXP2_PROBE = f"""module sfu_exp2_probe (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic valid_i,
  input  logic [20:0] v_i,
  output logic valid_o,
  output logic [22:0] exp_o
);
  logic [{EXP2_STAGES - 1}:0] v_q;
  always_ff @(posedge clk_i) v_q <= rst_ni ? {{v_q[{EXP2_STAGES - 2}:0], valid_i}} : '0;
  assign valid_o = v_q[{EXP2_STAGES - 1}];
  sfu_exp2 u_exp2 (
    .clk_i(clk_i), .take_i({{v_q[{EXP2_STAGES - 2}:0], valid_i}}), .v_i(v_i), .exp_o(exp_o)
  );
endmodule
"""


def gelu(config: SfuConfig) -> Ports:
    bits = 32 * config.lanes
    return Ports("sfu_gelu", (("valid", 1), ("data", bits)), (("data", bits),))


def add(config: SfuConfig) -> Ports:
    bits = config.af_bits * config.lanes
    biases = (("a_bias", 7), ("b_bias", 7), ("out_bias", 7))
    return Ports("sfu_add", (("valid", 1), ("a", bits), ("b", bits), *biases), (("code", bits),))


def _tiles(config: SfuConfig, bits: int) -> tuple[tuple[str, int], ...]:
    """Inputs of every bench of rows, the settings of its tile buffer first."""
    return (
        ("set", 1),
        ("len", bits + 1),
        ("last_row", config.lanes.bit_length() - 1),
        ("slots", SLOT_BITS + 1),
        ("pause", 4),
        ("in_valid", 1),
        ("in_data", 32 * config.lanes),
    )


def softmax(config: SfuConfig) -> Ports:
    bits = config.row.bit_length() - 1
    return Ports(
        "sfu_softmax_rows",
        (
            ("mask_we", 1),
            ("mask_addr", bits),
            ("mask_data", 9),
            ("query", bits),
            ("out_bias", 7),
            *_tiles(config, bits),
        ),
        (("out_last", 1), ("out_code", config.af_bits * config.lanes)),
        ready=("in_valid", "in_ready_o"),
        valid="out_valid_o",
    )


def entropy(config: SfuConfig) -> Ports:
    bits = config.row.bit_length() - 1
    return Ports(
        "sfu_entropy_rows",
        (("threshold", 32), *_tiles(config, bits)),
        (("exit", 1), ("entropy", 32)),
        ready=("in_valid", "in_ready_o"),
    )


def layernorm(config: SfuConfig) -> Ports:
    bits, n = config.norm_row.bit_length() - 1, config.lanes
    return Ports(
        "sfu_layernorm_rows",
        (
            ("param_we", 1),
            ("param_addr", bits - n.bit_length() + 1),
            ("gamma", 16 * n),
            ("beta", 32 * n),
            ("recip", 25),
            ("len_bits", 4),
            ("root", 16),
            ("root_shift", 3),
            ("epsilon", 32),
            ("gamma_frac", 4),
            ("from_code", 1),
            ("in_bias", 7),
            ("out_bias", 7),
            *_tiles(config, bits),
        ),
        (("out_last", 1), ("out_data", 32 * n), ("out_code", config.af_bits * n)),
        ready=("in_valid", "in_ready_o"),
        valid="out_valid_o",
    )


def dvfs(config: SfuConfig) -> Ports:
    rows = config.predictor_rows.bit_length() - 1
    return Ports(
        "sfu_dvfs",
        (
            ("layer_we", 1),
            ("layer_addr", rows),
            ("layer_data", 8),
            ("point_we", 1),
            ("point_addr", 4),
            ("point_data", 16),
            ("rows", rows + 1),
            ("points", 5),
            ("layers", 8),
            ("layer_cycles", 32),
            ("scale", 32),
            ("start", 1),
            ("entropy", 32),
            ("threshold", 32),
            ("left", 41),
        ),
        (("layer", 8), ("point", 4), ("late", 1)),
        ready=("start", "ready_o"),
    )
