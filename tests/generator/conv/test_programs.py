"""Programs in front of the parameters: a word of each a beat."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from packed_records import words_of
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.packing import Packing, pack_records
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.programs import (
    PROGRAM_WORDS,
    pack_programs,
    program_beats,
    program_channels,
)
from shiftforge.generator.conv.records import PostPass
from shiftforge.generator.conv.target import generate
from shiftforge.generator.conv.weights import ParameterLayout, pack_parameters, parameter_bytes

BOARD = load_board("a10gx1150")


def packings(*counts: int) -> tuple[dict[str, Packing], dict[str, list[PostPass]]]:
    records = {f"k{n}": [PostPass(low=(i << 28) - (n << 27), high=i << 22) for i in range(count)]
               for n, count in enumerate(counts)}  # fmt: skip
    return {name: pack_records(PostPass, own) for name, own in records.items()}, records


@pytest.mark.parametrize("beat", [32, 64, 256])
def test_word_n_of_every_program_lies_in_beat_n(beat: int) -> None:
    kinds, records = packings(3, 7, 2)
    table = np.frombuffer(pack_programs(kinds, records, beat), "<u4").reshape(-1, beat // 4)
    assert (
        len(table) == program_beats(kinds) == max(own.words * own.count for own in kinds.values())
    )
    assert kinds["k1"].words > 1
    for place, (name, own) in enumerate(kinds.items()):
        words = own.packed(records[name]).reshape(-1)
        assert words.any()
        assert table[: len(words), place].tolist() == words.tolist()
        assert not table[len(words) :, place].any()
    assert not table[:, len(kinds) :].any()


def test_a_beat_has_room_for_all_programs() -> None:
    """Of the fewest units, with every kernel that there is."""
    model = random_network(2, layers=3)
    array = array_for(model, 8, 1)
    for layout in (ParameterLayout(False, 20, True), ParameterLayout(True, 32, False)):
        assert parameter_bytes(array, layout) >= 4 * PROGRAM_WORDS
    kinds, records = packings(*[2] * PROGRAM_WORDS)
    assert len(pack_programs(kinds, records, 4 * PROGRAM_WORDS)) % (4 * PROGRAM_WORDS) == 0
    kinds, records = packings(*[2] * (PROGRAM_WORDS + 1))
    with pytest.raises(ValueError, match="9 programs, and 8 words in a beat"):
        pack_programs(kinds, records, 64)


def test_channels_go_from_the_parameters_to_their_kernels() -> None:
    model = random_network(1, layers=3)
    plan = make_plan(model, BOARD, array_for(model, 8, 1))
    found = [c for c in plan.channels if c.type == "uint"]
    assert found == program_channels(plan.packings)
    assert {(c.name, c.writer, c.reader) for c in found} == {
        (f"program_{name}", "params", name) for name in ("controller", "conv", "post")
    }
    assert all(c.depth == 8 for c in found)


def test_a_project_has_programs_and_behind_them_the_parameters(tmp_path: Path) -> None:
    model = random_network(5, layers=4)
    generate(model, BOARD, units=16, pixels=3).write(tmp_path / "p")
    network = network_of(model)
    plan = make_plan(network, BOARD, array_for(model, 16, 3))
    content = (tmp_path / "p/data/params.bin").read_bytes()
    manifest = json.loads((tmp_path / "p/shiftforge.json").read_text())
    assert manifest["program_beats"] == program_beats(plan.packings)
    assert manifest["programs"] == list(plan.packings)
    head = manifest["program_beats"] * parameter_bytes(plan.array, plan.parameters)
    own = pack_parameters(network.layers, plan.array, plan.parameters)
    assert content[head:] == own
    posts = plan.packings["post"].packed([step.post for step in plan.steps])
    assert words_of(tmp_path / "p", "post").tolist() == posts.tolist()
    fills = plan.packings["conv"].packed([*(step.conv for step in plan.steps), plan.fill])
    assert words_of(tmp_path / "p", "conv").tolist() == fills.tolist()
