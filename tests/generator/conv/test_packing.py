"""Records as packed words: what is packed comes back as the text unpacks it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from packed_records import change_field, read_field, words_of
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.kernels import left_out, render_accelerator
from shiftforge.generator.conv.packing import Packing, pack_records
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.generator.conv.records import (
    ControllerPass,
    Pace,
    PostPass,
    StorePass,
    field_names,
    field_values,
)
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.example import ModelOptions, random_model

BOARD = load_board("a10gx1150")
MEMBER = re.compile(
    r"  in\.(?P<name>[\w.]+) = (?:(?P<value>-?\d+)"
    r"|\(int\)\(words\[(?P<word>\d+)\] (?P<op><<|>>) (?P<by>\d+)(?: & (?P<mask>\d+)u)?\)"
    r"(?: >> (?P<right>\d+))?);\n"
)


def unpacked(text: str, kernel: str, words: NDArray[np.uint32]) -> dict[str, list[int]]:
    """By name: what the text's function makes of records (records, words)."""
    body = text[text.index(f" {kernel}_unpack(") :]
    body = body[: body.index("\n}\n")]
    found = {}
    for m in MEMBER.finditer(body):
        if m["value"] is not None:
            found[m["name"]] = [int(m["value"])] * len(words)
            continue
        column = words[:, int(m["word"])]
        if m["op"] == "<<":
            signed = (column << np.uint32(int(m["by"]))).astype(np.int32) >> int(m["right"])
            found[m["name"]] = signed.tolist()
        else:
            found[m["name"]] = ((column >> np.uint32(int(m["by"]))) & int(m["mask"])).tolist()
    return found


def records_of(plan: Plan) -> dict[str, list[object]]:
    image = [] if plan.image_pass is None else [plan.image_pass]
    return {
        "controller": [*image, *(own.controller for own in plan.steps)],
        "conv": [*(own.conv for own in plan.steps), plan.fill],
        "post": [own.post for own in plan.steps],
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_the_text_unpacks_what_was_packed(seed: int) -> None:
    network = random_network(seed, layers=6)
    plan = make_plan(network, BOARD, array_for(network, 16, 1 + seed % 4, 1 + seed % 3))
    text = render_accelerator(plan)
    for kernel, records in records_of(plan).items():
        own = plan.packings[kernel]
        found = unpacked(text, kernel, own.packed(records))
        kept = [name not in left_out(plan) for name in field_names(own.kind)]
        assert list(found) == [n for n, k in zip(field_names(own.kind), kept, strict=True) if k]
        values = field_values(own.kind, records)
        assert list(found.values()) == values.T[np.array(kept)].tolist()


def packing() -> tuple[Packing, list[PostPass]]:
    records = [PostPass(every=3, low=-128, high=127, tiles_all=n) for n in (1, 900)]
    return pack_records(PostPass, [*records, replace(records[0], low=0)]), records


def test_a_wrong_width_is_seen() -> None:
    """By the bits that the text takes, of random records."""
    network = random_network(2, layers=6)
    plan = make_plan(network, BOARD, array_for(network, 16, 2))
    text, records = render_accelerator(plan), records_of(plan)["controller"]
    own = plan.packings["controller"]
    field = next(f for f in own.fields if f.name == "iterations")
    old = f"in.iterations = (int)(words[{field.word}] >> {field.low} & {(1 << field.bits) - 1}u);"
    assert text.count(old) == 3 or text.count(old) == 1
    narrow = text.replace(old, old.replace(f"{(1 << field.bits) - 1}u", f"{field.most >> 1}u"))
    found = unpacked(narrow, "controller", own.packed(records))
    assert found["iterations"] != field_values(ControllerPass, records)[:, 0].tolist()


def test_what_has_no_room_is_refused() -> None:
    own, records = packing()
    assert dict(own.constants)["every"] == 3 and dict(own.constants)["high"] == 127
    assert {f.name: (f.bits, f.signed) for f in own.fields} == {
        "tiles_all": (10, False), "low": (8, True)
    }  # fmt: skip
    assert (own.words, own.bits, own.count) == (1, 18, 3)
    with pytest.raises(ValueError, match="tiles_all has a value that does not fit 10 bits"):
        own.packed([replace(records[0], tiles_all=1024)])
    with pytest.raises(ValueError, match="low has a value that does not fit 8 bits"):
        own.packed([replace(records[0], low=-129)])
    with pytest.raises(ValueError, match="every is 3 in all records, and not in these"):
        own.packed([replace(records[0], every=4)])


def test_a_record_without_fields_has_a_word() -> None:
    own = pack_records(StorePass, [StorePass(iterations=5)] * 2)
    assert (own.words, own.bits, own.fields) == (1, 0, ())
    assert own.packed([StorePass(iterations=5)] * 2).tolist() == [[0], [0]]


def test_whole_words_and_signs() -> None:
    """Values of 32 bits, and a field as wide as its least value alone asks for."""
    ends = -(1 << 31), (1 << 31) - 1
    records = [PostPass(low=ends[0], high=0, rows=-1), PostPass(low=ends[1], high=1 << 30)]
    own = pack_records(PostPass, records)
    assert {f.name: (f.bits, f.signed) for f in own.fields} == {
        "low": (32, True), "high": (31, False), "rows": (1, True)
    }  # fmt: skip
    assert own.packed(records)[:, 0].tolist() == [1 << 31, (1 << 31) - 1]


def test_addresses_have_room_for_the_whole_memory() -> None:
    records = [ControllerPass(base=0, results=Pace(first=n)) for n in (4, 5)]
    own = pack_records(ControllerPass, records, {"base": (0, 1000)})
    assert {f.name: f.bits for f in own.fields} == {"base": 10, "results.first": 3}
    # A window may begin before its map, wherever that is placed.
    own = pack_records(ControllerPass, records, {"base": (-4, 1000)})
    assert {f.name: f.bits for f in own.fields} == {"base": 11, "results.first": 3}


def test_the_helper_reads_and_changes_fields_of_a_project(tmp_path: Path) -> None:
    model = random_model(5, ModelOptions(height=12, width=11))
    generate(model, BOARD, units=16, pixels=7).write(tmp_path / "p")
    plan = make_plan(model, BOARD, array_for(model, 16, 7))
    first = plan.image_pass is not None
    for n, own in enumerate(plan.steps):
        assert read_field(tmp_path / "p", "controller", n + first, "a1") == own.controller.a1
        assert read_field(tmp_path / "p", "conv", n, "run0.words") == own.conv.run0.words
    before = words_of(tmp_path / "p", "controller")
    change_field(tmp_path / "p", "controller", 2, "base", 1)
    after = words_of(tmp_path / "p", "controller")
    assert np.argwhere(before != after)[:, 0].tolist() == [2]
    base = plan.steps[2 - first].controller.base
    assert read_field(tmp_path / "p", "controller", 2, "base") == base + 1
    constant = dict(plan.packings["controller"].constants)
    with pytest.raises(ValueError, match="a literal of the text"):
        change_field(tmp_path / "p", "controller", 2, next(iter(constant)), 1)
    with pytest.raises(ValueError, match="does not fit"):
        change_field(tmp_path / "p", "conv", 2, "mode", 9)
