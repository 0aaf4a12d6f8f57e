"""The word table as bit mask and values, span masks and weight levels; the file that keeps them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albert_cases import integer_case, optimised_case
from safetensors.numpy import load, save

from shiftforge.errors import InputError
from shiftforge.quant.albert.network.embedding import EmbeddingTable
from shiftforge.quant.albert.network.file import load_integer, load_package, save_integer
from shiftforge.quant.albert.network.integer import IntegerAlbert, Weights
from shiftforge.quant.albert.network.storage import storage


def table(columns: int = 13, density: float = 0.4, rows: int = 31) -> EmbeddingTable:
    rng = np.random.default_rng(columns)
    codes = rng.integers(0, 256, (rows, columns)) * (rng.random((rows, columns)) < density)
    codes[5], codes[7] = 0, 255
    return EmbeddingTable.from_dense(codes.astype(np.uint8), -3)


@pytest.mark.parametrize("columns", [1, 8, 13, 64])
def test_tables_give_their_codes_back(columns: int) -> None:
    made = table(columns)
    dense = made.dense()
    assert not made.problems() and made.shape == (31, columns)
    # bit i of byte j stands for column 8j + i.
    for row in (0, 5, 7, 30):
        bits = [made.mask[row, c // 8] >> (c % 8) & 1 for c in range(columns)]
        assert bits == (dense[row] != 0).astype(int).tolist()
    assert np.array_equal(made.values, dense[dense != 0])
    ids = np.array([30, 7, 7, 5, 0])
    assert np.array_equal(made.rows(ids), dense[ids])
    assert made.starts[-1] == made.value_bytes and made.mask_bytes == 31 * -(-columns // 8)
    assert made.density == pytest.approx((dense != 0).mean())


def test_a_minus_zero_is_a_zero() -> None:
    made = EmbeddingTable.from_dense(np.array([[0x80, 1, 0x81, 0]], dtype=np.uint8), 0)
    assert made.dense().tolist() == [[0, 1, 0x81, 0]] and made.values.tolist() == [1, 0x81]


def test_digests_tell_tables_apart() -> None:
    made = table()
    assert made.digest == table().digest and len(made.digest) == 64
    values = made.values.copy()
    values[3] ^= 1
    others = [replace(made, values=values), replace(made, bias=-4), table(14)]
    assert len({made.digest, *(t.digest for t in others)}) == 4


def test_damaged_tables_are_named() -> None:
    made = table()
    mask = made.mask.copy()
    mask[0, 1] |= 0x80
    zero = made.values.copy()
    zero[2] = 0x80
    for wrong, said in (
        (replace(made, values=made.values[:-1]), "values for"),
        (replace(made, mask=mask), "past the last column"),
        (replace(made, values=zero), "is zero"),
        (replace(made, bias=64), "exponent bias 64"),
        (replace(made, columns=20), "masks of 2 bytes"),
    ):
        assert any(said in str(problem) for problem in wrong.problems()), said
        with pytest.raises(InputError):
            replace(integer_case(), words=wrong).check()
    with pytest.raises(InputError, match="two axes"):
        EmbeddingTable.from_dense(np.zeros(4, dtype=np.uint8), 0)


def test_spans_and_levels_are_checked() -> None:
    network = optimised_case()
    assert network.spans is not None and network.skipped == (1,)
    rising, high = network.spans.copy(), network.spans.copy()
    rising[2, 5] = 9
    high[0, 0] = 257
    cases: list[tuple[dict[str, Any], str]] = [
        ({"spans": rising}, "rises"),
        ({"spans": high}, "a mask of 257"),
        ({"spans": network.spans[:2]}, "give uint16 .3, 12."),
        ({"spans": network.spans.astype(np.int64)}, "int64"),
        ({"bits": 3}, "3 bits"),
        ({"bits": 5}, "levels of AF<5,3>"),
        ({"words": replace(network.words, bias=network.words.bias + 1)}, "exponent bias"),
    ]
    for changes, said in cases:
        with pytest.raises(InputError, match=said):
            replace(network, **changes).check()
    with pytest.raises(InputError, match="for af only"):
        replace(optimised_case("shift1"), bits=7).check()

    def coarse(linear: Any) -> Any:
        return replace(linear, codes=linear.codes & np.uint8(0xF8))

    linears = {name: coarse(linear) for name, linear in network.linears.items()}
    ramps = tuple(coarse(ramp) for ramp in network.ramps)
    replace(network, linears=linears, ramps=ramps, bits=5).check()


def same(a: IntegerAlbert, b: IntegerAlbert) -> bool:
    own, other = a.arrays(), b.arrays()
    fields = ("weights", "heads", "fraction", "epsilon", "classes", "embedding_biases", "biases",
              "bits")  # fmt: skip
    return (
        own.keys() == other.keys()
        and all(np.array_equal(own[name], other[name]) for name in own)
        and all(getattr(a, name) == getattr(b, name) for name in fields)
    )


@pytest.mark.parametrize("weights", ["af", "shift1"])
def test_packages_come_back(tmp_path: Path, weights: Weights) -> None:
    network, path = optimised_case(weights), tmp_path / "net.safetensors"
    notes = {"corpus": "made", "accuracy": [0.5, 0.75], "spans": {"z": [1.5, -4.0], "ramp": 3}}
    save_integer(network, path, tokeniser='{"model": "ä"}', notes=notes)
    first = path.read_bytes()
    found = load_package(path)
    assert same(found.network, network) and found.network.words.digest == network.words.digest
    assert (found.tokeniser, found.notes) == ('{"model": "ä"}', notes)
    save_integer(found.network, path, tokeniser=found.tokeniser, notes=found.notes)
    assert path.read_bytes() == first
    save_integer(network, path)
    assert (load_package(path).tokeniser, load_package(path).notes) == (None, None)
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(InputError, match="give JSON values"):
        save_integer(network, path, notes={"a": path})
    assert same(load_integer(path), network)


def rewritten(
    data: bytes, text: dict[str, Any] | None = None, **arrays: np.ndarray | None
) -> bytes:
    """A file with other arrays or other metadata."""
    size = int.from_bytes(data[:8], "little")
    told = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["shiftforge"])
    whole = {**load(data), **{name.replace("__", "."): a for name, a in arrays.items()}}
    kept = {name: a for name, a in whole.items() if a is not None}
    return save(kept, metadata={"shiftforge": json.dumps({**told, **(text or {})})})


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    network, path = optimised_case(), tmp_path / "net.safetensors"
    save_integer(network, path)
    data = path.read_bytes()
    assert network.spans is not None
    values, mask = network.words.values, network.words.mask
    cases = [
        rewritten(data, word__values=values[:-1]),
        rewritten(data, word__values=np.append(values, np.uint8(1))),
        rewritten(data, word__mask=mask[:, :-1].copy()),
        rewritten(data, word__mask=mask ^ np.uint8(1)),
        rewritten(data, word__values=values.astype(np.float32)),
        rewritten(data, word__mask=None),
        rewritten(data, spans=network.spans.astype(np.int32)),
        rewritten(data, spans=network.spans[:, ::-1].copy()),
        rewritten(data, {"tokeniser": 3}),
        rewritten(data, {"notes": [1]}),
        rewritten(data, {"bits": "many"}),
        rewritten(data, {"kind": "albert-integer-1"}),
        data[: len(data) // 2],
    ]
    for wrong in cases:
        path.write_bytes(wrong)
        with pytest.raises(InputError):
            load_package(path)
    path.write_bytes(rewritten(data))
    assert same(load_integer(path), network)


def test_storage_counts_what_is_stored() -> None:
    network = optimised_case()
    found = storage(network)
    matrices = [network.linears[name].codes for name in network.linears]
    count, kept = sum(m.size for m in matrices), sum(int((m != 0).sum()) for m in matrices)
    assert found["encoder_mask"] == count // 8 and found["encoder_dense"] == count
    assert found["encoder_values"] == kept == found["encoder_split_values"]
    assert found["encoder_density"] == pytest.approx(0.4, abs=0.01)
    assert found["embedding_values"] == network.words.value_bytes
    assert found["embedding_mask"] == 50 * 3 and found["embedding_dense"] == 50 * 24
    parts = [f"{name}_{part}" for name in ("encoder", "ramps", "embedding")
             for part in ("mask", "values")]  # fmt: skip
    assert found["total"] == found["tables"] + sum(found[part] for part in parts)
    one, two = storage(optimised_case("shift1")), storage(optimised_case("shift2"))
    assert one["encoder_dense"] * 2 == two["encoder_dense"] == count
    assert abs(one["encoder_values"] * 2 - two["encoder_values"]) <= 0.1 * kept
    linear = integer_case("shift2").linears["q"].codes
    both = int(((linear & 7 != 0) & (linear >> 4 & 7 != 0)).sum())
    assert 0 < both < linear.size
