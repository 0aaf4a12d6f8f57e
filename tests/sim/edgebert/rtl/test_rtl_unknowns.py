"""Registers and memories start from random values: no result hangs on them, and a register that
lacks its reset is found."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matmul_cases import build, random_case, run_case, small

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.encoder import LayerShape
from shiftforge.generator.edgebert.encoder_program import plan_layers
from shiftforge.generator.edgebert.rtl import render_unit
from shiftforge.generator.edgebert.sentence import choose_layer_unit
from shiftforge.generator.render import render
from shiftforge.sim.edgebert.rtl import matmul
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.rtl.encoder_cosim import random_case as random_layer_case
from shiftforge.sim.edgebert.rtl.encoder_image import build_layer_image, numbers_of
from shiftforge.sim.edgebert.rtl.encoder_run import build_unit, run_image
from shiftforge.sim.golden.edgebert.encoder import STAGES, encoder_layer
from shiftforge.sim.rtl.cocotb_run import build_for_cocotb, run_cocotb
from shiftforge.sim.rtl.verilator import build_model, random_start

SEEDS = range(6)
TOLD = """module told (
  input logic clk_i
);
  logic [39:0] wide_q;
  logic flag_q;
  logic [7:0] mem [4];
  logic [2:0] step_q;
  initial step_q = 3'd0;
  always_ff @(posedge clk_i) begin
    step_q <= step_q + 3'd1;
    if (step_q == 3'd0) $display("START %h %h %h", wide_q, flag_q, mem[2]);
    if (step_q == 3'd1) $finish;
    if (step_q == 3'd7) begin
      wide_q <= 40'd0;
      flag_q <= 1'b0;
      mem[0] <= 8'd0;
    end
  end
endmodule
"""
CONFIG = small(2)
# name: (file, the line that is removed)
LACKING = {
    "reset of a queue's end": ("pu_fifo.sv", "tail_q <= '0;"),
    "start of the columns": ("pu_schedule.sv", "column_q <= '0;"),
    "start of the results": ("pu_schedule.sv", "r_base_q <= '0;"),
    "start of the results' slots": ("pu_schedule.sv", "r_start_q <= '0;"),
}
QUICK = "start of the results"
# A place of the result, an assertion of a module, or the cycle in which the unit had halted.
PLACE = r"row tile \d+|Assertion failed in TOP\.\S+u_matmul|LIMIT cycles=\d+"


def start_of(program: Path, *arguments: str) -> str:
    """What the registers held before the first cycle."""
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=True)
    found = re.search("START (.*)", done.stdout)
    assert found is not None
    return found[1]


def test_all_that_is_not_set_starts_at_random_and_by_the_seed_alone() -> None:
    main = render("edgebert/rtl/bench/main.cpp.j2", {"version": "0", "top": "told"})
    program = build_model({"told.sv": TOLD, "main.cpp": main}, "told")
    starts = [start_of(program, *random_start(seed)) for seed in range(20)]
    assert len(set(starts)) == len(starts)
    assert {text.split()[1] for text in starts} == {"0", "1"}
    assert starts[7] == start_of(program, *random_start(7))
    # Without a seed as well; and from zeros where these are asked for.
    assert start_of(program) != "0000000000 0 00"
    assert start_of(program, "+verilator+rand+reset+0") == "0000000000 0 00"
    with pytest.raises(ValueError, match="a seed of -1"):
        random_start(-1)


def test_a_bench_under_cocotb_starts_at_random(tmp_path: Path) -> None:
    (tmp_path / "cocotb_told.py").write_text(
        "import cocotb\nfrom cocotb.triggers import Timer\n\n\n"
        "@cocotb.test()\nasync def tell(dut):\n    await Timer(1, 'ns')\n"
        "    print('HELD', dut.wide_q.value)\n"
    )
    program = build_for_cocotb({"told.sv": TOLD}, "told", options=["--public-flat-rw"])
    held = set()
    for seed in (1, 2, 2):
        _, log = run_cocotb(program, CONFIG, "cocotb_told", [tmp_path], seed=seed)
        held |= set(re.findall("HELD ([01]{40})", log))
    assert len(held) == 2


def test_products_do_not_hang_on_what_registers_held() -> None:
    program = build(CONFIG)
    case = random_case(CONFIG, 5, 40, 7, 1)
    runs = [run_case(program, CONFIG, case, seed=seed) for seed in SEEDS]
    assert len({(run.cycles, run.reads, run.writes, run.gated) for run in runs}) == 1


@pytest.mark.parametrize(
    ("weights", "terms"), [("af", 1), pytest.param("shift", 2, marks=pytest.mark.slow)]
)
def test_a_layer_does_not_hang_on_what_registers_held(weights: Any, terms: int) -> None:
    shape = LayerShape(5, 32, 2, 40)
    design = choose_layer_unit(4, shape, weights=weights, terms=terms, accumulator="sat32")
    case = random_layer_case(design.config, shape, 3, True)
    plan = plan_layers(design, shape, [numbers_of(case.layer)])
    image = build_layer_image(plan, case.layer, case.x)
    program = build_unit(design, 16)
    want = encoder_layer(case.x, case.layer, golden_unit(design))
    told = set()
    for seed in SEEDS:
        run = run_image(program, plan, image.copy(), seed=seed)
        (layer,) = run.layers
        assert not layer.malformed
        for name in STAGES:
            assert np.array_equal(layer.stages[name], want[name]), (name, seed)
        counted = tuple((c.start, c.end, c.busy, c.gated, c.wait_a, c.wait_b) for c in run.commands)
        told.add((counted, run.cycles, run.reads, run.writes))
    assert len(told) == 1


@pytest.mark.parametrize(
    "name", [n if n == QUICK else pytest.param(n, marks=pytest.mark.slow) for n in LACKING]
)
def test_a_register_that_lacks_its_reset_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros hide it; one of a few seeds shows it and says where."""
    path, line = LACKING[name]
    text = render_unit(CONFIG)[path]
    assert line in text
    program = build(CONFIG, {path: text.replace(line, "", 1)})
    case = random_case(CONFIG, 5, 40, 7, 1)
    with monkeypatch.context() as before:
        before.setattr(matmul, "random_start", lambda seed: ("+verilator+rand+reset+0",))
        run_case(program, CONFIG, case)
    with pytest.raises(CheckFailed, match=PLACE):
        for seed in SEEDS:
            run_case(program, CONFIG, case, seed=seed)
