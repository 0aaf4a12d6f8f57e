"""Faults planted in the rendered RTL: each has to change a result."""

from __future__ import annotations

import pytest
from matmul_cases import Case, build, random_case, run_case, small, tie_case

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.rtl import render_bench, render_unit
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.rtl import matmul_cosim

CONFIG = small(2)

# name: (file, text of the design, text of the fault)
FAULTS = {
    "wrong exponent add": (
        "pu_lane.sv",
        "shift_q <= {1'b0, a_exp} + {1'b0, b_exp}",
        "shift_q <= {1'b0, a_exp} | {1'b0, b_exp}",
    ),
    "missing hidden one": ("pu_af_decode.sv", "sig_o = {nonzero,", "sig_o = {1'b0 & nonzero,"),
    "hidden one on zero": ("pu_af_decode.sv", "sig_o = {nonzero,", "sig_o = {1'b1 | nonzero,"),
    "sign of one operand": ("pu_lane.sv", "a_sign ^ b_sign", "a_sign | b_sign"),
    "dropped mask bit": (
        "pu_mask_decoder.sv",
        "mask2_q <= mask_rdata_i[row1_q[2:0]];",
        "mask2_q <= mask_rdata_i[row1_q[2:0]] & ((row1_q[2:0] == 3'd5) ? 2'b01 : 2'b11);",
    ),
    "shift off by one": ("pu_post.sv", "6'd63 : size[5:0];", "6'd63 : size[5:0] - 6'd1;"),
    "ties away from even": ("pu_post.sv", "guard1 && (rest1 || bits1[0])", "guard1"),
    "left shift wraps": ("pu_post.sv", "value2_q <= over ?", "value2_q <= (over && 1'b0) ?"),
    "narrow accumulator": (
        "pu_acc.sv",
        "value_d = wide[31:0];",
        "value_d = 32'($signed(wide[23:0]));",
    ),
    "accumulator not cleared": ("pu_acc.sv", "first_i ? 32'sd0", "(first_i && 1'b0) ? 32'sd0"),
    "accumulator wraps": ("pu_acc.sv", "if (wide[32:31] !=", "if (1'b0 && wide[32:31] !="),
    "bias wraps": ("pu_post.sv", "if (biased[32] != biased[31])", "if (1'b0 && biased[32])"),
    "rows exchanged": ("pu_array.sv", "row_at_q[1] <= row_q;", "row_at_q[1] <= ~row_q;"),
    "largest value wraps": ("pu_to_af.sv", "exponent_q > MaxExponent", "exponent_q > 10'sd8"),
    "a stale operand after a vector of zeros": (
        "pu_vmac.sv",
        "assign go = valid_i && nonzero_i;",
        "assign go = valid_i;",
    ),
    "a sum of zeros is left out": ("pu_vmac.sv", "(valid_i && needed_i)", "(valid_i && 1'b0)"),
    "a dropped stage of the tree": (
        "pu_vmac.sv",
        "valid_o = told_q[Levels+2]",
        "valid_o = told_q[Levels+1]",
    ),
    "a dropped stage of a lane": (
        "pu_lane.sv",
        "<<< shift2_q",
        "<<< shift_q",
    ),
    "a stage that waits for the next row": (
        "pu_vmac.sv",
        "go_q <= {go_q[Levels+1:0], go};",
        "go_q <= {go_q[Levels+1:1], go_q[0] && go, go};",
    ),
    "a tile that changes a cycle early": (
        "pu_array.sv",
        "swap_q[1] && fill_nz_q[c]) tile_q",
        "swap_q[0] && fill_nz_q[c]) tile_q",
    ),
    "a tile of zeros that hides the next": (
        "pu_array.sv",
        "tile_nz = swap_q[1] ? fill_nz_q : tile_nz_q",
        "tile_nz = tile_nz_q",
    ),
    "a clock that starts behind the shifts": (
        "pu_matmul.sv",
        "next_valid || row_valid || posting_q != '0",
        "posting_q[7:1] != '0",
    ),
    "shifts read a row late": ("pu_matmul.sv", "b == 4 ? next_valid", "b == 4 ? row_valid"),
    "parameters of the wrong column": (
        "pu_matmul.sv",
        ": row_tag[TileWidth-2:0];",
        ": row_tag[TileWidth-2:0] ^ 8'd1;",
    ),
}
PLACE = (
    r"first in row tile \d+, column tile \d+, row \d+, lane \d+: 0x"
    r"|row tile \d+ of the result: masks and descriptor disagree"
)
QUICK = (
    "wrong exponent add",
    "dropped mask bit",
    "a clock that starts behind the shifts",
    "narrow accumulator",
)


def cases(config: UnitConfig) -> list[Case]:
    return [
        random_case(config, 5, 160, 7, 1),
        random_case(config, 6, 9, 5, 2),
        random_case(config, 3, 2, 40, 3, density=1.0),
        tie_case(config),
    ]


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAULTS]
)
def test_a_planted_fault_is_caught(name: str) -> None:
    path, right, wrong = FAULTS[name]
    text = render_unit(CONFIG)[path]
    assert text.count(right) == 1
    program = build(CONFIG, {path: text.replace(right, wrong)})
    with pytest.raises(CheckFailed, match=PLACE):
        for case in cases(CONFIG):
            run_case(program, CONFIG, case)


@pytest.mark.parametrize("name", ["shift off by one", "missing hidden one"])
def test_a_planted_fault_is_told_with_its_cycle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, right, wrong = FAULTS[name]
    text = render_unit(CONFIG)[path].replace(right, wrong)
    monkeypatch.setattr(matmul_cosim, "build_matmul", lambda *_, **__: build(CONFIG, {path: text}))
    report = matmul_cosim.cosim_matmul(CONFIG, (13, 30, 9))
    told = report.divergence
    assert report.mismatches and told is not None
    assert (told["stage"], told["command"], told["start"]) == ("dense product", "product", 0)
    assert (told["row"] // 2, told["column"] // 2) == (told["row_tile"], told["column_tile"])
    assert told["lane"] == told["column"] % 2 and told["rtl"] != told["golden"]
    # Not before its row tile, and those before it, were computed.
    rows_before = 15 * 5 * 2 * told["row_tile"]
    assert rows_before < told["cycle"] < told["end"] < report.cycles
    assert f"in golden; written in cycle {told['cycle']:,} (command product: 0" in report.first


def test_every_fault_finds_its_text() -> None:
    text = render_unit(CONFIG)
    for path, right, wrong in FAULTS.values():
        assert text[path].count(right) == 1 and right != wrong


def test_without_a_fault_the_same_cases_pass() -> None:
    program = build(CONFIG)
    for case in cases(CONFIG):
        run_case(program, CONFIG, case)


@pytest.mark.slow
def test_a_halt_is_reported() -> None:
    """A memory that never answers: the run stops at its limit instead of going on for ever."""
    text = render_bench(CONFIG)["ext_memory.sv"]
    dead = text.replace("rd_ready_o = allowed", "rd_ready_o = 1'b0 && allowed")
    assert dead != text
    program = build(CONFIG, {"ext_memory.sv": dead})
    with pytest.raises(CheckFailed, match="did not finish"):
        run_case(program, CONFIG, cases(CONFIG)[1])
