"""Whether the blocks of area_blocks.py compute: Verilator runs them beside Python.

Random operands, new ones every clock. A block that computes something else would have another area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.conv.area_text import Block, block_text
from shiftforge.scratch import work_folder
from shiftforge.sim.rtl.verilator import build_model, simulation_failure
from shiftforge.tools import run_tool

__all__ = ["CHECKS", "Check", "Difference", "check_block"]

TOP = "area_bench"
MAIN = """\
#include <cstdint>
#include <cstdio>
#include "Varea_bench.h"
#include "verilated.h"

int main(int argc, char **argv) {
  VerilatedContext context;
  Varea_bench top{&context};
  std::FILE *in = std::fopen(argv[1], "rb"), *out = std::fopen(argv[2], "wb");
  if (!in || !out) return 1;
  std::uint32_t record[%(words)d];
  while (std::fread(record, sizeof record, 1, in) == 1) {
    top.clk_i = 0;
    for (int i = 0; i < %(words)d; ++i) top.in_i[i] = record[i];
    top.eval();
    std::fwrite(top.out_o.data(), 4, 4, out);
    top.clk_i = 1;
    top.eval();
  }
  return std::fclose(out) ? 1 : 0;
}
"""
Row = Mapping[str, int]
STILL = ("right_i", "left_i")
STILL_CLOCKS = 16
"""Ports that change once in so many clocks; what passes while they do is not looked at."""


@dataclass(frozen=True)
class Check:
    """How a block is run. inputs: bits by port; output: port and bits, up to 128.

    latency: clocks from operands to the output. expected: of all rows, before the latency. still:
    ports that change once in ``STILL_CLOCKS``.
    """

    block: Block
    inputs: Mapping[str, int]
    output: tuple[str, int]
    latency: int
    expected: Callable[[Sequence[Row]], Iterator[int]]
    still: tuple[str, ...] = STILL


@dataclass(frozen=True)
class Difference:
    """The first output that is not the expected one."""

    block: str
    clock: int
    found: int
    expected: int


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _half_even(value: int, places: int) -> int:
    """value / 2^places, halves to the even neighbour."""
    low = value & ((1 << places) - 1)
    floor, half = value >> places, (1 << places) >> 1
    return floor + int(places > 0 and (low > half or (low == half and bool(floor & 1))))


def _round(least: int, one: bool) -> Callable[[Sequence[Row]], Iterator[int]]:
    def expected(rows: Sequence[Row]) -> Iterator[int]:
        for row in rows:
            places = least + row["right_i"]
            total = _signed(row["sum_i"], 32) + _signed(row["bias_i"], 32)
            # With one adder the bias holds half of the last place.
            exact = total - (1 << places >> 1) if one else total
            yield _half_even(exact, places) & 0xFFFFFFFF

    return expected


def _code(width: int, least: int, floor: bool) -> Callable[[Sequence[Row]], Iterator[int]]:
    def expected(rows: Sequence[Row]) -> Iterator[int]:
        for row in rows:
            places = least + row["right_i"]
            total = _signed((row["sum_i"] + row["bias_i"]) & (1 << width) - 1, width)
            exact = _half_even(total - (1 << places >> 1), places)
            low = -128 * row["signed_i"] if floor else _signed(row["low_i"], 9)
            code = min(max(exact, low), _signed(row["high_i"], 9))
            yield code & 255 if row["valid_i"] else 0

    return expected


def _add(rows: Sequence[Row]) -> Iterator[int]:
    for row, later in zip(rows, [*rows[1:], rows[-1]], strict=True):
        total = row["own_i"] + row["skip_i"] if later["adds_i"] else row["own_i"]
        yield min(total, 255) if not later["adds_i"] or later["valid_i"] else 0


def _clamp(rows: Sequence[Row]) -> Iterator[int]:
    for row, later in zip(rows, [*rows[1:], rows[-1]], strict=True):
        value, low, high = (_signed(row[f"{k}_i"], 32) for k in ("value", "low", "high"))
        near = later["high_i"] if value > high else row["value_i"]
        outer = later["low_i"] if value < low else near
        yield outer & 255 if later["valid_i"] else 0


def _output(least: int) -> Callable[[Sequence[Row]], Iterator[int]]:
    def expected(rows: Sequence[Row]) -> Iterator[int]:
        for row in rows:
            places = least + row["right_i"]
            exact = _signed(row["sum_i"], 32) - (1 << places >> 1)
            yield _half_even(exact, places) & 0xFFFFFFFF

    return expected


def _pool_sum(rows: Sequence[Row]) -> Iterator[int]:
    # Codes are a clock on their way to the sum, its neighbour's is none.
    whole = rows[0]["next_i"] * rows[0]["turns_i"]
    for row, later in zip(rows, [*rows[1:], rows[-1]], strict=True):
        whole = later["next_i"] if later["turns_i"] else whole + row["codes_i"] & (1 << 14) - 1
        yield whole


def _pool_code(rows: Sequence[Row]) -> Iterator[int]:
    for row in rows:
        yield min(_half_even(row["sum_i"] * 21400, 19), 255)


def _ring(units: int) -> Callable[[Sequence[Row]], Iterator[int]]:
    bits = 64 * ((8 + units) // 8)

    def expected(rows: Sequence[Row]) -> Iterator[int]:
        ring = 0
        for row in rows:
            full = 0 if row["begins_i"] else ring
            if row["wants_i"]:
                full |= row["line_i"] << 8 * row["fill_i"] & (1 << bits) - 1
            yield full & (1 << 72) - 1
            ring = full >> 72 if row["fires_i"] and not row["holds_i"] else full

    return expected


def _find(name: str) -> Block:
    module, *parts = name.split(" ")
    return Block(module, "", tuple((k, int(v)) for k, v in (p.split("=") for p in parts)))


def _rounds(least: int, one: int) -> Check:
    name = f"round Width=32 Least={least} RightBits=3 LeftBits=0 OneAdder={one}"
    inputs = {"sum_i": 32, "bias_i": 32, "right_i": 3, "left_i": 1}
    return Check(_find(name), inputs, ("code_o", 32), 2 if one else 4, _round(least, bool(one)))


def _codes(floor: int) -> Check:
    width, least, bits = 26, 1, 4
    name = f"code Width={width} Least={least} RightBits={bits} Floor={floor}"
    inputs = {"valid_i": 1, "signed_i": 1, "low_i": 9, "high_i": 9, "sum_i": width,
              "bias_i": width, "right_i": bits, "below_i": width, "outer_i": width}  # fmt: skip
    still = tuple(port for port in inputs if port not in ("sum_i", "bias_i"))
    expected = _code(width, least, bool(floor))
    return Check(_find(name), inputs, ("code_o", 8), 4, expected, still)


def _largest(bits: int) -> Callable[[Sequence[Row]], Iterator[int]]:
    def expected(rows: Sequence[Row]) -> Iterator[int]:
        acc = 0
        for row in rows:
            own = _signed(row["sum_i"], 20)
            low, kept = _signed(row["sum_i"] % (1 << bits), bits), _signed(acc % (1 << bits), bits)
            if row["fires_i"]:
                if row["first_i"]:
                    acc = own
                elif not row["largest_i"]:
                    acc = _signed(acc + own & (1 << 24) - 1, 24)
                elif low > kept:
                    acc = own
            yield acc & (1 << 24) - 1

    return expected


CHECKS = (
    _codes(1),
    _codes(0),
    *(_rounds(least, one) for one in (0, 1) for least in (0, 4)),
    Check(_find("add Bits=0"), {"valid_i": 1, "adds_i": 1, "own_i": 8, "skip_i": 8, "own_left_i": 1,
          "skip_left_i": 1, "sum_left_i": 1, "sum_right_i": 1}, ("code_o", 8), 2, _add),
    Check(_find("pool_sum Places=1 Bits=14"), {"turns_i": 1, "codes_i": 8, "next_i": 14},
          ("sum_o", 14), 2, _pool_sum),
    Check(_find("pool_code Bits=14 Plus=21504 Minus=104 Right=19"), {"sum_i": 14},
          ("code_o", 8), 9, _pool_code),
    *(Check(_find(f"output Width=32 Least={least} RightBits=3"), {"sum_i": 32, "right_i": 3},
            ("code_o", 32), 1, _output(least)) for least in (0, 4)),
    Check(_find("largest Width=24 Bits=9"), {"first_i": 1, "fires_i": 1, "largest_i": 1,
          "sum_i": 20}, ("acc_o", 24), 1, _largest(9)),
    Check(_find("clamp Width=32"), {"valid_i": 1, "low_i": 32, "high_i": 32, "value_i": 32},
          ("code_o", 8), 2, _clamp),
    *(Check(_find(f"ring Units={u}"), {"begins_i": 1, "wants_i": 1, "fires_i": 1, "holds_i": 1,
            "fill_i": 4, "line_i": 8 * u}, ("taps_o", 72), 0, _ring(u)) for u in (16, 32)),
)  # fmt: skip


def _stimulus(check: Check, clocks: int) -> list[dict[str, int]]:
    """Values whose sizes vary, so that small ones, ties among them, are as frequent as large."""
    random = np.random.default_rng(0)
    rows: list[dict[str, int]] = []
    for clock in range(clocks):
        row = {}
        for port, bits in check.inputs.items():
            if port in check.still and clock % STILL_CLOCKS:
                row[port] = rows[-1][port]
                continue
            value = int.from_bytes(random.bytes(-(-bits // 8))) & (1 << bits) - 1
            if port in ("sum_i", "bias_i", "value_i") or bits == 32:
                value >>= int(random.integers(bits // 10, bits - 1))
                value = -value & (1 << bits) - 1 if random.integers(2) else value
            row[port] = value % 9 if port == "fill_i" else value
        if "below_i" in row and clock % STILL_CLOCKS == 0:
            places = dict(check.block.parameters)["Least"] + row["right_i"]
            every = (1 << check.inputs["below_i"]) - 1
            row["below_i"], row["outer_i"] = (1 << places) - 1, -256 << places & every
            # Codes of the type, and a high one that is no smaller than the low one.
            row["high_i"] = int(random.integers(0, 128 << (1 - row["signed_i"])))
            row["low_i"] = -int(random.integers(0, 129)) & 511 if row["signed_i"] else 0
        if check.block.module == "clamp" and _signed(row["low_i"], 32) > _signed(row["high_i"], 32):
            row["low_i"], row["high_i"] = row["high_i"], row["low_i"]
        rows.append(row)
    return rows


def _bench(check: Check) -> tuple[str, int]:
    """A module with one vector of inputs and one of outputs, and the words of the first."""
    ports, at = [], 0
    for port, bits in check.inputs.items():
        ports.append(f".{port}(in_i[{at} +: {bits}])")
        at += bits
    words = max(-(-at // 32), 3)  # an array in C++ always
    name, bits = check.output
    ports.append(f".{name}(found)")
    return (
        f"""\
module {TOP} (
  input  logic clk_i,
  input  logic [{32 * words - 1}:0] in_i,
  output logic [127:0] out_o
);
  logic [{bits - 1}:0] found;
  block_{check.block.name} u_block (
    .clk_i(clk_i), {", ".join(ports)}
  );
  assign out_o = 128'(found);
endmodule
""",
        words,
    )


def check_block(
    check: Check, clocks: int = 3000, module: str | None = None, cache: Path | None = None
) -> Difference | None:
    """The first difference, if there is one. module: text in place of the block's module."""
    rows = _stimulus(check, clocks)
    bench, words = _bench(check)
    records = np.zeros((clocks, 4 * words), np.uint8)
    for i, row in enumerate(rows):
        packed, at = 0, 0
        for port, bits in check.inputs.items():
            packed |= row[port] << at
            at += bits
        records[i] = np.frombuffer(packed.to_bytes(4 * words, "little"), np.uint8)
    text = {
        f"block_{check.block.name}.sv": block_text(check.block, module),
        f"{TOP}.sv": bench,
        "main.cpp": MAIN % {"words": words},
    }
    program = build_model(text, TOP, cache=cache)
    with work_folder("blocks") as folder:
        records.tofile(folder / "in")
        done = run_tool([str(program), str(folder / "in"), str(folder / "out")], folder=folder)
        if done.returncode != 0:
            raise simulation_failure(TOP, done.returncode, done.stdout + done.stderr)
        data = (folder / "out").read_bytes()
    outputs = [int.from_bytes(data[16 * i : 16 * i + 16], "little") for i in range(clocks)]
    # The last rows have not come out yet, or depend on one that has not come.
    for clock, wanted in enumerate(list(check.expected(rows))[: clocks - check.latency - 1]):
        still = any(port in check.inputs for port in check.still)
        if still and clock % STILL_CLOCKS + check.latency >= STILL_CLOCKS:
            continue
        if (found := outputs[clock + check.latency]) != wanted:
            return Difference(check.block.name, clock, found, wanted)
    return None
