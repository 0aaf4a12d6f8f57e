"""What the cycle model and the proofs say of the generated text is true of that text."""

from __future__ import annotations

import re

import pytest

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.cycles import loader_cycles
from shiftforge.generator.conv.kernels import render_accelerator
from shiftforge.generator.conv.plan import array_for, bytes_per_cycle, make_plan
from shiftforge.quant.graph.example import random_model

BOARD = load_board("a10gx1150")


def _text_and_plan():
    model = random_model(3)
    plan = make_plan(model, BOARD, array_for(model, 16, 7))
    return render_accelerator(plan), plan


def _body(text: str, name: str) -> str:
    start = text.index(f"{name}(")
    return text[start : text.index("\n}\n", start)]


def _layer_changes_under_ivdep(text: str) -> list[str]:
    """Functions that change the layer and are called in a loop that carries an ivdep."""
    found = []
    for match in re.finditer(r"#pragma ivdep[^\n]*\n\s*while \([^;]*?\)\s*(\w+)\(", text):
        called = match.group(1)
        body = _body(text, f"static void {called}")
        found += [called for name in ("sf_seek", "sf_advance", "begin_layer") if name in body]
    return found


def test_ivdep_stands_on_a_loop_inside_one_layer():
    text, _ = _text_and_plan()
    assert text.count("#pragma ivdep") == 1
    assert _layer_changes_under_ivdep(text) == []


def test_a_layer_change_under_ivdep_is_seen():
    text, _ = _text_and_plan()
    planted = text.replace(
        "    s->stored++;\n", "    s->stored++;\n    sf_seek(&s->at, 0, 0, 2);\n", 1
    )
    assert _layer_changes_under_ivdep(planted) == ["controller_step"]


def test_loader_cycles_are_the_loops_of_the_text():
    text, plan = _text_and_plan()
    size = {k: int(v) for k, v in re.findall(r"#define SF_((?:IMAGE|MAP)_\w+) (\d+)", text)}
    fetches = size["IMAGE_KERNEL"] * size["IMAGE_CHANNELS"] * size["IMAGE_BLOCKS"]
    lines = size["MAP_GROUPS"] * size["MAP_TILES"]
    expected = size["MAP_ROWS"] * (fetches + lines)
    assert loader_cycles(plan.image, plan.image_shape, plan.array, 1e9) == expected
    assert size["IMAGE_BLOCKS"] * size["IMAGE_BLOCK"] >= (
        (size["MAP_COLUMNS"] - 1) * size["IMAGE_STRIDE"] + size["IMAGE_KERNEL"]
    )


def test_a_slow_memory_slows_the_loader():
    _, plan = _text_and_plan()
    fast = loader_cycles(plan.image, plan.image_shape, plan.array, bytes_per_cycle(BOARD))
    assert loader_cycles(plan.image, plan.image_shape, plan.array, 0.5) > 2 * fast


@pytest.mark.parametrize("name", ["pool_step", "conv_array"])
def test_inner_loops_are_unrolled(name: str):
    text, _ = _text_and_plan()
    body = _body(text, f"static void {name}").split("\n")
    loops = [i for i, line in enumerate(body) if re.search(r"\bfor \(", line)]
    assert loops and all("#pragma unroll" in body[i - 1] for i in loops)
