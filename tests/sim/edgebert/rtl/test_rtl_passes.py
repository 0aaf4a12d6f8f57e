"""Products of two activations on shift lanes: mantissa-term passes, from the lane to the array."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matmul_cases import small
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.edgebert.rtl import render_unit
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.golden.edgebert.afcode import AfFormat, signed_value
from shiftforge.sim.golden.edgebert.mac import af_product, passes, shift_product
from shiftforge.sim.rtl.cocotb_run import build_bench, run_cocotb
from shiftforge.sim.rtl.verilator import build_model

HERE = [Path(__file__).parent]
SLOW = pytest.mark.slow
ONE: dict[str, Any] = {"weights": "shift"}
TWO: dict[str, Any] = {"weights": "shift", "terms": 2}

LANE = """
module lane_bench (
  input  logic clk_i,
  input  logic [{a_top}:0] a_i,
  input  logic [{b_top}:0] b_i,
  input  logic codes_i,
  input  logic [2:0] pass_i,
  output logic signed [63:0] product_o
);
  logic [{a_bits}:0] a, b;
  logic signed [{product_top}:0] product;
  pu_af_decode u_a (
    .code_i(a_i), .sign_o(a[{a_bits}]), .exp_o(a[{a_bits}-1:{sig}]), .sig_o(a[{sig}-1:0])
  );
  {lane}
  assign product_o = 64'(product);
endmodule
"""
SHIFT_LANE = """assign b = '0;
  pu_lane u_lane (
    .clk_i(clk_i), .en_i(3'b111), .a_i(a), .b_i(b_i), .codes_i(codes_i), .pass_i(pass_i),
    .product_o(product)
  );"""
AF_LANE = """pu_af_decode u_b (
    .code_i(b_i), .sign_o(b[{a_bits}]), .exp_o(b[{a_bits}-1:{sig}]), .sig_o(b[{sig}-1:0])
  );
  pu_lane u_lane (.clk_i(clk_i), .en_i(3'b111), .a_i(a), .b_i(b), .product_o(product));"""
# Arguments: bits of A, bits of B, codes_i, passes. Result: 64-bit products [pass][a][b].
MAIN = """
#include <cstdio>
#include <cstdlib>
#include "Vtop.h"
int main(int, char** argv) {
  Vtop top;
  top.codes_i = std::atoi(argv[3]);
  for (int p = 0; p < std::atoi(argv[4]); p++)
    for (int a = 0; a < 1 << std::atoi(argv[1]); a++)
      for (int b = 0; b < 1 << std::atoi(argv[2]); b++) {
        top.pass_i = p;
        top.a_i = a;
        top.b_i = b;
        for (int edge = 0; edge < 6; edge++) {
          top.clk_i = edge & 1;
          top.eval();
        }
        std::fwrite(&top.product_o, 8, 1, stdout);
      }
  return 0;
}
double sc_time_stamp() { return 0; }
"""


def build_lane(config: UnitConfig, faulty: Mapping[str, str] | None = None) -> Path:
    fields = {
        "a_top": config.af_bits - 1,
        "b_top": config.b_bits - 1,
        "a_bits": config.af_bits,
        "sig": config.man_bits + 1,
        "product_top": config.product_bits - 1,
    }
    lane = SHIFT_LANE if config.takes_codes else AF_LANE.format(**fields)
    unit = {**render_unit(config), **(faulty or {})}
    text = {name: unit[name] for name in ("pu_af_decode.sv", "pu_lane.sv")}
    text |= {"lane_bench.sv": LANE.format(lane=lane, **fields), "main.cpp": MAIN}
    return build_model(text, "lane_bench", options=["--prefix", "Vtop"])


def products(program: Path, config: UnitConfig, coded: bool) -> NDArray[np.int64]:
    """(passes, codes of A, codes of B): every pair of codes."""
    bits = config.af_bits if coded else config.weight_bits
    count = config.passes if coded else 1
    arguments = [str(v) for v in (config.af_bits, bits, int(coded), count)]
    done = subprocess.run([str(program), *arguments], capture_output=True, check=True)
    shape = (count, 2**config.af_bits, 2**bits)
    return np.frombuffer(done.stdout, dtype=np.int64).reshape(shape)


def check_lane(program: Path, config: UnitConfig) -> None:
    """Each pass of each pair of AF codes, and each weight, against golden."""
    fmt = AfFormat(config.af_bits, config.exp_bits)
    codes = np.arange(2**config.af_bits)
    planes = passes(signed_value(codes, fmt), codes, config.terms, fmt)
    found = products(program, config, True)
    assert len(found) == len(planes) == config.passes
    for part, plane in zip(found, planes, strict=True):
        if not np.array_equal(part, signed_value(codes, fmt)[:, None] * plane):
            raise CheckFailed("a pass differs")
    assert np.array_equal(found.sum(axis=0), af_product(codes[:, None], codes, fmt))
    weights = np.arange(2**config.weight_bits)
    expected = shift_product(codes[:, None], weights, config.terms, fmt)
    assert np.array_equal(products(program, config, False)[0], expected)


@pytest.mark.parametrize(
    "changes",
    [
        ONE,
        TWO,
        pytest.param({**TWO, "exp_bits": 2}, marks=SLOW),
        pytest.param({**ONE, "exp_bits": 4}, marks=SLOW),
        pytest.param({**TWO, "af_bits": 5}, marks=SLOW),
    ],
    ids=str,
)
def test_every_pair_of_codes_in_every_pass(changes: dict[str, Any]) -> None:
    config = small(2, **changes)
    check_lane(build_lane(config), config)


def test_the_passes_add_up_to_the_multiplier() -> None:
    af, shift = small(2), small(2, **ONE)
    whole = products(build_lane(af), af, True)[0]
    assert whole.size == 65536
    assert np.array_equal(products(build_lane(shift), shift, True).sum(axis=0), whole)


@pytest.mark.parametrize(
    ("lanes", "changes"),
    [
        (2, ONE),
        pytest.param(4, TWO, marks=SLOW),
        pytest.param(4, {**ONE, "accumulator": "exact"}, marks=SLOW),
        pytest.param(8, {**TWO, "af_bits": 5, "exp_bits": 2}, marks=SLOW),
    ],
)
def test_array(lanes: int, changes: dict[str, Any]) -> None:
    config = small(lanes, **changes)
    assert run_cocotb(build_bench(config, "array_bench"), config, "cocotb_array", HERE)[0] == 8


@pytest.mark.parametrize("lanes", [pytest.param(n, marks=SLOW) for n in (2, 4, 8)])
def test_decoders(lanes: int) -> None:
    config = small(lanes, **ONE)
    assert run_cocotb(build_bench(config, "codec_bench"), config, "cocotb_repeat", HERE)[0] == 40


@SLOW
def test_decoder_of_whole_bytes() -> None:
    config = small(4, **TWO)
    assert run_cocotb(build_bench(config, "codec_bench"), config, "cocotb_repeat", HERE)[0] == 40


# name: (file, text of the design, text of the fault, bench)
FAULTS = {
    "shift amount off by one": (
        "pu_lane.sv",
        "codes_i ? place0[2:0]",
        "codes_i ? place0[2:0] + 3'd1",
        "lane",
    ),
    "sign of one operand": ("pu_lane.sv", "codes_i ? b_sign", "codes_i ? 1'b0", "lane"),
    "hidden one in every pass": (
        "pu_lane.sv",
        "b_wide[place0]",
        "(b_wide[place0] | b_sig[4])",
        "lane",
    ),
    "pass order swapped": (
        "pu_array.sv",
        "pass1_q <= pass_q;",
        "pass1_q <= passes_i - 3'd1 - pass_q;",
        "array",
    ),
    "cleared before each pass": (
        "pu_array.sv",
        "first_q[1] <= k_q == '0 && pass_q == 3'd0;",
        "first_q[1] <= k_q == '0;",
        "array",
    ),
    "out after each pass": (
        "pu_array.sv",
        "last_q[1] <= last_k && last_pass;",
        "last_q[1] <= last_k;",
        "array",
    ),
    "a bubble that counts": (
        "pu_array.sv",
        "valid_q <= {valid_q[Stages-1:1], fire};",
        "valid_q <= {valid_q[Stages-1:1], tile_valid_q};",
        "array",
    ),
    "checkpoint not restored": (
        "pu_mask_decoder.sv",
        "more2_q ? kept_q :",
        "(more2_q && 1'b0) ? kept_q :",
        "codec",
    ),
    "part restart dropped": (
        "pu_mask_decoder.sv",
        "fresh_q <= part_end;",
        "fresh_q <= 1'b0;",
        "codec",
    ),
    "part forgotten by a pass": (
        "pu_mask_decoder.sv",
        "part_left_q <= part_left_q + (RowWidth+1)'(Back);",
        "part_left_q <= part_left_q - 1'b1;",
        "codec",
    ),
    "done in the first pass": (
        "pu_mask_decoder.sv",
        "last1_q <= ending;",
        "last1_q <= left_q == One;",
        "codec",
    ),
    "bytes read as nibbles": (
        "pu_mask_decoder.sv",
        "if (wide_i) element",
        "if (1'b0) element",
        "codec",
    ),
}
QUICK = ("shift amount off by one",)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=SLOW) for n in FAULTS])
def test_a_planted_fault_is_caught(name: str) -> None:
    path, right, wrong, bench = FAULTS[name]
    config = small(4 if bench == "codec" else 2, **ONE)
    text = render_unit(config)[path]
    assert text.count(right) == 1
    faulty = {path: text.replace(right, wrong)}
    if bench == "lane":
        with pytest.raises(CheckFailed, match="a pass differs"):
            check_lane(build_lane(config, faulty), config)
        return
    module = {"array": "cocotb_array", "codec": "cocotb_repeat"}[bench]
    program = build_bench(config, f"{bench}_bench", replace=faulty)
    with pytest.raises(CheckFailed, match="cocotb tests failed"):
        run_cocotb(program, config, module, HERE)


def test_widths_of_a_unit_with_and_without_passes() -> None:
    for terms, product, plain in ((1, 24, 19), (2, 24, 20)):
        config = UnitConfig(weights="shift", terms=terms)
        without = UnitConfig(weights="shift", terms=terms, attention="none")
        assert (config.product_bits, without.product_bits) == (product, plain)
        assert (config.passes, without.passes) == (-(-5 // terms), 1)
        assert (config.b_bits, without.b_bits) == (8, 4 * terms)


@pytest.mark.parametrize("terms", [1, 2])
@pytest.mark.parametrize(("bits", "exp_bits"), [(8, 2), (8, 3), (8, 4), (5, 2), (5, 3), (4, 2)])
def test_widths_hold_every_pass_and_need_every_bit(terms: int, bits: int, exp_bits: int) -> None:
    """By listing all codes, not from the width formulas."""
    fmt, codes = AfFormat(bits, exp_bits), np.arange(2**bits)
    values = signed_value(codes, fmt)
    most = max(int(np.abs(plane).max()) for plane in passes(values, codes, terms, fmt))
    most = int(values.max()) * max(most, terms * 64)
    config = UnitConfig(
        weights="shift", terms=terms, af_bits=bits, exp_bits=exp_bits, accumulator="exact"
    )
    assert config.product_bits == most.bit_length() + 1
    assert config.longest * int(values.max()) ** 2 < 2 ** (config.acc_bits - 1)
    exponents = [(code >> config.man_bits) % 2**exp_bits for code in codes.tolist()]
    own = max(config.man_bits + max(exponents), 6) if terms == 1 else max(exponents)
    assert (max(exponents) + own).bit_length() == config.lane_shift_bits


def test_an_unknown_kind_of_attention_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        UnitConfig(weights="shift", attention="multiplier")  # type: ignore[arg-type]
    assert [problem.where for problem in caught.value.problems] == ["attention"]
