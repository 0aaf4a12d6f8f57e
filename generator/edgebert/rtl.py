"""SystemVerilog of the processing unit. The templates lay it out; every number comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from shiftforge import __version__
from shiftforge.generator.design import Design
from shiftforge.generator.edgebert.command import (
    PARAM_BEATS,
    TABLE_BEATS,
    command_beats,
)
from shiftforge.generator.edgebert.constraints import timing_constraints
from shiftforge.generator.edgebert.registers import (
    ADDRESS_BITS,
    FUNCTIONS,
    K_TILE_BITS,
    Register,
    engine_registers,
    unit_registers,
)
from shiftforge.generator.edgebert.rtl_latency import (
    FIXED_LATENCY,
    GELU_LATENCY,
    POST_LATENCY,
    TO_AF_LATENCY,
    array_latency,
)
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.rtl_text import module_text
from shiftforge.generator.edgebert.sfu import SLOT_BITS
from shiftforge.generator.edgebert.unit import (
    LANE_BITS,
    MASKS_PER_BEAT,
    UnitConfig,
)
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.render import render
from shiftforge.generator.rtl_files import FILE_LIST, file_list

__all__ = [
    "TOP",
    "UNIT_TOP",
    "render_bench",
    "render_clocked",
    "render_processing_unit",
    "render_unit",
    "render_unit_bench",
    "rtl_design",
]

TOP = "pu_matmul"
UNIT_TOP = "pu_unit"
SEQ_BITS = 24
"""Strips of B over a whole product, each as often as it is fetched."""
CONSTRAINTS = "pu.sdc"
CONTROL = "model.vlt"


@dataclass(frozen=True)
class Node:
    """One adder of the tree."""

    name: str
    left: str
    right: str
    bits: int


def adder_tree(lanes: int, product_bits: int) -> list[list[Node]]:
    """Balanced tree over the lanes' products, a bit wider on each level."""
    names = [f"product{i}" for i in range(lanes)]
    levels: list[list[Node]] = []
    while len(names) > 1:
        depth = len(levels) + 1
        level = [
            Node(f"sum{depth}_{i}_q", names[2 * i], names[2 * i + 1], product_bits + depth)
            for i in range(len(names) // 2)
        ]
        levels.append(level)
        names = [node.name for node in level]
    return levels


def describe(config: UnitConfig) -> str:
    """One line for the header of each file."""
    weights = "AF" if config.weights == "af" else f"{config.terms}-term SHIFT4"
    return (
        f"{config.lanes} lanes, AF<{config.af_bits},{config.exp_bits}>, {weights} weights, "
        f"{config.accumulator} accumulator"
    )


def _values(config: UnitConfig, memory_bits: int) -> dict[str, Any]:
    registers = engine_registers(config)
    decoded = config.af_bits + 1
    a_row_bits, b_row_bits, c_row_bits = (
        rows.bit_length() - 1 for rows in (config.a_rows, config.b_rows, config.c_rows)
    )
    tile_bits = config.max_tiles.bit_length()
    aux_bits = config.aux_rows.bit_length() - 1

    return {
        "version": __version__,
        "description": describe(config),
        "lanes": config.lanes,
        "row_bits": config.lanes.bit_length() - 1,
        "af_bits": config.af_bits,
        "exp_bits": config.exp_bits,
        "man_bits": config.man_bits,
        "weights": config.weights,
        "terms": config.terms,
        "multipliers": config.multipliers,
        "weight_bits": config.weight_bits,
        "weight_pack": config.weight_pack,
        "lane_bits": LANE_BITS,
        "a_width": decoded,
        "takes_codes": config.takes_codes,
        "passes": config.passes,
        "b_bits": config.b_bits,
        "b_operand_bits": decoded if config.weights == "af" else config.b_bits,
        "term_bits": config.term_bits,
        "lane_shift_bits": config.lane_shift_bits,
        "product_bits": config.product_bits,
        "sum_bits": config.sum_bits,
        "tree": adder_tree(config.lanes, config.product_bits),
        "acc_bits": config.acc_bits,
        "acc_wide": max(config.acc_bits, config.sum_bits) + 1,
        "saturate": config.accumulator == "sat32",
        "array_latency": array_latency(config.lanes),
        "a_row_bits": a_row_bits,
        "b_row_bits": b_row_bits,
        "c_row_bits": c_row_bits,
        "load_row_bits": max(a_row_bits, b_row_bits, tile_bits),
        "tile_bits": tile_bits,
        "seq_bits": SEQ_BITS,
        "k_tile_bits": K_TILE_BITS,
        "addr_bits": ADDRESS_BITS,
        "memory_bits": memory_bits,
        "outstanding_bits": config.outstanding.bit_length() - 1,
        "masks_per_beat": MASKS_PER_BEAT,
        "param_beats": PARAM_BEATS,
        "gelu_latency": GELU_LATENCY,
        "to_af_latency": TO_AF_LATENCY,
        "fixed_latency": FIXED_LATENCY,
        "post_latency": POST_LATENCY,
        "acc_above": range(31, config.acc_bits),
        "function_beats": TABLE_BEATS,
        "functions": {name: number for number, name in enumerate(FUNCTIONS)},
        "aux_bits": aux_bits,
        "result_bits": max(c_row_bits, aux_bits),
        "registers": registers,
        "command_beats": command_beats(config),
    }


def _render(folder: str, values: dict[str, Any]) -> dict[str, str]:
    names = {
        entry.name.removesuffix(".j2")
        for entry in files("shiftforge.templates").joinpath(folder).iterdir()
        if entry.name.endswith((".sv", ".sv.j2"))
    }
    return {name: module_text(folder, name, values) for name in sorted(names)}


def render_unit(config: UnitConfig) -> dict[str, str]:
    """The synthesizable files of a unit by name, one module each; ``pu_matmul`` is the top."""
    return _render("edgebert/rtl", _values(config, memory_bits=0))


def _unit_values(design: UnitDesign, memory_bits: int) -> dict[str, Any]:
    """Values of the whole unit. Raises InputError where its two parts do not fit together."""
    design.check()
    config, sfu = design.config, design.functions
    every = unit_registers(config)
    return {
        **_values(config, memory_bits),
        "all_registers": every,
        "function_registers": [r for r in every if "function" in r.users],
        "fraction": sfu.fraction,
        "slot_bits": SLOT_BITS,
        "softmax_bits": sfu.row.bit_length() - 1,
        "norm_bits": sfu.norm_row.bit_length() - 1,
        "aux_bytes": f"{config.aux_buffer:,}",
        "command_words": len(every),
    }


def render_processing_unit(design: UnitDesign) -> dict[str, str]:
    """The synthesizable files of the whole unit by name; ``pu_unit`` is the top."""
    values = _unit_values(design, memory_bits=0)
    return {
        **render_sfu(design.functions),
        **render_unit(design.config),
        **_render("edgebert/rtl/unit", values),
    }


def render_unit_bench(design: UnitDesign, memory_bits: int) -> dict[str, str]:
    """Behavioural memory of 2^memory_bits beats, ``unit_bench``, the C++ clock, and what Verilator
    is told of the model."""
    values = _unit_values(design, memory_bits)
    found = _render("edgebert/rtl/unit/bench", values)
    engine = render_bench(design.config, memory_bits)
    found |= {name: engine[name] for name in ("ext_memory.sv", CONTROL)}
    found["main.cpp"] = render("edgebert/rtl/bench/main.cpp.j2", {**values, "top": "unit_bench"})
    return found


def render_bench(config: UnitConfig, memory_bits: int = 18) -> dict[str, str]:
    """Behavioural memory of 2^memory_bits beats, bench modules, the C++ clock, and what Verilator
    is told of the model."""
    values = _values(config, memory_bits)
    found = _render("edgebert/rtl/bench", values)
    found[CONTROL] = render("edgebert/rtl/bench/model.vlt.j2", values)
    found["main.cpp"] = render("edgebert/rtl/bench/main.cpp.j2", {**values, "top": "matmul_bench"})
    return found


def render_clocked(config: UnitConfig, memory_bits: int = 18) -> dict[str, str]:
    """The bench modules and ``clocked_bench``, which brings its own clock (needs --timing)."""
    values = {**_values(config, memory_bits), "bench_top": "matmul_bench"}
    return {**_render("edgebert/rtl/bench", values), **_render("edgebert/rtl/cocotb", values)}


def register_table(config: UnitConfig, registers: tuple[Register, ...], top: str) -> str:
    """A register map as a Markdown table, from the description that the RTL is rendered from."""
    rows = [
        f"| {word} | {r.name} | {r.width} | {_legal(r)} | {r.usual:,} | {r.meaning} "
        f"| {', '.join(r.users)} |"
        for word, r in enumerate(registers)
    ]
    head = [
        f"Registers of {top}: {describe(config)}.",
        "",
        "A command of a program holds all of them, one little-endian 32-bit word each, in this",
        "order. Addresses and pitches count beats of as many bytes as there are lanes.",
        "",
        "Reset: none of these registers has one. They hold anything until the first command has",
        "been fetched, and from then on what the last command gave, unchanged while it runs.",
        "`rst_ni` puts every state machine at rest: nothing is valid before the next start.",
        "",
        "Legal: what a command may give a register that it uses; anything else is undefined.",
        "Unused: the value of a register that a command has no use for. Signed ones are in two's",
        "complement.",
        "",
        "| Word | Register | Bits | Legal | Unused | Meaning | Read by |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def _legal(register: Register) -> str:
    low, high = register.limits
    text = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return text + (f" in {register.step}s" if register.step > 1 else "")


def rtl_design(design: UnitDesign) -> Design:
    """A unit as a design: ``rtl/*.sv``, a list of them in an order in which any tool reads them,
    timing constraints, its registers, and the figures that describe it.

    The matrix engine alone (``pu_matmul``), or the whole unit (``pu_unit``).
    """
    config = design.config
    if design.sfu is None:
        top, text, registers = TOP, render_unit(config), engine_registers(config)
    else:
        top, text = UNIT_TOP, render_processing_unit(design)
        registers = unit_registers(config)
    text = {
        **text,
        FILE_LIST: file_list(text),
        CONSTRAINTS: timing_constraints(top),
        "REGISTERS.md": register_table(config, registers, top),
    }
    report = {
        "top": top,
        "lanes": config.lanes,
        "product_bits": config.product_bits,
        "accumulator_bits": config.acc_bits,
        "longest_k": config.longest,
    }
    return Design({f"rtl/{name}": data.encode() for name, data in text.items()}, report)
