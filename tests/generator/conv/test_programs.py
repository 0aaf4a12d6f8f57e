"""The stream of records and parameters: a word of each kernel a beat, parameters behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from packed_records import parameter_places, words_of
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.network import network_of
from shiftforge.generator.conv.packing import Packing, pack_records
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.generator.conv.programs import (
    BEAT_WORDS,
    FOLLOWING,
    STEP_KERNELS,
    TAKEN,
    batch_record_beats,
    head_beats,
    pack_stream,
    program_channels,
)
from shiftforge.generator.conv.records import PostPass
from shiftforge.generator.conv.target import generate
from shiftforge.generator.conv.weights import ParameterLayout, pack_parameters, parameter_bytes

BOARD = load_board("a10gx1150")
GROUPS = (2, 1, 3)
STEPS = len(GROUPS)


def packings(**counts: int) -> tuple[dict[str, Packing], dict[str, list[PostPass]]]:
    """Records of each kernel, of two words for those that are named last."""
    records = {
        name: [PostPass(low=(i << 28 - n) - (n << 27), high=i << 22) for i in range(count)]
        for n, (name, count) in enumerate(counts.items())
    }
    return {name: pack_records(PostPass, own) for name, own in records.items()}, records


def followed(stream: NDArray[np.uint32], kernels: list[str]) -> tuple[dict[str, list[int]], Any]:
    """What each kernel is sent, and the beats of parameters: read from the text's description."""
    words: dict[str, list[int]] = {name: [] for name in kernels}
    constants, left = [], 0
    for beat in stream:
        if left:
            constants.append(beat)
            left -= 1
            continue
        for place, name in enumerate(kernels):
            if beat[TAKEN] >> place & 1:
                words[name].append(int(beat[place]))
        left = int(beat[FOLLOWING])
    return words, constants


@pytest.mark.parametrize("beat", [32, 64, 256])
@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("moved", [0, 2])
def test_every_kernel_is_sent_its_records_in_order(beat: int, image: int, moved: int) -> None:
    others = {"fetch": moved, "store": 3} if moved else {}
    kinds, records = packings(controller=STEPS + image, conv=STEPS + 1, post=STEPS, **others)
    parameters = np.random.default_rng(0).integers(0, 256, sum(GROUPS) * beat, np.uint8).tobytes()
    content = pack_stream(kinds, records, parameters, GROUPS, beat)
    stream = np.frombuffer(content, "<u4").reshape(-1, beat // 4)
    assert len(stream) == (
        head_beats(kinds) + batch_record_beats(kinds, STEPS, bool(image)) + sum(GROUPS)
    )
    words, constants = followed(stream, list(kinds))
    for name, own in kinds.items():
        assert words[name] == own.packed(records[name]).reshape(-1).tolist(), name
    assert np.concatenate(constants).tobytes() == parameters
    # The head has the first record of conv and all of the kernels that move maps.
    head, _ = followed(stream[: head_beats(kinds)], list(kinds))
    assert {name: len(own) for name, own in head.items()} == {
        name: own.words if name == "conv" else 0 if name in STEP_KERNELS else own.total_words
        for name, own in kinds.items()
    }


def test_the_parameters_of_a_step_follow_its_records() -> None:
    kinds, records = packings(controller=STEPS, conv=STEPS + 1, post=STEPS)
    content = pack_stream(kinds, records, bytes(64 * sum(GROUPS)), GROUPS, 64)
    stream = np.frombuffer(content, "<u4").reshape(-1, 16)
    told = stream[stream[:, FOLLOWING] > 0, FOLLOWING]
    assert told.tolist() == list(GROUPS)


def test_a_beat_has_room_for_all_words() -> None:
    """Of the fewest units, with every kernel that there is."""
    model = random_network(2, layers=3)
    array = array_for(model, 8, 1)
    for layout in (ParameterLayout(False, 20, True), ParameterLayout(True, 32, False)):
        assert parameter_bytes(array, layout) >= 4 * BEAT_WORDS
    assert max(TAKEN, FOLLOWING) < BEAT_WORDS
    names = ["controller", "conv", "post", *(f"k{n}" for n in range(TAKEN - 2))]
    kinds, records = packings(**dict.fromkeys(names, 2))
    with pytest.raises(ValueError, match="7 kernels with records, and 6 words in a beat"):
        pack_stream(kinds, records, bytes(64), (1,), 64)


def test_channels_go_from_the_parameters_to_their_kernels() -> None:
    model = random_network(1, layers=3)
    plan = make_plan(model, BOARD, array_for(model, 8, 1))
    found = [c for c in plan.channels if c.type == "uint"]
    assert found == program_channels(plan.packings)
    assert {(c.name, c.writer, c.reader) for c in found} == {
        (f"program_{name}", "params", name) for name in STEP_KERNELS
    }
    # A whole record waits in its channel.
    assert all(c.depth >= own.words for c, own in zip(found, plan.packings.values(), strict=True))


def test_a_project_has_the_plans_records_and_parameters(tmp_path: Path) -> None:
    model = random_network(5, layers=4)
    generate(model, BOARD, units=16, pixels=3).write(tmp_path / "p")
    network = network_of(model)
    plan = make_plan(network, BOARD, array_for(model, 16, 3))
    beat = parameter_bytes(plan.array, plan.parameters)
    content = np.fromfile(tmp_path / "p/data/params.bin", np.uint8).reshape(-1, beat)
    manifest = json.loads((tmp_path / "p/shiftforge.json").read_text())
    assert manifest["head_beats"] == head_beats(plan.packings)
    assert manifest["record_beats"] == plan.record_beats
    assert len(content) == manifest["head_beats"] + plan.frame_beats
    assert manifest["programs"] == list(plan.packings)
    own = pack_parameters(network.layers, plan.array, plan.parameters)
    assert content[parameter_places(tmp_path / "p")].tobytes() == own
    posts = plan.packings["post"].packed([step.post for step in plan.steps])
    assert words_of(tmp_path / "p", "post").tolist() == posts.tolist()
    fills = plan.packings["conv"].packed([*(step.conv for step in plan.steps), plan.fill])
    assert words_of(tmp_path / "p", "conv").tolist() == fills.tolist()
