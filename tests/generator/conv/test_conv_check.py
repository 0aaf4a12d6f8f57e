"""What `check` says of a float network is what the plan says of the quantised one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from geometry_cases import RULES, Chain, integer_model, random_graph

from shiftforge.boards.load import load_board
from shiftforge.errors import InputError
from shiftforge.generator.build import build
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.check import check_network, dry_model
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.plan import make_plan
from shiftforge.generator.conv.target import TARGET
from shiftforge.quant.capture.types import FloatConcat, FloatGraph, FloatShuffle
from shiftforge.quant.quantisation import Quantisation

BOARD = load_board("a10gx1150")


def planned(graph: FloatGraph, seed: int = 0) -> tuple[str, ...]:
    """What the plan of the quantised network refuses."""
    model = integer_model(graph, Quantisation().formats(graph), seed)
    try:
        make_plan(model, BOARD, ArrayShape(16, 4))
    except InputError as error:
        return tuple(map(str, error.problems))
    return ()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_told_before_and_after_in_the_same_words(rule: str) -> None:
    graph, told = RULES[rule]
    report = check_network(graph, Quantisation().formats(graph))
    assert not report.maps and any(told in problem.what for problem in report.problems)
    assert all(problem.remedy for problem in report.problems)
    assert tuple(map(str, report.problems)) == planned(graph)
    # The row of the node says it too, with the module's path.
    (row, *_) = [row for row in report.rows if any(told in p.what for p in row.problems)]
    assert row.maps is None and row.source.startswith("net.")
    assert row.source in row.problems[0].where


def test_every_fault_of_a_layer_is_told() -> None:
    chain = Chain()
    chain.conv(8, 3)
    chain.conv(16, 3, stride=5)
    chain.conv(16, 5, stride=3, groups=2, dilation=2, padding=(4, 4, 4, 4))
    graph = chain.graph()
    told = [p.what for p in check_network(graph, {}).problems]
    assert len(told) == 2
    for part in ("stride 5", "stride 3"):
        assert any(part in what for what in told)


def test_check_and_plan_agree_on_random_networks() -> None:
    refused = 0
    for seed in range(300):
        graph = random_graph(seed)
        report = check_network(graph, Quantisation().formats(graph))
        found = planned(graph, seed)
        assert report.maps == (not found), f"seed {seed}: {found}"
        assert tuple(map(str, report.problems)) == found, f"seed {seed}"
        for row in report.rows:
            assert (row.maps is not None) or not report.maps
        refused += not report.maps
    assert 40 < refused < 240  # both ends of the rules


def every_mode() -> FloatGraph:
    chain = Chain()
    chain.conv(16, 3, stride=2)
    first = chain.conv(16, 3, groups=16)
    chain.conv(16, 3)
    chain.add(first, chain.last)
    chain.conv(16, 1, stride=2)
    chain.pool()
    chain.conv(5, 1)
    return chain.graph()


def test_rows_say_where_each_node_runs() -> None:
    report = check_network(every_mode(), {})
    assert report.maps
    assert [row.maps for row in report.rows] == [
        "pointwise", "depthwise", "standard", "residual", "pointwise", "pool", "classifier"
    ]  # fmt: skip
    assert report.rows[3].detail == "with n2, which adds n1"
    assert report.rows[0].operator == "conv 3x3, stride 2, relu"


def test_the_plan_of_a_check_is_that_of_the_network() -> None:
    """No weight decides what an array takes."""
    graph = every_mode()
    formats = Quantisation(terms=1).formats(graph)
    report = check_network(graph, formats, BOARD)
    assert report.maps and report.board == "a10gx1150"
    design = build(TARGET, integer_model(graph, formats), BOARD, Options())
    # Widths of sums and shifts do decide, a little, the area, and by a word of records the cycles.
    assert set(report.figures) <= set(design.report)
    for name, value in report.figures.items():
        about = 0.05 if "alm" in name else 0.002 if isinstance(value, int | float) else 0
        assert design.report[name] == (pytest.approx(value, rel=about) if about else value), name


def test_a_board_that_is_too_small_is_told() -> None:
    graph = every_mode()
    small = replace(BOARD, alm=400)
    report = check_network(graph, {}, small)
    assert not report.maps and "ALMs" in report.problems[0].what
    with pytest.raises(InputError) as error:
        build(TARGET, integer_model(graph, Quantisation().formats(graph)), small, Options())
    told, checked = error.value.problems, report.problems
    assert [p.remedy for p in told] == [p.remedy for p in checked]
    assert all("ALMs (modelled); 300 can be planned with" in p.what for p in (told[0], checked[0]))


def test_weights_of_a_dry_model_take_no_memory() -> None:
    chain = Chain((4096, 1, 1))
    chain.conv(64, 1)
    big = chain.graph().nodes[0]
    weight = np.broadcast_to(np.float32(0), (1 << 16, 1 << 16, 1, 1))  # 16 GB of floats
    graph = chain.graph()
    huge = replace(
        graph,
        nodes=(replace(big, weight=weight, bias=np.zeros(1 << 16, np.float32)),),  # type: ignore[call-arg]
        shapes={"input": (1 << 16, 1, 1), "n0": (1 << 16, 1, 1)},
    )
    (conv,) = dry_model(huge, {}).conv_nodes()
    assert conv.weight.shape == weight.shape and conv.weight.strides == (0, 0, 0, 0)
    assert check_network(huge, {}).maps


def test_what_moves_channels_says_what_it_costs() -> None:
    chain = Chain()
    first = chain.conv(16, 3)
    second = chain.conv(16, 3)
    chain.map(FloatConcat, (32, 16, 16), names=(first, second))
    chain.map(FloatShuffle, (32, 16, 16), tuple(range(31, -1, -1)))
    chain.conv(16, 1)
    chain.add(chain.last, chain.last)
    twice = chain.last
    chain.map(FloatConcat, (48, 16, 16), names=(twice, first, twice))
    report = check_network(chain.graph(), {})
    assert report.maps
    assert [(row.maps, row.detail) for row in report.rows[2:]] == [
        ("addresses", "no pass: its parts are written one behind the other"),
        ("addresses", "no pass: it is read where its channels lie"),
        ("pointwise", ""),
        ("depthwise", "a copy: as one tap of 3x3"),
        ("classifier", "a copy: depthwise; leaves as 32-bit integers, and 2 more passes"),
    ]
