"""ONNX files that claim what is not so: refused with what is wrong, and nothing beside is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import classifier, model_of, saved, weights

from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.quant.capture.source import load_source

onnx = pytest.importorskip("onnx")


def external(folder: Path, location: str, offset: int = 0, length: int | None = None) -> Path:
    """A model whose weight lies in another file."""
    model = model_of([("Conv", ["x", "w"], "y", {})], {"w": weights(4, 3, 3, 3)}, [1, 3, 8, 8])
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    (folder / "data.bin").write_bytes(data)
    return saved(model, folder)


def test_external_data_in_the_folder_is_read(tmp_path: Path) -> None:
    graph = load_source(str(external(tmp_path, "data.bin")))
    assert np.array_equal(graph.nodes[0].weight, weights(4, 3, 3, 3))  # type: ignore[union-attr]


def linked(folder: Path) -> str:
    (folder / "link.bin").symlink_to("data.bin")
    return "link.bin"


def linked_folder(folder: Path) -> str:
    (folder / "sub").symlink_to(folder)
    return "sub/data.bin"


def piped(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


def foldered(folder: Path) -> str:
    (folder / "own").mkdir()
    return "own"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (lambda _: "../data.bin", "outside"),
        (lambda _: "a/../../data.bin", "outside"),
        (lambda _: "/etc/passwd", "no place"),
        (lambda _: "", "no place"),
        (lambda _: "none.bin", "no file"),
        (lambda _: "data.bin\0", "no place"),
        (linked, "symbolic link"),
        (linked_folder, "symbolic link"),
        (piped, "pipe"),
        (foldered, "folder"),
    ],
)
def test_external_data_elsewhere(place: Callable[[Path], str], words: str, tmp_path: Path) -> None:
    inner = tmp_path / "model"
    inner.mkdir()
    (tmp_path / "data.bin").write_bytes(bytes(432))
    with pytest.raises(InputError, match=words):
        load_source(str(external(inner, place(inner))))


@pytest.mark.parametrize(
    ("offset", "length"), [(1, None), (0, 433), (0, 8), (-4, None), (1 << 70, None), (0, 1 << 62)]
)
def test_external_data_of_another_size(offset: int, length: int | None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bytes"):
        load_source(str(external(tmp_path, "data.bin", offset, length)))


def many_nodes() -> Any:
    nodes = [("Relu", [f"t{n - 1}" if n else "x"], f"t{n}", {}) for n in range(100_000)]
    return model_of(nodes, {}, [1, 3, 8, 8], "t99999")


def circle() -> Any:
    nodes = [("Add", ["x", "b"], "a", {}), ("Relu", ["a"], "b", {})]
    return model_of(nodes, {}, [1, 3, 8, 8], "b")


def absurd() -> Any:
    nodes = [("Conv", ["x", "w"], "y", {"pads": [1 << 28] * 4})]
    return model_of(nodes, {"w": weights(4, 3, 3, 3)}, [1, 3, 8, 8])


def large_image() -> Any:
    nodes = [("Relu", ["x"], "y", {})]
    return model_of(nodes, {}, [1, 3, 1 << 20, 1 << 20])


def large_constant() -> Any:
    nodes = [("ConstantOfShape", ["s"], "c", {}), ("Add", ["x", "c"], "y", {})]
    return model_of(nodes, {"s": np.array([1, 1 << 20, 1 << 20, 1])}, [1, 3, 8, 8])


def cut_tensor() -> Any:
    model = classifier()
    model.graph.initializer[0].dims[0] = 1 << 40
    return model


def with_function() -> Any:
    model = model_of([("Conv", ["x", "w"], "y", {})], {"w": weights(4, 3, 3, 3)}, [1, 3, 8, 8])
    body = [onnx.helper.make_node("Relu", ["a"], ["b"])]
    opsets = [onnx.helper.make_opsetid("", 17)]
    model.functions.append(onnx.helper.make_function("own", "f", ["a"], ["b"], body, opsets))
    return model


def other_domain() -> Any:
    model = classifier()
    model.graph.node[2].domain = "com.example"
    model.opset_import.add(domain="com.example", version=1)
    return model


def loop() -> Any:
    inner = onnx.helper.make_graph([], "then", [], [])
    model = classifier()
    node = onnx.helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    model.graph.node.insert(0, node)
    return model


def random_numbers() -> Any:
    nodes = [("RandomNormal", [], "r", {"shape": [1, 3, 8, 8]}), ("Add", ["x", "r"], "y", {})]
    return model_of(nodes, {}, [1, 3, 8, 8])


def negative_shape() -> Any:
    model = classifier()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = -5
    return model


def not_finite() -> Any:
    nodes = [("Conv", ["x", "w"], "y", {})]
    return model_of(nodes, {"w": np.full((4, 3, 3, 3), np.nan, np.float32)}, [1, 3, 8, 8])


def convolved(**attributes: Any) -> Any:
    return model_of([("Conv", ["x", "w"], "y", attributes)], {"w": weights(4, 3, 3, 3)}, SIDES)


def turned(**attributes: Any) -> Any:
    nodes = [("ConvTranspose", ["x", "w"], "y", attributes)]
    return model_of(nodes, {"w": weights(3, 4, 3, 3)}, SIDES)


def gathered(index: int) -> Any:
    nodes = [("Conv", ["x", "w"], "c", {}), ("Gather", ["c", "i"], "y", {"axis": 1})]
    return model_of(nodes, {"w": weights(4, 3, 3, 3), "i": np.array([0, index])}, SIDES)


def more_values() -> Any:
    nodes = [("Conv", ["x", "w"], "c", {}), ("Reshape", ["c", "s"], "y", {})]
    return model_of(nodes, {"w": weights(4, 3, 3, 3), "s": np.array([1, 4, 7, 7])}, SIDES)


SIDES = [1, 3, 8, 8]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: convolved(kernel_shape=[5, 5]), "conv_0: Conv: a kernel_shape"),
        (lambda: turned(kernel_shape=[5, 5]), "convtranspose_0: "),
        (lambda: convolved(group=7), "conv_0: Conv: 7 groups"),
        (lambda: convolved(group=0), "conv_0: Conv: 0 groups"),
        (lambda: turned(group=2), "convtranspose_0: "),
        (lambda: gathered(99), "gather_1: Gather: there is no index 99 among 4"),
        (lambda: gathered(-5), "gather_1: Gather: there is no index -5 among 4"),
        (more_values, "reshape_1: "),
        (many_nodes, "100,000 nodes"),
        (circle, "topologic.* add_0 "),
        (absurd, "shape"),
        (large_image, "values|shape"),
        (large_constant, "shape"),
        (cut_tensor, "checker"),
        (with_function, "inline_local_functions"),
        (other_domain, "com.example"),
        (loop, "If|checker"),
        (random_numbers, "RandomNormal"),
        (negative_shape, "input-shape"),
        (not_finite, "NaN"),
        (lambda: model_of([("Relu", ["x"], "y", {})], {}, [1, 3, 8, 8], opset=10), "opset 10"),
        (lambda: model_of([("Relu", ["x"], "y", {})], {}, [1, 3, 8, 8], opset=999), "opset 999"),
        (lambda: model_of([("Nothing", ["x"], "y", {})], {}, [1, 3, 8, 8]), "Nothing"),
        (lambda: model_of([("Relu", ["x"], "y", {})], {}, [1, 3, 8, 8], domain="z"), "no opset"),
    ],
)
def test_claims_are_refused(make: Callable[[], Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        load_source(str(saved(make(), tmp_path)))


def test_every_node_without_counterpart_is_named(tmp_path: Path) -> None:
    model = model_of(
        [
            ("Conv", ["x", "w"], "a", {}), ("LRN", ["a"], "b", {"size": 3}),
            ("MaxPool", ["b"], "c", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("Resize", ["c", "", "s"], "d", {"mode": "linear"}), ("Sin", ["d"], "y", {}),
        ],
        {"w": weights(4, 3, 3, 3), "s": np.array([1, 1, 2, 2], np.float32)}, [1, 3, 8, 8],
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        load_source(str(saved(model, tmp_path)))
    assert [p.where for p in caught.value.problems] == ["lrn_1", "resize_3", "sin_4"]
    assert all(p.remedy for p in caught.value.problems)


@pytest.mark.parametrize("data", [b"", b"onnx", b"\x80\x04K\x01.", b"\0" * 64, b"\xff" * 4096])
def test_files_that_are_none(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"not an ONNX model|checker"):
        load_source(str(path))


@pytest.mark.parametrize("count", [20, pytest.param(3000, marks=pytest.mark.slow)])
def test_damaged_files_are_models_or_refused(count: int, tmp_path: Path) -> None:
    data = bytearray(classifier().SerializeToString())
    rng = np.random.default_rng(count)
    for n in range(count):
        own = bytearray(data)
        for place in rng.integers(0, len(own), 1 + n % 4):
            own[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / "damaged.onnx"
        path.write_bytes(own if n % 3 else own[: int(rng.integers(len(own)))])
        try:
            load_source(str(path))
        except InputError as error:
            assert all(problem.what for problem in error.problems)


def test_the_command_line_leaves_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(with_function(), tmp_path)
    assert run(["check", str(path)]) == 2
    told = capsys.readouterr().err
    assert "functions of its own" in told and "Traceback" not in told
