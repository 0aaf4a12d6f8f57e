"""Nodes that pool, move and look up maps: model file, verifier, orders, counts of places."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_maps import KINDS, random_maps
from random_networks import random_frames, random_orders
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from shiftforge.errors import InputError
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import METADATA_KEY, load_model, model_bytes, save_model
from shiftforge.quant.graph.order import reordered
from shiftforge.quant.graph.types import (
    AveragePool,
    Grid,
    Preprocess,
    QuantizedModel,
    Tensor,
)
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.graph.windows import axis_counts, counts, distinct_counts
from shiftforge.sim.golden.conv.network import run_golden


def first_of(kind: type, start: int = 0) -> QuantizedModel:
    """A random network with a node of a kind."""
    for seed in range(start, start + 200):
        model = random_maps(seed, nodes=6)
        if any(type(node) is kind for node in model.nodes):
            return model
    raise AssertionError(f"no random network has a {kind.__name__}")


@pytest.mark.parametrize("seed", range(12))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    model = random_maps(seed)
    path = tmp_path / "m"
    save_model(model, path)
    loaded = load_model(path)
    assert model_bytes(loaded) == path.read_bytes()
    for a, b in zip(model.nodes, loaded.nodes, strict=True):
        assert type(a) is type(b)
        if type(a).__name__ != "Conv":
            assert a == b


def graph_of(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    found: dict[str, Any] = json.loads(
        json.loads(data[8 : 8 + length])["__metadata__"][METADATA_KEY]
    )
    return found


def test_only_files_with_new_nodes_have_the_new_schema() -> None:
    assert graph_of(model_bytes(random_model(1)))["schema"] == 1
    for kind in list(KINDS)[3:]:
        assert graph_of(model_bytes(first_of(kind)))["schema"] == 3


def rewritten(model: QuantizedModel, change: Callable[[dict[str, Any]], object]) -> bytes:
    data = model_bytes(model)
    graph = graph_of(data)
    change(graph)
    return save_arrays(dict(load_arrays(data)), metadata={METADATA_KEY: json.dumps(graph)})


def refused(model: QuantizedModel, change: Callable[[dict[str, Any]], object], path: Path) -> str:
    path.write_bytes(rewritten(model, change))
    with pytest.raises(InputError) as caught:
        load_model(path)
    return str(caught.value)


def of_op(graph: Mapping[str, Any], op: str) -> dict[str, Any]:
    return next(node for node in graph["nodes"] if node["op"] == op)


@pytest.mark.parametrize(
    ("op", "field", "value", "told"),
    [
        ("max_pool", "kernel", [0, 1], "not from 1 to 65536"),
        ("max_pool", "kernel", [1 << 40, 1 << 40], "not from 1 to 65536"),
        ("max_pool", "kernel", 3, "'kernel' is not a list of 2 integers"),
        ("max_pool", "stride", [0, 1], "not from 1 to 65536"),
        ("max_pool", "padding", [99, 0, 0, 0], "is not less than the kernel"),
        ("max_pool", "padding", [-1, 0, 0, 0], "not four sizes >= 0"),
        ("average_pool", "counted", [99, 0, 0, 0], "four sizes of the padding"),
        ("average_pool", "counted", [-1, 0, 0, 0], "four sizes of the padding"),
        ("average_pool", "constants", [], "its windows count"),
        ("average_pool", "constants", [1, 2], "not three for each count"),
        ("average_pool", "lo", 999, "lo 999 > hi"),
        ("concat", "inputs", [], "it reads no tensor"),
        ("concat", "inputs", ["nowhere"], "reads unknown tensor 'nowhere'"),
        ("slice", "start", -1, "channels -1 to"),
        ("slice", "stop", 1 << 30, f"to {1 << 30} of"),
        ("shuffle", "order", [], "no order"),
        ("shuffle", "order", [-1], "names channel -1"),
        ("shuffle", "order", [[1]], "'order' is not a list of integers"),
        ("table", "codes", [0], "1 codes for a grid of"),
        ("table", "codes", [1000] * 256, "entry 0 is 1000"),
        ("upsample", "factor", [0, 1], "not from 1 to 65536"),
        ("upsample", "mode", "bicubic", "unknown mode 'bicubic'"),
        ("upsample", "trailing", [7, 7], "trailing (7, 7)"),
    ],
)
def test_each_fault_is_named(op: str, field: str, value: Any, told: str, tmp_path: Path) -> None:
    kinds = {k.__name__.lower(): k for k in KINDS}
    model = first_of(kinds[op.replace("_", "")])
    said = refused(model, lambda g: of_op(g, op).update({field: value}), tmp_path / "m")
    assert told in said
    name = of_op(graph_of(model_bytes(model)), op)["name"]
    assert f"{name} (net.{name})" in said or "graph.nodes" in said


@pytest.mark.parametrize("kind", list(KINDS)[3:], ids=lambda kind: kind.__name__)
def test_a_shape_or_grid_that_does_not_fit_is_named(kind: type) -> None:
    model = first_of(kind)
    node = next(n for n in model.nodes if type(n) is kind)
    tensor = model.tensors[node.output]

    def told(**changes: Any) -> str:
        tensors = {**model.tensors, tensor.name: replace(tensor, **changes)}
        with pytest.raises(InputError) as caught:
            verify(replace(model, tensors=tensors))
        return str(caught.value)

    for changes in ({"height": tensor.height + 1}, {"channels": tensor.channels + 1}):
        assert f"{node.name} ({node.source})" in told(**changes)
    if kind.__name__ in ("MaxPool", "Slice", "Shuffle", "Upsample"):
        coarser = replace(tensor.grid, exponent=tensor.grid.exponent + 1)
        assert "it keeps the input's" in told(grid=coarser)


def test_a_node_in_an_older_file_is_refused(tmp_path: Path) -> None:
    said = refused(first_of(list(KINDS)[3]), lambda g: g.update(schema=1), tmp_path / "m")
    assert "the MaxPool" in said and "schema version 1, which knows none" in said


JUNK: list[Any] = [None, True, -1, 0, 3, 1 << 61, 1 << 80, 0.5, "", "input", [], [1] * 4, {}]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), seed=st.integers(0, 5))
def test_random_damage_of_nodes_never_escapes(
    data: st.DataObject, seed: int, tmp_path: Path
) -> None:
    def change(graph: dict[str, Any]) -> None:
        node = data.draw(st.sampled_from(graph["nodes"]))
        field = data.draw(st.sampled_from(sorted(node)))
        node[field] = data.draw(st.sampled_from(JUNK))

    path = tmp_path / "m"
    path.write_bytes(rewritten(random_maps(seed), change))
    try:
        load_model(path)
    except InputError as error:
        assert error.problems


@pytest.mark.parametrize("seed", range(20))
def test_orders_reach_across_what_keeps_channels_and_nothing_else(seed: int) -> None:
    model = random_maps(seed)
    model = replace(model, orders=random_orders(model, seed))
    verify(model)
    frames = random_frames(model, seed, 1)
    want, got = run_golden(model, frames), run_golden(reordered(model), frames)
    for name, codes in want.items():
        order = model.orders.get(name)
        assert np.array_equal(got[name], codes if order is None else codes[:, order]), name


def test_an_order_of_what_a_slice_reads_is_refused() -> None:
    seen = set()
    for kind in list(KINDS)[5:8]:
        for seed in range(200):
            model = random_maps(seed)
            node = next((n for n in model.nodes if type(n) is kind), None)
            if node is None or node.inputs[0] == model.input:
                continue
            own = np.arange(model.tensors[node.inputs[0]].channels, dtype=np.int32)
            with pytest.raises(InputError, match=f"a {kind.__name__} takes no channel order"):
                verify(replace(model, orders={node.inputs[0]: own}))
            seen.add(kind.__name__)
            break
    assert seen == {"Concat", "Slice", "Shuffle"}


def test_places_that_windows_count() -> None:
    """Every small geometry against a count place by place."""
    cases = 0
    for size, kernel, stride in np.ndindex(7, 5, 4):
        size, kernel, stride = size + 1, kernel + 1, stride + 1
        for before, after in np.ndindex(kernel, kernel):
            if size + before + after < kernel:
                continue
            for counted in ((0, 0), (before, after), (before, 0), (before // 2, after)):
                found = axis_counts(size, kernel, stride, (before, after), counted)
                starts = range(-before, size + after - kernel + 1, stride)
                wanted = [
                    sum(-counted[0] <= p < size + counted[1] for p in range(s, s + kernel))
                    for s in starts
                ]
                assert found.tolist() == wanted
                cases += 1
    assert cases > 1000


def test_a_huge_map_is_counted_by_its_axes() -> None:
    """65,536 x 65,536 windows have nine counts at most; no array of all is made to list them."""
    node = AveragePool(
        "p", "p", "x", "y", (3, 3), (1, 1), (1, 1, 1, 1), (0, 0, 0, 0), (), 0, 255
    )  # fmt: skip
    assert distinct_counts(node, 1 << 16, 1 << 16) == (4, 6, 9)
    assert set(counts(node, 5, 4).ravel()) == {4, 6, 9}


def test_a_wrong_constant_is_named() -> None:
    x, y = Tensor("x", 1, 4, 4, Grid(8, False, 0)), Tensor("y", 1, 2, 2, Grid(8, False, 0))
    good = (4, 1 << 10, 12)

    def model(*constants: tuple[int, int, int]) -> QuantizedModel:
        node = AveragePool(
            "p", "net.p", "x", "y", (2, 2), (2, 2), (0, 0, 0, 0), (0, 0, 0, 0), constants, 0, 255
        )
        tensors = {"x": x, "y": y}
        return QuantizedModel("m", Preprocess(1, 4, 4, (0.0,), (1.0,)), "x", "y", tensors, (node,))

    verify(model(good))
    for constants, told in (
        (((4, 1 << 11, 12),), "away from the average of 4 codes"),
        (((4, 0, 12),), "out of range"),
        (((3, *good[1:]),), r"constants for \[3\] places, its windows count \[4\]"),
        ((good, (6, *good[1:])), r"constants for \[4, 6\]"),
        ((), r"constants for \[\]"),
    ):
        with pytest.raises(InputError, match=told):
            verify(model(*constants))
