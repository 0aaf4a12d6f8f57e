"""The pipelined conversion to AF codes against golden, with bubbles and stalls."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sfu_cases import SLOW, planted, same, used
from sfu_model import Ports, SfuModel, build_with_files

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl_latency import TO_AF_LATENCY
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.sim.golden.edgebert.afcode import AfFormat, fixed_to_af
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=2)
FORMATS = [
    CONFIG,
    *(
        pytest.param(SfuConfig(lanes=2, af_bits=bits, exp_bits=exp), marks=SLOW)
        for bits, exp in ((8, 2), (7, 3), (6, 2), (5, 3), (4, 2))
    ),
]
PORTS = Ports(
    "to_af_probe",
    (("en", 1), ("valid", 1), ("fixed", 32), ("frac", 5), ("bias", 8)),
    (("code", 8), ("still", 1)),
)
# A code leaves in the cycle in which the stages move on; ``still`` falls where a code changed
# without a value.
PROBE = """module to_af_probe (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic en_i,
  input  logic valid_i,
  input  logic [31:0] fixed_i,
  input  logic [4:0] frac_i,
  input  logic [7:0] bias_i,
  output logic valid_o,
  output logic [7:0] code_o,
  output logic still_o
);
  logic valid, en_q;
  logic [BITS-1:0] code, last_q;
  pu_to_af u_dut (
    .clk_i(clk_i), .rst_ni(rst_ni), .en_i(en_i), .valid_i(valid_i), .fixed_i(fixed_i),
    .frac_i(frac_i), .bias_i(bias_i), .valid_o(valid), .code_o(code)
  );
  assign valid_o = valid && en_i;
  assign code_o = 8'(code);
  always_ff @(posedge clk_i) begin
    last_q <= code;
    en_q <= en_i;
    if (!rst_ni) still_o <= 1'b1;
    else if ((!valid || !en_q) && code != last_q) still_o <= 1'b0;
  end
endmodule
"""
FAULTS = {
    "a stage is left out": ("{5'd0, fours_q, ones}", "{5'd0, fours, ones}"),
    "half up": ("guard_q && (rest3_q || sig_q[0])", "guard_q"),
    "rest of the first shift is lost": ("below_q != '0 ||", ""),
    "largest value wraps": ("exponent_q == MaxExponent && carry", "1'b0"),
    "a tie at half the least": ("> {HalfLeast, 1'b0}", ">= {HalfLeast, 1'b0}"),
    "a wrong bubble": ("take3 = en_i && valid_q[1]", "take3 = en_i && valid_q[0]"),
    "moves in a stall": ("take2 = en_i && valid_q[0]", "take2 = valid_q[0]"),
}


def build(config: SfuConfig, replace: dict[str, str] | None = None) -> SfuModel:
    text = {**used(render_sfu(config), "pu_to_af"), **(replace or {})}
    text["to_af_probe.sv"] = PROBE.replace("BITS", str(config.af_bits))
    return build_with_files(text, PORTS)


def values() -> NDArray[np.int64]:
    """Each bit alone with what makes its roundings, ends of the range, and random ones."""
    rng = np.random.default_rng(3)
    bits = [1 << bit for bit in range(31)]
    near = [
        b + s * (b >> d) + e for b in bits for d in range(9) for s in (-1, 1) for e in (-1, 0, 1)
    ]
    sizes = (rng.integers(0, 1 << 31, 4000) >> rng.integers(0, 31, 4000)).tolist()
    found = np.array([0, (1 << 31) - 1, *near, *sizes], dtype=np.int64)
    found = found[np.abs(found) < 1 << 31]
    return np.concatenate([found, -found, [-(1 << 31)]])


def check(model: SfuModel, config: SfuConfig, frac: int, bias: int, seed: int) -> None:
    """A stream with bubbles and stalls; raises CheckFailed at the first wrong code."""
    rng = np.random.default_rng(seed)
    t = values()
    words = []
    for value in t.tolist():
        while rng.random() < 0.25:
            stalled, noise = int(rng.random() < 0.5), int(rng.integers(0, 1 << 32))
            # A stalled value is offered, and not taken.
            words.append({"en": 1 - stalled, "valid": stalled, "fixed": noise})
        words.append({"en": 1, "valid": 1, "fixed": value})
    words += [{"en": 1}] * TO_AF_LATENCY
    setting = {"frac": frac, "bias": bias}
    run = model.run([{**word, **setting} for word in words], drain=20)
    want = fixed_to_af(t, frac, bias, AfFormat(config.af_bits, config.exp_bits))
    same(np.array([r["code"] for r in run.outputs]), want.astype(np.int64))
    if not all(r["still"] for r in run.outputs):
        raise CheckFailed("a code changed without a value, or in a stall")


@pytest.mark.parametrize("config", FORMATS, ids=str)
def test_codes(config: SfuConfig) -> None:
    lint(used(render_sfu(config), "pu_to_af"), "pu_to_af")
    model = build(config)
    for seed, (frac, bias) in enumerate(
        [(10, -4), (0, 20), (31, -31), (16, -9), (5, 63), (8, -64)]
    ):
        check(model, config, frac, bias, seed)


def test_the_latency_is_the_stated_one() -> None:
    model = build(CONFIG)
    # With as many cycles as there are stages, and one, the code is seen; with fewer it is not.
    value = {"valid": 1, "fixed": 1 << 10, "frac": 10}
    for idle, seen in ((TO_AF_LATENCY, 1), (TO_AF_LATENCY - 1, 0)):
        run = model.run([{"en": 1, **value}, *[{"en": 1}] * idle], drain=20)
        assert len(run.outputs) == seen


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str) -> None:
    right, wrong = FAULTS[name]
    model = build(CONFIG, planted(("pu_to_af.sv", right, wrong), CONFIG))
    with pytest.raises(CheckFailed):
        for seed, (frac, bias) in enumerate([(10, -4), (16, -9)]):
            check(model, CONFIG, frac, bias, seed)
