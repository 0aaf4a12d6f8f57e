"""How many register bits of the array's columns change in a cycle, counted in the simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sfu_model import Ports, SfuModel, build_with_files, pack_lanes

from shiftforge.generator.edgebert.rtl import adder_tree, render_unit
from shiftforge.generator.edgebert.unit import UnitConfig

COUNT = 16  # bits of a stage's count


@dataclass(frozen=True)
class Stage:
    """Registers that hold what a row of A became, so many cycles after it was taken."""

    name: str
    after: int
    registers: tuple[str, ...]


def stages(config: UnitConfig) -> list[Stage]:
    """The array's stages in the order of a row's way."""
    n = config.lanes
    columns = [f"u_array.gen_column[{c}]" for c in range(n)]
    lanes = [f"{column}.u_vmac.u_lane{i}" for column in columns for i in range(n)]
    first = ["low_q", "high_q", "sign_q", "shift_q"]
    if config.weights == "shift":
        one, two = ["sig_q", "set_q", "amount_q"], ["term0_q", "set0_q", "term1_q", "set1_q"]
        first = [*(one if config.terms == 1 else two), "negate_q", "shift_q"]

    def each(places: Sequence[str], *names: str) -> tuple[str, ...]:
        return tuple(f"{place}.{name}" for place in places for name in names)

    found = [
        Stage("code", 1, ("u_array.a_code_q",)),
        Stage("operand", 2, each(columns, "u_vmac.a_q")),
        Stage("term", 3, each(lanes, *first)),
        Stage("signed", 4, each(lanes, "narrow_q", "shift2_q")),
        Stage("product", 5, each(lanes, "product_o")),
    ]
    tree = adder_tree(n, config.product_bits)
    for depth, level in enumerate(tree[:-1], start=1):
        names = [f"u_vmac.{node.name}" for node in level]
        found.append(Stage(f"tree {depth}", 5 + depth, each(columns, *names)))
    depth = len(tree)
    found.append(Stage("sum", 5 + depth, each(columns, "u_vmac.sum_o")))
    found.append(Stage("accumulator", 6 + depth, each(columns, "u_acc.value_o")))
    return found


TILE = Stage("tile", 0, ("u_array.tile_q",))
"""The operand tile in use: it changes with the tile, not with a row."""


def _probe(config: UnitConfig, counted: Sequence[Stage]) -> str:
    n = config.lanes
    lines = [
        "module toggle_probe (",
        "  input logic clk_i, input logic rst_ni, input logic told_i,",
        f"  input logic [7:0] k_tiles_i, input logic a_valid_i, input logic [{n - 1}:0]",
        f"    [{config.af_bits - 1}:0] a_data_i, input logic b_valid_i,",
        f"  input logic [{n - 1}:0][{config.b_bits - 1}:0] b_data_i,",
        f"  output logic valid_o, output logic [{len(counted) * COUNT - 1}:0] toggles_o",
        ");",
        "  logic a_ready, b_ready;",
        "  pu_array #(.TagWidth(1), .CountWidth(8)) u_array (",
        "    .clk_i(clk_i), .rst_ni(rst_ni), .k_tiles_i(k_tiles_i), .passes_i(3'd1),",
        "    .b_codes_i(1'b0)," if config.takes_codes else "",
        "    .a_valid_i(a_valid_i), .a_ready_o(a_ready), .a_nonzero_i(a_data_i != '0),",
        "    .a_data_i(a_data_i), .a_tag_i(1'b0), .b_valid_i(b_valid_i), .b_ready_o(b_ready),",
        "    .b_nonzero_i(b_data_i != '0), .b_data_i(b_data_i), .next_valid_o(), .next_tag_o(),",
        "    .out_valid_o(), .out_row_o(), .out_tag_o(), .out_acc_o(), .fire_o(), .gated_o(),",
        "    .wait_b_o()",
        "  );",
        "  assign valid_o = told_i;",
        "  always_ff @(posedge clk_i) begin",
        "    if (told_i && ((a_valid_i && !a_ready) || (b_valid_i && !b_ready))) begin",
        '      $fatal(1, "the array stalls");',
        "    end",
        "  end",
    ]
    for number, stage in enumerate(counted):
        # Arrays that are not packed count element by element.
        names = [
            f"{register}[{i}]" if register.endswith("tile_q") else register
            for register in stage.registers
            for i in (range(n) if register.endswith("tile_q") else range(1))
        ]
        kept = [f"was{number}_{i}" for i in range(len(names))]
        for name, was in zip(names, kept, strict=True):
            lines += [f"  logic [$bits({name})-1:0] {was};"]
            lines += [f"  always_ff @(posedge clk_i) {was} <= {name};"]
        total = " + ".join(
            f"{COUNT}'($countones({a} ^ {b}))" for a, b in zip(names, kept, strict=True)
        )
        lines += [f"  assign toggles_o[{COUNT * number}+:{COUNT}] = {total};"]
    return "\n".join([*lines, "endmodule", ""])


def build_probe(
    config: UnitConfig, counted: Sequence[Stage], replace: Mapping[str, str] | None = None
) -> SfuModel:
    """The array alone, with the counts of some stages; ``replace``: files with faults."""
    n = config.lanes
    ports = Ports(
        "toggle_probe",
        (
            *(("told", 1), ("k_tiles", 8), ("a_valid", 1), ("a_data", n * config.af_bits)),
            *(("b_valid", 1), ("b_data", n * config.b_bits)),
        ),
        (("toggles", len(counted) * COUNT),),
    )
    text = {**render_unit(config), **(replace or {})}
    names = ("pu_array", "pu_vmac", "pu_acc", "pu_lane", "pu_af_decode")
    files = {f"{name}.sv": text[f"{name}.sv"] for name in names}
    return build_with_files({**files, "toggle_probe.sv": _probe(config, counted)}, ports)


def count_toggles(
    model: SfuModel,
    config: UnitConfig,
    counted: Sequence[Stage],
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    settle: int,
) -> NDArray[np.int64]:
    """Run tiles at full rate; a, b: (steps, n, n) vectors of A's rows and B's columns.

    Row r of step s is taken in cycle (s + 1) n + r. Returns (cycles, stages): the bits of each
    stage that changed at the end of the cycle before.
    """
    steps, n, _ = a.shape
    words = []
    for cycle in range((steps + 1) * n + settle):
        word = {"told": 1, "k_tiles": steps}
        step, place = divmod(cycle, n)
        if step < steps:
            word |= {"b_valid": 1, "b_data": pack_lanes(b[step, place], config.b_bits)}
        if 1 <= step <= steps:
            word |= {"a_valid": 1, "a_data": pack_lanes(a[step - 1, place], config.af_bits)}
        words.append(word)
    run = model.run(words, drain=4)
    mask = (1 << COUNT) - 1
    rows = [
        [output["toggles"] >> (COUNT * i) & mask for i in range(len(counted))]
        for output in run.outputs
    ]
    return np.array(rows, dtype=np.int64)
