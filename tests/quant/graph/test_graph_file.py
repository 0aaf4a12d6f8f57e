"""The model file: round trips, identical bytes, and every kind of bad file refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from shiftforge.errors import InputError
from shiftforge.quant.graph.example import ConvOptions, ModelOptions, random_conv, random_model
from shiftforge.quant.graph.file import METADATA_KEY, load_model, model_bytes, save_model
from shiftforge.quant.graph.jsonform import arrays_digest
from shiftforge.quant.graph.types import IntFormat, QuantizedModel, ShiftFormat, WeightFormat

MODEL = random_model(1)
DATA = model_bytes(MODEL)


def assert_equal(a: QuantizedModel, b: QuantizedModel) -> None:
    """Every field of every node, and the arrays' types, are the same."""
    assert (a.name, a.preprocess, a.input, a.output, a.labels, a.meta) == (
        b.name, b.preprocess, b.input, b.output, b.labels, b.meta,
    )  # fmt: skip
    assert dict(a.tensors) == dict(b.tensors)
    assert len(a.nodes) == len(b.nodes)
    for m, n in zip(a.nodes, b.nodes, strict=True):
        assert type(m) is type(n)
        for f in fields(m):
            x, y = getattr(m, f.name), getattr(n, f.name)
            if isinstance(x, np.ndarray):
                assert x.dtype == y.dtype
                np.testing.assert_array_equal(x, y)
            else:
                assert x == y
    assert a.floats.keys() == b.floats.keys()
    for name in a.floats:
        np.testing.assert_array_equal(a.floats[name], b.floats[name])


FORMATS: list[WeightFormat] = [
    ShiftFormat(), ShiftFormat(mode="SEL"), ShiftFormat(4, 1, "S1"),
    ShiftFormat(3, 2, "SEL"), ShiftFormat(3, 1, "S1"), IntFormat(4), IntFormat(8),
]  # fmt: skip


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("requant", ["shift", "multiplier"])
def test_round_trip(fmt: WeightFormat, requant: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for seed in range(3):
        model = random_model(seed, ModelOptions(weight_format=fmt, requant=requant))
        save_model(model, path)
        loaded = load_model(path)
        assert_equal(model, loaded)
        assert model_bytes(loaded) == path.read_bytes()
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_stripped_floats_and_meta_round_trip(tmp_path: Path) -> None:
    model = replace(MODEL, floats={}, labels=(), meta={"b": [1, 2.5, None], "a": {"é": "ü"}})
    save_model(model, tmp_path / "m")
    assert_equal(model, load_model(tmp_path / "m"))


def test_bytes_do_not_depend_on_order_or_process(tmp_path: Path) -> None:
    shuffled = replace(
        MODEL,
        tensors=dict(sorted(MODEL.tensors.items(), reverse=True)),
        floats=dict(sorted(MODEL.floats.items(), reverse=True)),
    )
    assert model_bytes(shuffled) == DATA
    script = (
        "import sys, hashlib;"
        "from shiftforge.quant.graph.example import random_model;"
        "from shiftforge.quant.graph.file import model_bytes;"
        "print(hashlib.sha256(model_bytes(random_model(1))).hexdigest());"
        "print(sorted({'torch', 'pyopencl'} & set(sys.modules)))"
    )
    out = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(out) == 1
    assert out.pop().splitlines()[1] == "[]"


def test_saving_is_atomic_and_refuses_invalid_models(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(MODEL, path)
    with pytest.raises(InputError, match="no node produces"):
        save_model(replace(MODEL, output="none"), path)
    assert path.read_bytes() == DATA
    with pytest.raises(InputError, match="system refused"):
        save_model(MODEL, tmp_path / "missing" / "m.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="system refused"):
        save_model(MODEL, tmp_path / "folder")
    assert sorted(os.listdir(tmp_path)) == ["folder", "m.safetensors"]


def _refused(path: Path, data: bytes, message: str) -> InputError:
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        load_model(path)
    assert all(str(path) in str(p) for p in caught.value.problems)
    return caught.value


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"abc", "not a safetensors file"),
        (pickle.dumps({"a": np.zeros(9)}), "a Python pickle"),
        (_zip(), "a zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (b"\x1f\x8b" + bytes(100), "a gzip file"),
        (b"just some text in a file", "not a safetensors file"),
        ((1 << 62).to_bytes(8, "little") + b"{" + bytes(50), "states a header of"),
        ((1 << 20).to_bytes(8, "little") + b"{" + bytes(50), "truncated"),
        ((9).to_bytes(8, "little") + b'{"a": nan' + bytes(9), "not valid JSON"),
        ((4).to_bytes(8, "little") + b"{}  ", "without a ShiftForge graph"),
        ((8).to_bytes(8, "little") + b'{"a":[[[', "not valid JSON"),
        (save_arrays({"w": np.zeros(4, np.float32)}), "without a ShiftForge graph"),
        (save_arrays({"w": np.zeros(4, np.float16)}, metadata={METADATA_KEY: "{}"}), "F16"),
        (save_arrays({}, metadata={METADATA_KEY: "{"}), "graph: is not valid JSON"),
        (save_arrays({}, metadata={METADATA_KEY: "[]"}), "is not an object"),
        (save_arrays({}, metadata={METADATA_KEY: "[" * 200_000}), "more than 200 levels deep"),
        (DATA[:-1], "truncated"),
        (DATA[:200], "truncated"),
        (DATA + b"\0", "truncated or damaged"),
    ],
)
def test_bad_files_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    _refused(tmp_path / "bad.safetensors", data, message)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no such file -> make a model file"):
        load_model(tmp_path / "none")
    with pytest.raises(InputError, match="is a folder"):
        load_model(tmp_path)


def rewrite(
    change: Callable[[dict[str, Any], dict[str, NDArray[Any]]], object], digest: bool = True
) -> bytes:
    """The model file with its graph and arrays changed, its overall digest made to fit."""
    length = int.from_bytes(DATA[:8], "little")
    graph = json.loads(json.loads(DATA[8 : 8 + length])["__metadata__"][METADATA_KEY])
    arrays = {k: v.copy() for k, v in load_arrays(DATA).items()}
    change(graph, arrays)
    if digest:
        graph["arrays_sha256"] = arrays_digest(arrays)
    return save_arrays(arrays, metadata={METADATA_KEY: json.dumps(graph)})


def flip(arrays: dict[str, NDArray[Any]], name: str, bit: int) -> None:
    arrays[name].reshape(-1).view(np.uint8)[0] ^= bit


TAMPERED: dict[str, tuple[Callable[[dict[str, Any], dict[str, NDArray[Any]]], object], str]] = {
    "schema": (lambda g, a: g.update(schema=9), "schema version 9, this release reads 1 to 3"),
    "codes": (lambda g, a: flip(a, "int/stem.codes", 1), r"stem \(example.stem\).*SHA-256"),
    "missing array": (lambda g, a: a.pop("int/head.z"), "array 'int/head.z' is missing"),
    "extra array": (lambda g, a: a.update(x=np.zeros(1, np.uint8)), "'x' is not in the graph"),
    "unlisted": (
        lambda g, a: (a.pop("int/head.z"), g["arrays"].remove("int/head.z")), "'int/head.z'"),
    "float NaN": (lambda g, a: a["float/stem.bias"].fill(np.nan), "holds NaN"),
    "no schema": (lambda g, a: g.pop("schema"), "field 'schema' is missing"),
    "no nodes": (lambda g, a: g.pop("nodes"), "field 'nodes' is missing"),
    "nodes": (lambda g, a: g.update(nodes=3), "'nodes' is not a list"),
    "node": (lambda g, a: g["nodes"].insert(0, 7), r"nodes\[0\]: is not an object"),
    "operation": (lambda g, a: g["nodes"][0].update(op="lstm"), "unknown operation 'lstm'"),
    "string": (lambda g, a: g["nodes"][0].update(lo="0"), r"nodes\[0\]: field 'lo' is not an int"),
    "boolean": (lambda g, a: g["nodes"][0].update(stride=True), "'stride' is not an integer"),
    "huge": (lambda g, a: g["nodes"][0].update(hi=1 << 70), "'hi' is not an integer"),
    "bits": (lambda g, a: g["tensors"][0].update(bits=10**9), "grid of 1000000000 bits"),
    "shape": (
        lambda g, a: g["nodes"][0].update(shape=[1 << 40, 1 << 40, 3, 3]), "too few codes"),
    "negative shape": (
        lambda g, a: g["nodes"][0].update(shape=[-1, 3, 3, 3]), "weights of shape"),
    "format": (lambda g, a: g["nodes"][0]["format"].update(kind="af"), "weight format 'af'"),
    "format bits": (lambda g, a: g["nodes"][0]["format"].update(bits=5), "format of 5 bits"),
    "mode": (lambda g, a: g["nodes"][0]["format"].update(mode="S9"), "storage mode 'S9'"),
    "mode of before": (
        lambda g, a: g["nodes"][0]["format"].update(mode="FLT"),
        r"nodes\[0\].format: weights in the storage mode FLT, .* -> quantise the network again"),
    "mode mismatch": (
        lambda g, a: g["nodes"][0]["format"].update(mode="SEL"), r"stem .*(early|padding|run on)"),
    "int mismatch": (
        lambda g, a: g["nodes"][0].update(format={"kind": "int", "bits": 8}), "stored as uint8"),
    "mean": (lambda g, a: g["preprocess"].update(mean=["x"]), "'mean' is not a list of finite"),
    "twice": (lambda g, a: g["tensors"].append(g["tensors"][0]), "listed twice"),
    "clamp": (lambda g, a: g["nodes"][0].update(hi=300), r"stem .*clamp \[0, 300\] leaves"),
    "z type": (
        lambda g, a: a.update({"int/stem.z": a["int/stem.z"].astype(np.int32)}), "z is int32"),
}  # fmt: skip


@pytest.mark.parametrize("fault", TAMPERED)
def test_tampered_files_are_refused(fault: str, tmp_path: Path) -> None:
    change, message = TAMPERED[fault]
    _refused(tmp_path / "bad.safetensors", rewrite(change), message)


def test_the_rewriter_itself_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "same.safetensors"
    path.write_bytes(rewrite(lambda g, a: None))
    assert_equal(MODEL, load_model(path))


@pytest.mark.parametrize("name", ["int/stem.bias", "int/head.acc_bits", "float/head.weight"])
def test_a_changed_bit_anywhere_breaks_the_overall_digest(name: str, tmp_path: Path) -> None:
    data = rewrite(lambda g, a: flip(a, name, 1), digest=False)
    _refused(tmp_path / "bad.safetensors", data, "the arrays do not have the SHA-256")


def test_a_reserved_code_is_refused_even_with_fitting_digests(tmp_path: Path) -> None:
    import hashlib

    def change(g: dict[str, Any], a: dict[str, NDArray[Any]]) -> None:
        a["int/stem.codes"][0] = 0x08
        g["nodes"][0]["codes_sha256"] = hashlib.sha256(a["int/stem.codes"].data).hexdigest()

    _refused(tmp_path / "bad", rewrite(change), r"stem .*reserved code 0b1000")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7), cut=st.booleans())
def test_random_damage_never_escapes(at: int, bit: int, cut: bool, tmp_path: Path) -> None:
    """One flipped bit or a cut anywhere: InputError, or a model that is valid all the same."""
    data = bytearray(DATA)
    data[at] ^= 1 << bit
    path = tmp_path / "m"
    path.write_bytes(bytes(data[:at]) if cut else bytes(data))
    try:
        load_model(path)
    except InputError as error:
        assert error.problems
    else:
        assert not cut  # a flipped bit in a name or a label can leave a valid model


def test_a_large_model_loads_quickly(tmp_path: Path) -> None:
    path = tmp_path / "large"
    model = random_conv(
        0,
        ConvOptions(
            kernel=1,
            in_channels=1280,
            out_channels=2700,
            height=7,
            width=7,
            weight_format=ShiftFormat(mode="SEL"),
        ),
    )
    save_model(model, path)
    start = time.process_time()
    load_model(path)
    assert time.process_time() - start < 2.0  # 3.5 million weights; about 0.3 s alone


JUNK: list[Any] = [
    None, True, 0, -1, 1, 3, 64, 255, 1 << 40, 1 << 61, 1 << 80, 0.5, "", "stem", "input", [],
    [1] * 4, [1 << 61] * 4, {}, "shift", "int", "SEL",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, child in inside:
        found.append((*path, key))
        if isinstance(child, dict | list):
            found += places(child, (*path, key))
    return found


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_graph_damage_never_escapes(data: st.DataObject, tmp_path: Path) -> None:
    """Any value of the graph replaced or removed: InputError, or a model valid all the same."""

    def change(graph: dict[str, Any], _: dict[str, NDArray[Any]]) -> None:
        *path, last = data.draw(st.sampled_from(places(graph)))
        owner: Any = graph
        for key in path:
            owner = owner[key]
        if data.draw(st.booleans()):
            owner[last] = data.draw(st.sampled_from(JUNK))
        else:
            del owner[last]

    path = tmp_path / "m"
    path.write_bytes(rewrite(change))
    try:
        load_model(path)
    except InputError as error:
        assert error.problems


def test_a_trained_checkpoint_is_told_in_one_line() -> None:
    shipped = files("shiftforge.quant.models").joinpath("mobilenet_v2_fashion.safetensors")
    with as_file(shipped) as path, pytest.raises(InputError) as caught:
        load_model(path)
    [problem] = caught.value.problems
    assert "a trained checkpoint, perhaps" in problem.what and "quantise it" in problem.remedy
