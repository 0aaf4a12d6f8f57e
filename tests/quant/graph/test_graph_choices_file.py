"""Channel orders and variants in the model file: round trips, and every hostile one is named."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_networks import Family, random_network, random_orders, with_random_variants
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from shiftforge.errors import InputError
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.file import METADATA_KEY, load_model, model_bytes, save_model
from shiftforge.quant.graph.jsonform import arrays_digest
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.graph.variants import with_variant

Graph = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

BARE = random_model(1, ModelOptions(height=9, width=8))
ORDERED = replace(BARE, orders=random_orders(BARE, 0))
MODEL = with_random_variants(ORDERED, 1, (0.0, 0.25), 0.1)
DATA = model_bytes(MODEL)


def parts(data: bytes) -> tuple[Graph, Arrays]:
    length = int.from_bytes(data[:8], "little")
    graph = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][METADATA_KEY])
    return graph, {k: v.copy() for k, v in load_arrays(data).items()}


def rewrite(change: Callable[[Graph, Arrays], object]) -> bytes:
    """The model file with its graph and arrays changed, its list and its digest made to fit."""
    graph, arrays = parts(DATA)
    change(graph, arrays)
    graph["arrays"] = sorted(arrays)
    graph["arrays_sha256"] = arrays_digest(arrays)
    return save_arrays(arrays, metadata={METADATA_KEY: json.dumps(graph)})


def numbers(model: QuantizedModel) -> list[tuple[Any, ...]]:
    """Every number of the nodes' own weights and of every variant's."""
    convs = [*model.conv_nodes(), *(c for v in model.variants for c in v.convs.values())]
    arrays = [(c.weight, c.z, c.bias, c.acc_bits, c.multiplier, c.shift) for c in convs]
    told = [tuple(None if a is None else a.tolist() for a in own) for own in arrays]
    return [(c.name, c.format, *own) for c, own in zip(convs, told, strict=True)]


@pytest.mark.parametrize("seed", range(12))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    families: tuple[Family, ...] = ("two-term", "one-term", "multiplier")
    plain = random_network(
        seed, family=families[seed % 3], multiplier_requant=seed % 2 == 1, orders=seed % 4 != 3
    )
    model = with_random_variants(plain, seed, (0.5, 0.125)[: seed % 3], 0.25)
    path = tmp_path / "m.safetensors"
    save_model(model, path)
    loaded = load_model(path)
    assert model_bytes(loaded) == path.read_bytes()
    assert numbers(loaded) == numbers(model)
    assert loaded.orders.keys() == model.orders.keys()
    for name, order in model.orders.items():
        assert loaded.orders[name].dtype == np.int32
        assert np.array_equal(loaded.orders[name], order)
    assert [(v.second_terms, v.sqnr_db) for v in loaded.variants] == [
        (v.second_terms, v.sqnr_db) for v in model.variants
    ]
    graph, arrays = parts(path.read_bytes())
    assert graph["schema"] == (2 if model.orders or model.variants else 1)
    assert {name.split("/")[0] for name in arrays} <= {"int", "order", "variant"}


def test_a_model_without_either_is_written_as_before() -> None:
    graph, arrays = parts(model_bytes(BARE))
    assert graph["schema"] == 1
    assert graph.keys() == {
        "arrays", "arrays_sha256", "input", "kind", "labels", "meta", "name", "nodes", "output",
        "preprocess", "schema", "tensors",
    }  # fmt: skip
    assert {name.split("/")[0] for name in arrays} == {"int", "float"}


def test_bytes_do_not_depend_on_order() -> None:
    shuffled = replace(
        MODEL,
        orders=dict(sorted(MODEL.orders.items(), reverse=True)),
        variants=tuple(
            replace(v, convs=dict(sorted(v.convs.items(), reverse=True))) for v in MODEL.variants
        ),
    )
    assert model_bytes(shuffled) == DATA
    assert model_bytes(with_variant(with_variant(MODEL, 0.3), 0.1)) == DATA


def test_a_reader_of_schema_1_alone_refuses_both() -> None:
    """It compares the version before it reads anything else."""
    for model in (ORDERED, with_random_variants(BARE, 1, (0.3,), 0.1)):
        assert parts(model_bytes(model))[0]["schema"] == 2


STEM = "variant/0/stem"


def many(graph: Graph, arrays: Arrays) -> None:
    graph["variants"] = [graph["variants"][0]] * 17


def moved(graph: Graph, arrays: Arrays) -> None:
    """A variant's array under the number of one that is not there."""
    arrays["variant/7/stem.z"] = arrays.pop("variant/0/stem.z")


def told(k: int, **change: Any) -> Callable[[Graph, Arrays], None]:
    return lambda g, a: g["variants"][k].update(change)


def conv(**change: Any) -> Callable[[Graph, Arrays], None]:
    return lambda g, a: g["variants"][0]["convs"]["stem"].update(change)


def order(name: str, values: Any) -> Callable[[Graph, Arrays], None]:
    return lambda g, a: a.update({f"order/{name}": np.asarray(values)})


def i32(values: Any) -> NDArray[np.int32]:
    return np.asarray(values, np.int32)


def cut_codes(graph: Graph, arrays: Arrays) -> None:
    codes = arrays[f"{STEM}.codes"][:-4].copy()
    arrays[f"{STEM}.codes"] = codes
    graph["variants"][0]["convs"]["stem"]["codes_sha256"] = hashlib.sha256(codes.data).hexdigest()


def flip(graph: Graph, arrays: Arrays) -> None:
    arrays[f"{STEM}.codes"][0] ^= 1


HOSTILE: dict[str, tuple[Callable[[Graph, Arrays], object], str]] = {
    "order too long": (
        order("t.ex1", i32(range(21))), r"order of 't.ex1': is int32 \(21,\), not int32 \(20,\)"),
    "order empty": (order("t.ex1", i32([])), r"order of 't.ex1': is int32 \(0,\)"),
    "order of bytes": (order("t.ex1", np.zeros(20, np.uint8)), "order of 't.ex1': is uint8"),
    "order of floats": (order("t.ex1", np.zeros(20, np.float32)), "order of 't.ex1': is float32"),
    "order scalar": (order("t.ex1", i32(3)), r"order of 't.ex1': is int32 \(\)"),
    "duplicates": (order("t.ex1", i32([0] * 20)), "order of 't.ex1': names channel 0 20 times"),
    "channel too high": (
        order("t.ex1", i32([*range(19), 2**31 - 1])), "names channel 2147483647 of 20"),
    "channel below 0": (order("t.ex1", i32([*range(19), -(2**31)])), "names channel -2147483648"),
    "order of the input": (order("input", i32([2, 1, 0])), "order of 'input': the network's input"),
    "order of the output": (
        order("logits", i32(range(10))), "order of 'logits': the network's output"),
    "order of nothing": (order("", i32([0])), "order of '': belongs to no tensor"),
    "order of an unknown tensor": (order("t.x", i32([0])), "order of 't.x': belongs to no tensor"),
    "one side of a skip": (
        lambda g, a: a.pop("order/t.pw0"), "block1.add .*: reads 't.pw0' in another channel order"),
    "one side of a depthwise": (
        order("t.dw1", i32(range(20))), "block1.depthwise .*: reads 't.ex1' in another"),
    "schema 1": (lambda g, a: g.update(schema=1), "orders or variants in a file of schema version"),
    "orders in schema 1": (
        lambda g, a: (
            g.update(schema=1), g.pop("variants"), g["meta"].pop("second_terms"),
            [a.pop(n) for n in list(a) if n.startswith("variant/")],
        ),
        "orders or variants in a file of schema version 1"),
    "17 variants": (many, "graph: 17 variants, 16 at most"),
    "no list": (lambda g, a: g.update(variants={}), "field 'variants' is not a list"),
    "no object": (lambda g, a: g.update(variants=[3]), r"graph.variants\[0\]: is not an object"),
    "no convolutions": (told(0, convs=3), r"graph.variants\[0\].convs: is not an object"),
    "unlisted": (lambda g, a: g.pop("variants"), f"array '{STEM}.codes' belongs to no variant"),
    "moved": (moved, f"array '{STEM}.z' is missing"),
    "moved there": (moved, "array 'variant/7/stem.z' belongs to no variant"),
    "junk": (
        lambda g, a: a.update({f"{STEM}.junk": i32([1])}), f"'{STEM}.junk' belongs to no variant"),
    "unknown convolution": (
        lambda g, a: g["variants"][0]["convs"].update(x={}),
        r"variants\[0\].convs: 'x' is no convolution of the network"),
    "missing convolution": (
        lambda g, a: g["variants"][0]["convs"].pop("stem"),
        r"variants\[0\].convs: field 'stem' is missing"),
    "missing codes": (lambda g, a: a.pop(f"{STEM}.codes"), f"array '{STEM}.codes' is missing"),
    "share": (told(0, second_terms="0"), r"variants\[0\]: field 'second_terms' is not a finite"),
    "share below 0": (told(0, second_terms=-1), "variant 0: its share -1.0 is no number >= 0"),
    "share twice": (told(1, second_terms=0.0), "variant 1: its share 0 is not above"),
    "share of the nodes": (told(0, second_terms=0.1), "variant 0: its share 0.1 is that of the"),
    "SQNR": (told(1, sqnr_db=None), r"variants\[1\]: field 'sqnr_db' is not a finite number"),
    "format": (conv(format={"kind": "af"}), r"convs.stem.format: unknown weight format 'af'"),
    "mode of before": (
        conv(format={"kind": "shift", "bits": 4, "terms": 2, "mode": "FLT"}),
        "stem.format: weights in the storage mode FLT"),
    "requantisation": (conv(requant="multiplier"), f"array '{STEM}.multiplier' is missing"),
    "codes": (flip, r"variants\[0\].convs, stem \(example.stem\): the weight codes do not have"),
    "short codes": (cut_codes, r"variants\[0\].convs, stem .*: packed codes end 4 bytes early"),
    "accumulator": (
        lambda g, a: a[f"{STEM}.acc_bits"].fill(3), r"variant 0, stem .*: acc_bits 3 of channel"),
    "bias type": (
        lambda g, a: a.update({f"{STEM}.bias": a[f"{STEM}.bias"].astype(np.int64)}),
        "variant 0, stem .*: bias is int64"),
    "no meta": (lambda g, a: g.update(meta={}), "meta: there are variants, and 'second_terms'"),
    "meta": (lambda g, a: g["meta"].update(second_terms=[1]), "meta: 'second_terms' has no share"),
}  # fmt: skip


def refused(path: Path, data: bytes, message: str) -> None:
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        load_model(path)
    assert all(str(path) in str(p) for p in caught.value.problems)


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_file_is_refused_by_name(fault: str, tmp_path: Path) -> None:
    change, message = HOSTILE[fault]
    refused(tmp_path / "bad.safetensors", rewrite(change), message)


def test_the_rewriter_itself_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(rewrite(lambda g, a: None))
    assert model_bytes(load_model(tmp_path / "same")) == DATA


@pytest.mark.parametrize("name", ["order/t.ex1", f"{STEM}.codes", "variant/1/head.bias"])
def test_the_digest_covers_orders_and_variants(name: str, tmp_path: Path) -> None:
    graph, arrays = parts(DATA)
    arrays[name].view(np.uint8)[0] ^= 1
    data = save_arrays(arrays, metadata={METADATA_KEY: json.dumps(graph)})
    refused(tmp_path / "bad", data, "the arrays do not have the SHA-256")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    def change(graph: Graph, arrays: Arrays) -> None:
        arrays.pop(f"{STEM}.bias")
        graph["variants"][1]["convs"]["x"] = {}
        graph["variants"][1]["sqnr_db"] = "1"

    path = tmp_path / "bad"
    path.write_bytes(rewrite(change))
    with pytest.raises(InputError) as caught:
        load_model(path)
    told = "\n".join(str(p) for p in caught.value.problems)
    assert len(caught.value.problems) == 3
    assert re.search("stem.bias' is missing", told) and "'x' is no" in told and "sqnr_db" in told


JUNK: list[Any] = [None, True, -1, 3, 1 << 80, 0.5, "", "stem", [], [1], {}, "S2", "multiplier"]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_damage_never_escapes(data: st.DataObject, tmp_path: Path) -> None:
    """A value of the list or an array replaced: InputError, or a valid model."""

    def change(graph: Graph, arrays: Arrays) -> None:
        if data.draw(st.booleans()):
            own = sorted(n for n in arrays if n.startswith(("order/", "variant/")))
            name = data.draw(st.sampled_from(own))
            sizes, kinds = st.integers(0, 40), st.sampled_from(["u1", "i1", "i4", "i8", "f4"])
            arrays[name] = np.full(data.draw(sizes), data.draw(st.integers(0, 9)), data.draw(kinds))
            return
        owner: Any = graph["variants"]
        key: Any = data.draw(st.integers(0, 1))
        while isinstance(owner[key], dict) and data.draw(st.integers(0, 4)):
            owner = owner[key]
            key = data.draw(st.sampled_from(sorted(owner)))
        owner[key] = data.draw(st.sampled_from(JUNK))

    path = tmp_path / "m"
    path.write_bytes(rewrite(change))
    try:
        load_model(path)
    except InputError as error:
        assert error.problems
