"""Units in the wrong order, or a turn too few: the fault is located by layer and channel."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conv_faults import located, replace_text
from device_client import DeviceClient
from packed_records import change_field
from random_networks import random_frames
from tiers import thinned
from turn_designs import force_turns

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.schedule import schedule
from shiftforge.generator.conv.target import generate
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import QuantizedModel

POOL, OUTPUT = 9, 10
# What is changed in the text of designs that take two of 16 units of two frames at once. An output
# that lacks a turn lacks its last two units, and the next group's come at their place.
FAULTS = {
    "order of a pool's units": (
        POOL, "whole = SF_POOL_FRONT(s->sum[i / SF_VECTORS][i % SF_VECTORS]);",
        "whole = s->sum[i / SF_VECTORS][i % SF_VECTORS].s10;",
    ),
    "a turn of a pool too few": (POOL, "in.pool_turns = 16;", "in.pool_turns = 15;"),
    "a code at another place": (POOL, "last ? codes[0] : SF_POOL_FRONT(px)", "SF_POOL_FRONT(px)"),
    "order of the output's units": (
        OUTPUT, "SF_STORED_FRONT(v) (v).s01", "SF_STORED_FRONT(v) (v).s10",
    ),
    "the output does not turn": (OUTPUT, "      post_turn(s);\n", ""),
    "a turn of the output too few": (OUTPUT, "", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    return random_model(5, ModelOptions(height=12, width=11, out_channels=27))


@pytest.fixture(scope="module")
def design(model: QuantizedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("turns") / "project"
    with pytest.MonkeyPatch.context() as patch:
        force_turns(patch, 2, 2)
        board = load_board("s10gx2800")
        generate(model, board, units=16, pixels=3, frames=2).write(folder)
    return folder


@pytest.mark.parametrize("fault", thinned(FAULTS, 3))
def test_wrong_turns_are_located(
    fault: str, model: QuantizedModel, design: Path, tmp_path: Path,
    on_device: Callable[[str], DeviceClient],
) -> None:  # fmt: skip
    layers = schedule(model).layers
    assert layers[POOL].pool is not None and layers[OUTPUT].direct
    layer, old, new = FAULTS[fault]
    folder = tmp_path / "project"
    shutil.copytree(design, folder)
    if old:
        replace_text(folder, old, new)
    else:
        change_field(folder, "post", layer, "every", -1)
    frames = random_frames(model, 7, frames=2)
    divergence, wrong = located(model, folder, frames, on_device("pocl"))
    assert divergence.stage == layers[layer].result.name
    assert divergence.index("channel") in wrong
    if fault.endswith("output too few"):
        # The second frame's pixel lacks its last turn, and what follows is stored in its place.
        assert wrong[0] == 14
