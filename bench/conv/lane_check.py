"""Whether the lanes of lane_area.py compute: Verilator runs all of them beside numpy.

Every tap of every lane sees every activation (-128..255) with every code byte once, in an order of
its own, on two pixels; sums are begun at random. A lane that computes something else would have
another area.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.conv.lane_text import CELL, LANES, Lane, lane_modules, lane_top
from shiftforge.errors import ToolFailed
from shiftforge.scratch import work_folder
from shiftforge.sim.rtl.verilator import build_model, simulation_failure
from shiftforge.sim.rtl.yosys import SCRIPT
from shiftforge.tools import run_tool

__all__ = ["LATENCY", "Difference", "Stimulus", "check_lanes", "expected_sums", "make_stimulus"]

TOP = "lane_bench"
TAPS, PIXELS = 9, 2
LATENCY = 5
"""Clocks from operands to the accumulator."""

MAIN = """\
#include <cstdint>
#include <cstdio>
#include "Vlane_bench.h"
#include "verilated.h"

int main(int argc, char **argv) {
  VerilatedContext context;
  Vlane_bench top{&context};
  std::FILE *in = std::fopen(argv[1], "rb"), *out = std::fopen(argv[2], "wb");
  if (!in || !out) return 1;
  std::uint32_t record[%(words)d];
  while (std::fread(record, sizeof record, 1, in) == 1) {
    top.clk_i = 0;
    top.first_i = record[0];
    for (int i = 0; i < %(x_words)d; ++i) top.x_i[i] = record[1 + i];
    for (int i = 0; i < 3; ++i) top.code_i[i] = record[1 + %(x_words)d + i];
    top.eval();
    top.clk_i = 1;
    top.eval();
    std::fwrite(top.acc_o.data(), 4, %(sums)d, out);
  }
  return std::fclose(out) ? 1 : 0;
}
"""


@dataclass(frozen=True)
class Stimulus:
    """One row a clock.

    x: (clocks, pixels, 9), -128..255. code: (clocks, 9), 0..255. first: (clocks,), where a sum
    begins.
    """

    x: NDArray[np.int64]
    code: NDArray[np.int64]
    first: NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """The first sum of a lane that is not the expected one."""

    lane: str
    clock: int
    pixel: int
    found: int
    expected: int


def make_stimulus(seed: int = 0, clocks: int | None = None) -> Stimulus:
    """All pairs of an activation and a code byte at every tap; the first ``clocks`` rows of it."""
    random = np.random.default_rng(seed)
    pairs = np.arange(384 * 256)
    order = np.stack([random.permutation(pairs) for _ in range(TAPS * PIXELS)])
    code = order[:TAPS].T % 256
    x = np.empty((len(pairs), PIXELS, TAPS), np.int64)
    for p in range(PIXELS):
        for tap in range(TAPS):
            # Each code meets every activation: the second pixel has the first one's codes.
            by_code = order[TAPS * p + tap]
            by_code = by_code[np.argsort(by_code % 256, kind="stable")]
            places = np.argsort(code[:, tap], kind="stable")
            x[places, p, tap] = by_code // 256 - 128
    first = random.random(len(pairs)) < 0.2
    first[0] = True
    return Stimulus(x[:clocks], code[:clocks], first[:clocks])


def _weights(lane: Lane, code: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(weight, what a product of it lacks) for code bytes."""
    if not lane.shifts:
        low = code & ((1 << lane.bits) - 1)
        weight = low - ((low >> (lane.bits - 1)) << lane.bits)
        lacks = 1 << (lane.bits - 1) if lane.kind == "rows" else 0
        return weight, np.full_like(code, lacks)
    weight, lacking = np.zeros_like(code), np.zeros_like(code)
    for term in range(lane.terms):
        nibble = code >> (4 * term) & 15
        e, negative = nibble & 7, nibble >> 3
        size = np.where(e > 0, np.int64(1) << np.maximum(e - 1, 0), 0)
        weight += np.where(negative == 1, -size, size)
        lacking += negative if lane.kind == "complement" else 0
    return weight, lacking


def expected_sums(lane: Lane, stimulus: Stimulus) -> NDArray[np.int32]:
    """The accumulator after each row, (clocks, pixels), modulo 2^32."""
    weight, lacks = _weights(lane, stimulus.code)
    sums = (stimulus.x * weight[:, None] - lacks[:, None]).sum(axis=2)
    total = np.cumsum(sums, axis=0)
    begun = np.maximum.accumulate(np.where(stimulus.first, np.arange(len(sums)), 0))
    before = np.concatenate([np.zeros((1, sums.shape[1]), np.int64), total])[begun]
    return ((total - before) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def _packed(stimulus: Stimulus) -> NDArray[np.uint32]:
    """Records of the simulation: first, activations of nine bits, code bytes, padding."""
    clocks = len(stimulus.x)
    x = (stimulus.x.reshape(clocks, -1) & 511)[..., None] >> np.arange(9) & 1
    bits = np.zeros((clocks, -(-x.shape[1] * 9 // 32) * 32), np.uint8)
    bits[:, : x.shape[1] * 9] = x.reshape(clocks, -1)
    activations = np.packbits(bits, axis=1, bitorder="little").view("<u4")
    codes = np.zeros((clocks, 12), np.uint8)
    codes[:, :TAPS] = stimulus.code
    first = stimulus.first.astype("<u4")[:, None]
    return np.concatenate([first, activations, codes.view("<u4")], axis=1)


def _bench(lanes: Sequence[Lane]) -> str:
    """All lanes beside each other on the same operands."""
    units = "".join(
        f"  {lane.name} u_{lane.name} (\n    .clk_i(clk_i), .first_i(first_i), .x_i(x_i), "
        f".code_i(code_i), .acc_o(acc_o[{32 * PIXELS * i} +: {32 * PIXELS}])\n  );\n"
        for i, lane in enumerate(lanes)
    )
    return f"""\
module {TOP} (
  input  logic clk_i,
  input  logic first_i,
  input  logic [{9 * TAPS * PIXELS - 1}:0] x_i,
  input  logic [{8 * TAPS - 1}:0] code_i,
  output logic [{32 * PIXELS * (len(lanes) + 1) - 1}:0] acc_o
);
{units}  assign acc_o[{32 * PIXELS * len(lanes)} +: {32 * PIXELS}] = '0;  // an array in C++ always
endmodule
"""


def check_lanes(
    stimulus: Stimulus,
    lanes: Sequence[Lane] = LANES,
    replace: Mapping[str, str] | None = None,
    cache: Path | None = None,
) -> list[Difference]:
    """The first difference of every lane that has one. replace: other text for some modules."""
    records = _packed(stimulus)
    flush = np.zeros((LATENCY - 1, records.shape[1]), records.dtype)
    x_words = records.shape[1] - 4
    values = {"words": records.shape[1], "x_words": x_words, "sums": PIXELS * len(lanes)}
    text = {
        **lane_modules(),
        **{f"{lane.name}.sv": lane_top(lane, PIXELS) for lane in lanes},
        f"{TOP}.sv": _bench(lanes),
        "main.cpp": MAIN % values,
        **(replace or {}),
    }
    program = build_model(text, TOP, cache=cache)
    with work_folder("lanes") as folder:
        np.concatenate([records, flush]).tofile(folder / "in")
        done = run_tool([str(program), str(folder / "in"), str(folder / "out")], folder=folder)
        if done.returncode != 0:
            raise simulation_failure(TOP, done.returncode, done.stdout + done.stderr)
        found = np.fromfile(folder / "out", "<i4")
    sums = found.reshape(-1, len(lanes), PIXELS)[LATENCY - 1 :]
    differences = []
    for i, lane in enumerate(lanes):
        wanted = expected_sums(lane, stimulus)
        wrong = np.argwhere(sums[:, i] != wanted)
        if len(wrong):
            clock, pixel = (int(value) for value in wrong[0])
            got, right = int(sums[clock, i, pixel]), int(wanted[clock, pixel])
            differences.append(Difference(lane.name, clock, pixel, got, right))
    return differences


def prove_fused_add(
    first: int, second: int, width: int = 3, replace: Mapping[str, str] | None = None
) -> bool:
    """Whether a chain of Yosys' own cells adds what the text for simulation does, for all inputs.

    first, second: truth tables of lane_fused_add. By Yosys' SAT solver.
    """
    name = "lane_fused_add"
    chain = f"chparam -set Width {width} -set F {first} -set G {second} {name}"
    commands = [
        f"read_verilog -sv -lib {CELL}.sv",
        "read_verilog +/intel_alm/common/alm_sim.v",
        f"setattr -mod -unset whitebox -unset lib_whitebox {CELL}",
        f"read_verilog -sv {name}.sv", chain, f"rename {name} cells",
        f"read_verilog -sv -nosynthesis {name}.sv", chain, f"rename {name} words",
        "hierarchy -check", "proc", "flatten cells words",
        "miter -equiv -flatten -make_assert cells words miter", "sat -prove-asserts -verify miter",
    ]  # fmt: skip
    with work_folder("lanes") as folder:
        for file, data in {**lane_modules(), **(replace or {})}.items():
            (folder / file).write_text(data, encoding="utf-8")
        done = run_tool([sys.executable, "-c", SCRIPT, *commands], folder=folder)
    log = done.stdout + done.stderr
    if done.returncode != 0 and "proof did fail" not in log:
        raise ToolFailed(f"Yosys refused {name}: {log[-2000:]}")
    return done.returncode == 0
