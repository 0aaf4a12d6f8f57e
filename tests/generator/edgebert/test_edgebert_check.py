"""A text classifier's sizes against the unit, before anything is converted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from albert_cases import integer_case

from shiftforge.boards.load import load_board
from shiftforge.generator.edgebert.check import TextDraft, check_sizes
from shiftforge.generator.edgebert.encoder import LayerShape
from shiftforge.generator.edgebert.options import LANES, Options
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.quant.albert.network.config import head_problems

GOOD = TextDraft("small", 16, 64, 4, 128, 2, 32)
BOARD = load_board("a10gx1150")


@pytest.mark.parametrize(
    ("changes", "told", "row"),
    [
        ({"hidden": 96, "heads": 12}, "heads of 8 columns", "attention"),
        ({"hidden": 60, "heads": 7}, "7 heads in 60 columns", "attention"),
        ({"length": 2000}, "2000 tokens a row of softmax", "attention"),
        (
            {"hidden": 4096, "heads": 64},
            "4096 columns a row of softmax or layer norm",
            "layer norm",
        ),
        ({"embedding": 100_000}, "100000 columns, the function unit takes", "embeddings"),
        ({"classes": 1000}, "1000 classes", "off-ramps"),
        ({"layers": 0}, "0 layers", "attention"),
    ],
)
def test_sizes_that_no_unit_runs_are_named(changes: dict[str, int], told: str, row: str) -> None:
    report = check_sizes(replace(GOOD, **changes), None, Options())  # type: ignore[arg-type]
    assert not report.maps and any(told in problem.what for problem in report.problems)
    assert all(problem.remedy for problem in report.problems)
    named = [r.node for r in report.rows if any(told in p.what for p in r.problems)]
    assert named == [row] and all(r.maps is None for r in report.rows)


def test_good_sizes_map() -> None:
    report = check_sizes(GOOD, None, Options())
    assert report.maps and not report.figures
    assert {row.maps for row in report.rows} == {"unit of 16 lanes"}
    told = check_sizes(GOOD, None, Options(lanes=32)).problems
    assert any("on 32 lanes" in problem.what for problem in told)
    assert "7 lanes are not offered" in str(check_sizes(GOOD, None, Options(7)).problems[0])


def test_the_figures_are_those_of_the_network() -> None:
    network = integer_case()
    draft = TextDraft(
        "case", network.length, network.hidden, network.heads, network.ffn, network.layers,
        network.words.columns, len(network.classes), network.weights,
    )  # fmt: skip
    report = check_sizes(draft, BOARD, Options())
    assert report.maps and report.board == BOARD.name
    plan = plan_sentence(choose_unit(network), network, network.length)
    assert report.figures["sentence_ideal_cycles"] == plan.program.ideal_cycles
    assert report.figures["external_memory_bytes"] == plan.program.beats * 16


def test_a_board_that_is_too_small_is_told() -> None:
    report = check_sizes(GOOD, replace(BOARD, alm=400), Options())
    assert [problem.where for problem in report.problems] == [BOARD.name]


def test_heads_that_quantize_takes_are_those_that_a_unit_runs() -> None:
    """quant knows no unit, and has the widths once more."""
    for width in range(1, 513):
        shape = LayerShape(16, 2 * width, 2, 64)
        runs = any(not shape.problems(lanes) for lanes in LANES)
        assert runs == (not head_problems(2 * width, 2)), width
