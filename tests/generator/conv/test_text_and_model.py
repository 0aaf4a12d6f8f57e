"""What the planner says of the generated text is true of that text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from random_networks import random_network

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.kernels import render_accelerator
from shiftforge.generator.conv.plan import Plan, array_for, make_plan
from shiftforge.quant.graph.example import random_model

BOARD = load_board("s10gx2800")


def _text_and_plan() -> tuple[str, Plan]:
    model = random_model(3)
    plan = make_plan(model, BOARD, array_for(model, 16, 7))
    return render_accelerator(plan), plan


def _body(text: str, name: str) -> str:
    start = text.index(f"{name}(")
    return text[start : text.index("\n}\n", start)]


def _promised_loops(text: str) -> list[tuple[str, str]]:
    """(head, function that is called) of every loop that carries an ivdep."""
    pattern = r"#pragma ivdep[^\n]*\n(?:\s*/\*[^\n]*\n|\s*#pragma[^\n]*\n)*\s*([^\n]*)"
    heads = {m[1] for m in re.finditer(pattern, text)}
    return sorted((head.split(") ")[0] + ")", head.split(") ")[1].split("(")[0]) for head in heads)


def _layer_changes(text: str) -> list[str]:
    """Functions in such a loop that take another record."""
    return [
        called for _, called in _promised_loops(text)
        if re.search(r"(?<!loader_)(begin|_layer_t in = )\(?", _body(text, f"static void {called}"))
    ]  # fmt: skip


def test_a_promise_stands_on_a_loop_inside_one_layer() -> None:
    text, _ = _text_and_plan()
    assert [called for _, called in _promised_loops(text)] == [
        "controller_iterate", "conv_iterate", "post_iterate",
    ]  # fmt: skip
    # The trip count is known at the loop's entry.
    assert {head for head, _ in _promised_loops(text)} == {
        "for (int i = 0; i < in.iterations; ++i)",
    }  # fmt: skip
    assert _layer_changes(text) == []


def test_a_layer_change_under_a_promise_is_seen() -> None:
    text, _ = _text_and_plan()
    planted = text.replace(
        "    s->stored++;\n", "    s->stored++;\n    controller_begin(s, in);\n", 1
    )
    assert planted != text
    assert _layer_changes(planted) == ["controller_iterate"]


def _sizes(text: str) -> dict[str, int]:
    return {k: int(v) for k, v in re.findall(r"#define SF_(\w+) (\d+)\b", text)}


@pytest.mark.parametrize("seed", range(12))
def test_sizes_of_the_text_hold_what_the_records_touch(seed: int) -> None:
    model = random_network(seed, layers=8, family="mixed" if seed % 2 else "two-term")
    plan = make_plan(model, BOARD, array_for(model, 16, 1 + seed))
    size = _sizes(render_accelerator(plan))
    assert size["LAYERS"] == len(plan.steps)
    assert size["PASSES"] == len(plan.steps) + (plan.image_pass is not None)
    words = [run.words for p in plan.steps for run in p.conv.runs]
    most = max(words + [p.conv.last_words for p in plan.steps])
    assert size["WEIGHT_HALF"] >= most and size["WEIGHT_HALF"] & (size["WEIGHT_HALF"] - 1) == 0
    assert size["ROW_LINES"] >= max(p.conv.row_length for p in plan.steps)
    assert size["GROUPS"] >= max(p.post.groups for p in plan.steps)
    for own in plan.steps:
        assert size["FM_LINES"] >= own.controller.out_base + own.controller.stores
    image = plan.image
    assert (size["MAP_ROWS"], size["MAP_LINES"]) == (image.map_rows, image.lines)
    assert size["IMAGE_PASSES"] == image.passes
    assert size["BATCH_BEATS"] == plan.record_beats + sum(p.post.groups for p in plan.steps)
    words = [run.words * run.groups for p in plan.steps for run in p.conv.runs]
    assert plan.frame_words == sum(words)
    assert size["WEIGHT_BEATS"] == plan.beats.count * plan.frame_words


def test_vectors_in_memories_are_powers_of_two() -> None:
    for units, pixels in ((16, 7), (32, 3), (16, 1), (32, 16)):
        model = random_model(3)
        text = render_accelerator(make_plan(model, BOARD, array_for(model, units, pixels)))
        stored = re.findall(r"(\w+)\[(?:2 \* )?(\d+)\]; \} (stored_\w+_t)", text)
        assert {name for _, _, name in stored} == {
            "stored_line_t", "stored_rows_t", "stored_weight_t",
        }  # fmt: skip
        assert all(int(n) & (int(n) - 1) == 0 for _, n, _ in stored)
        beats = re.findall(r"\} (\w+) __attribute__\(\(aligned\((\d+)\)\)\);", text)
        assert {name for name, _ in beats} == {
            "weight_beat_t", "rest_beat_t", "image_beat_t", "param_word_t", "output_beat_t",
        }  # fmt: skip
        assert all(int(n) & (int(n) - 1) == 0 for _, n in beats)
        # A beat of the image is a line, however short; one of the output may be of some units.
        short = ("image_beat_t", "output_beat_t")
        assert all(int(n) >= 64 for name, n in beats if name not in short)


@pytest.mark.parametrize("name", ["conv_array", "conv_iterate", "post_iterate", "loader_iterate"])
def test_inner_loops_are_unrolled(name: str) -> None:
    text, _ = _text_and_plan()
    assert _rolled(_body(text, f"static void {name}")) == []
    planted = _body(text, f"static void {name}").replace("#pragma unroll", "", 1)
    assert len(_rolled(planted)) == 1


def _rolled(body: str) -> list[str]:
    lines = body.split("\n")
    loops = [i for i, line in enumerate(lines) if re.search(r"\bfor \(", line)]
    assert loops
    return [lines[i] for i in loops if "#pragma unroll" not in lines[i - 1]]


def test_the_round_trip_is_told_in_the_text() -> None:
    model = random_model(3)
    board = replace(BOARD, latencies={"conv": 75})
    plan = make_plan(model, board, array_for(model, 16, 7))
    assert plan.latencies.round_trip == 20 + 75 + 80 + 3 * 3
    text = render_accelerator(plan)
    assert f"a result is read {plan.latencies.round_trip} iterations or more after" in text
