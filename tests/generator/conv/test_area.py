"""The area model: items with sources, shapes of memories, numbers and arrays alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mobilenet import mobilenet_v2

from shiftforge.boards.load import list_boards, load_board
from shiftforge.generator.conv.area import (
    Block,
    Fifo,
    Memory,
    area_items,
    estimate_area,
    features_of,
)
from shiftforge.generator.conv.area.numbers import alms, power_of_two
from shiftforge.generator.conv.area.traffic import fifo_item, memory_item
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.plan_document import plan_totals
from shiftforge.generator.conv.weights import parameter_bytes
from shiftforge.quant.graph.example import random_model

M20K, M10K = Block(20480, 40), Block(10240, 40)
KINDS = ("synthesised", "reports", "fitted to reports", "counted in the template", "assumed",
         "RAM blocks by shape")  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    model, board = mobilenet_v2(), load_board("a10gx1150")
    return make_plan(model, board, array_for(model, 16, 7), must_fit=False)


def test_every_item_has_a_name_and_a_source(plan: Plan) -> None:
    items = plan.area.items
    assert len({item.name for item in items}) == len(items) > 30
    assert all(item.source.startswith(KINDS) for item in items)
    for name in ("lanes", "operand multiplexers", "requantisation", "residual addition",
                 "global pool", "pointwise rings with barrel shifters", "feature-map memory",
                 "load weights", "store output", "dispatch"):  # fmt: skip
        assert name in {item.name for item in items}
    assert {f"FIFO {c.name}" for c in plan.channels} <= {item.name for item in items}
    # One load brings parameters and programs.
    loads = [item.name for item in items if item.name.startswith("load ")]
    assert set(loads) <= {"load image", "load weights", "load rests of weights", "load parameters"}


def test_parameters_of_a_word_a_channel_take_half(plan: Plan) -> None:
    """Of their load and memory; of the channel, what is used of them: four bytes of five."""
    narrow, wide = plan, replace(plan, acc_bits=32)
    assert narrow.parameters.shared and not wide.parameters.shared
    found, beside = features_of(narrow), features_of(wide)
    for own, other, share in (
        (found.memories, beside.memories, 0.5),
        (found.accesses, beside.accesses, 0.5),
        (found.fifos, beside.fifos, 0.8),
    ):
        pairs = [(a.bits, b.bits) for a, b in zip(own, other, strict=True) if "param" in a.name]
        assert len(pairs) == 1 and pairs[0][0] == share * pairs[0][1]
    records = narrow.frame_beats * 64
    assert records == narrow.frame_beats * parameter_bytes(plan.array, narrow.parameters)
    assert wide.traffic_bytes - narrow.traffic_bytes == records


def test_totals_are_the_items(plan: Plan) -> None:
    area, totals = plan.area, plan_totals(plan)
    assert area.alm == sum(item.alm for item in area.items) == totals["alm"]
    assert area.ram_blocks == sum(item.ram_blocks for item in area.items)
    assert totals["modelled_alm"] == totals["alm"]
    assert totals["modelled_ram_blocks"] == totals["ram_blocks"]
    assert totals["alm_fraction"] == round(area.alm / plan.board.alm, 4)
    assert totals["ram_fraction"] == round(area.ram_blocks / plan.board.ram_blocks, 4)
    assert [item["name"] for item in totals["area"]] == [item.name for item in area.items]
    assert json.loads(json.dumps(totals)) == totals, "plain numbers"
    assert area.alm_packed == area.alm - round(plan.array.lanes * 3.9)


def test_the_boards_own_logic_stands_apart(plan: Plan) -> None:
    assert plan.area.bsp_alm == (113_900 + 227_800) // 4 == plan_totals(plan)["bsp_alm"]
    assert plan.area.bsp_ram == 377
    for name in list_boards():
        other = estimate_area(replace(features_of(plan), board=name))
        assert (other.alm, other.ram_blocks) == (plan.area.alm, plan.area.ram_blocks)
        assert other.bsp_source.startswith(("reports", "assumed"))
    unknown = estimate_area(replace(features_of(plan), board="mine"))
    assert unknown.bsp_source.startswith("assumed")


def test_map_bytes_are_what_the_text_declares(plan: Plan) -> None:
    line, stored = 112, 128
    depths = {c.name: c.depth for c in plan.channels}
    fifos = sum(line * depths[n] for n in ("image", "operand", "skip", "result"))
    maps = plan.memory.total_lines * stored + plan.row_lines * 2 * stored
    assert plan.area.map_bytes == maps + fifos


def test_what_a_network_does_not_need_takes_nothing() -> None:
    model = random_model(2)
    plain = make_plan(model, load_board("a10gx1150"), array_for(model, 16, 3), must_fit=False)
    of = features_of(plain)
    with_it = {i.name for i in area_items(replace(of, residual=True, pool_terms=(3,), windows=1))}
    without = {i.name for i in area_items(replace(of, residual=False, pool_terms=(), windows=0))}
    assert with_it - without == {"residual addition", "global pool", "depthwise window"}


@pytest.mark.parametrize(
    ("block", "bits", "words", "found"),
    [
        (M20K, 64, 4096, 13),  # OxfordSKA/FPGA_Gridding, 17.1.1
        (M20K, 64, 524288, 2048),
        (M20K, 64, 32768, 128),
        (M20K, 64, 1024, 4),  # pc2/hpcc_fpga_eval_21, 19.4
        (M20K, 512, 16384, 512),
        (M20K, 512, 4096, 103),
        (M20K, 256, 4096, 52),
        (M20K, 256, 64, 7),
        (M20K, 1024, 32, 26),
        (M20K, 1024, 13440, 1024),  # the maps of MobileNetV2-224
        (M10K, 64, 4096, 32),  # gandautama/PipeCNN, 17.0
        (M10K, 8, 256, 1),
        (M10K, 64, 32, 2),
    ],
)
def test_memories_take_the_blocks_that_reports_say(
    block: Block, bits: int, words: int, found: int
) -> None:
    assert block.blocks(bits, words) == found


def test_fifos_lie_in_mlabs_to_32_words(plan: Plan) -> None:
    of = features_of(plan)
    shallow, deep = (fifo_item(of, Fifo("f", 512, words)) for words in (16, 64))
    assert (shallow.ram_blocks, deep.ram_blocks) == (0, 13)
    # 531 look-up tables with those of the MLABs and 1,699 flip-flops: OxfordSKA, 17.1.1
    assert shallow.alm == pytest.approx(alms(531 / 2, 1699), rel=0.02)
    assert deep.alm < shallow.alm


def test_an_unused_bank_takes_nothing(plan: Plan) -> None:
    of = features_of(plan)
    one, nine = (memory_item(of, Memory("m", 512, 16, 16, used)) for used in (1, 9))
    assert nine.alm == pytest.approx(9 * one.alm) and nine.ram_blocks == 9 * one.ram_blocks


def test_frames_in_flight_share_what_belongs_to_weights() -> None:
    model, board = mobilenet_v2(96), load_board("a10gx1150")
    one, two = (
        {i.name: i for i in make_plan(model, board, array_for(model, 16, 4, frames),
                                      must_fit=False).area.items}
        for frames in (1, 2)
    )  # fmt: skip
    for name in ("weight decoders", "weight memory", "FIFO weight", "load weights"):
        assert one[name] == two[name]
    for name in ("lanes", "operand multiplexers", "requantisation", "depthwise window"):
        assert two[name].alm == pytest.approx(2 * one[name].alm, abs=1)
    assert one["global pool"].alm <= two["global pool"].alm < 2 * one["global pool"].alm
    maps = "feature-map memory"
    assert two[maps].ram_blocks == 2 * one[maps].ram_blocks


def test_arrays_give_what_numbers_give(plan: Plan) -> None:
    of = features_of(plan)
    places, units = np.array([1, 7, 14, 56]), np.array([16, 32, 16, 48])
    lines = np.array([5000, 13440, 20000, 1])
    depths = np.array([8, 32, 64, 1024])

    def chosen(pick: Any) -> Any:
        bits = 8 * pick(places) * pick(units)
        fifos = tuple(replace(f, bits=bits, depth=pick(depths)) for f in of.fifos)
        maps = replace(of.memories[0], bits=power_of_two(bits), words=pick(lines))
        return replace(of, places=pick(places), units=pick(units), fifos=fifos,
                       memories=(maps, *of.memories[1:]))  # fmt: skip

    many = area_items(chosen(lambda values: values))
    for i in range(4):
        single = area_items(chosen(lambda values, i=i: int(values[i])))
        for item, one in zip(many, single, strict=True):
            for kind in ("alm", "ram_blocks", "dsp"):
                own = np.broadcast_to(getattr(item, kind), 4)[i]
                assert own == pytest.approx(float(getattr(one, kind))), (item.name, kind)


def test_more_of_anything_takes_no_less(plan: Plan) -> None:
    of = features_of(plan)
    base = estimate_area(of).alm
    for more in ({"units": 32}, {"places": 14}, {"windows": 3}, {"right_bits": 6},
                 {"clamps_output": True}, {"residual_bits": 2}, {"pool_units": 2},
                 {"output_units": 2},
                 {"multiplier_requant": True}):  # fmt: skip
        assert estimate_area(replace(of, **more)).alm > base
    of = replace(of, slice_columns=7)
    base = estimate_area(of).alm
    for less in ({"accumulator_bits": 20}, {"raised_bits": 20}, {"slice_columns": 1}):
        assert estimate_area(replace(of, **less)).alm < base
    assert estimate_area(replace(of, floors=False)).alm > base
    wide = replace(of, folded=False)
    assert estimate_area(wide).alm > base
    assert estimate_area(replace(wide, left_bits=2)).alm > estimate_area(wide).alm
