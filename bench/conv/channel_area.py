"""What the channels of the convolution kernels cost, before one loop a layer and today.

    python bench/conv/channel_area.py

Computed from published reports of Intel's compiler (channel_facts.csv, with repository, path and
commit), for the network and the array of kernel_forms.py. Nothing here was compiled.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import command_line, print_table
from bench.conv.old_form import read_old_form, with_bits
from bench.conv.shapes import mobilenet_v2
from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.files import read_text
from shiftforge.generator.conv.area import Block
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.target import generate

__all__ = ["FACTS", "Cost", "channel_cost", "read_facts"]

FACTS = Path(__file__).with_name("channel_facts.csv")
SHALLOW = 16
"""Deepest channel that the reports for Arria 10 show without RAM blocks."""


@dataclass(frozen=True)
class Cost:
    """Look-up tables, flip-flops and RAM blocks."""

    aluts: float
    ffs: float
    rams: int


def read_facts() -> dict[tuple[int, int], Cost]:
    """What compilers said of a channel, by width in bits and depth."""
    rows = csv.DictReader(StringIO(read_text(FACTS)))
    return {
        (int(r["width"]), int(r["depth"])): Cost(int(r["aluts"]), int(r["ffs"]), int(r["rams"]))
        for r in rows
    }


def channel_cost(bits: int, depth: int, board: Board, in_ram: bool = False) -> Cost:
    """A channel's cost by width: of the nearest reported one.

    To a depth of 16 as 512 x 16 on Arria 10 (17.1), in proportion to the width; deeper as 576 x 256
    (16.1), look-up tables as they are, flip-flops in proportion, and the RAM blocks of a memory of
    that shape on the board. in_ram: also shallow ones in RAM blocks.
    """
    facts = read_facts()
    if depth <= SHALLOW and not in_ram:
        like = facts[512, 16]
        return Cost(like.aluts * bits / 512, like.ffs * bits / 512, 0)
    like = facts[576, 256]
    block = Block(board.ram_block_bits, board.ram_block_max_width)
    return Cost(like.aluts, like.ffs * bits / 576, int(block.blocks(bits, depth)))


def totals(channels: Iterable[dict[str, Any]], board: Board, in_ram: bool) -> Cost:
    """All channels together."""
    found = [channel_cost(c["bits"], c["depth"], board, in_ram) for c in channels]
    return Cost(sum(c.aluts for c in found), sum(c.ffs for c in found), sum(c.rams for c in found))


def main() -> None:
    """Print the tables."""
    form = read_old_form()
    board, model = load_board(form.board), mobilenet_v2(terms=form.terms)
    plan = make_plan(model, board, array_for(model, form.units, form.pixels))
    design = generate(model, board, units=form.units, pixels=form.pixels)
    text = design.files["device/accelerator.cl"].decode()
    named = [{"name": c.name, "type": c.type, "depth": c.depth} for c in plan.channels]
    forms = {
        f"before ({form.commit[:7]}), nine kernels": list(form.channels),
        "today, six kernels": with_bits(text, named),
    }
    print(f"# {command_line()}")
    print(f"MobileNetV2 1.0/224, {form.terms}-term, {form.units} x {form.pixels}, {board.name}.")
    rows = []
    for name, channels in forms.items():
        mixed, ram = (totals(channels, board, in_ram) for in_ram in (False, True))
        wide = sum(c["bits"] for c in channels)
        held = sum(c["bits"] * c["depth"] for c in channels) / 1e3
        figures = (len(channels), wide, held, mixed.aluts, mixed.ffs, mixed.rams, ram.rams)
        rows.append([name, *(f"{figure:,.0f}" for figure in figures)])
    head = ["kernels", "channels", "bits wide in all", "kbit held", "ALUTs", "flip-flops"]
    print_table([*head, "RAM blocks", "if all lie in RAM"], rows)
    for name, channels in forms.items():
        words = (f"{c['name']} {c['bits']} x {c['depth']}" for c in channels)
        print(f"{name}: {', '.join(words)}")


if __name__ == "__main__":
    main()
