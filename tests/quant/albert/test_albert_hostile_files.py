"""Files of a classifier as strangers bring them: every field of another type or range."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albert_cases import integer_case
from albert_projects import save_trained
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from shiftforge.errors import InputError
from shiftforge.quant.albert.exits.predictor import load_exit_table
from shiftforge.quant.albert.network.config import read_config, size_problems
from shiftforge.quant.albert.network.file import load_package, save_integer
from shiftforge.quant.albert.network.folder import load_classifier, pretrained
from shiftforge.quant.albert.network.notes import load_notes
from shiftforge.quant.albert.training.table_file import load_table
from shiftforge.quant.albert.training.texts import load_calibration
from shiftforge.quant.text.tokeniser import load_tokeniser

GONE = object()
ODD: tuple[Any, ...] = (
    GONE, None, True, -1, 0, 1, 2, 3, 7, 10**9, 2**40, 2**60, 10**4000, -(2**40), 0.5, -1.5, 1e308,
    "", "x", "4", "1e-12", "é" * 1000, [], [1], ["a"], ["a", "b"], [[1]], {}, {"a": 1},
    {"0": "a", "1": "b"}, {"word": 3},
)  # fmt: skip
DEEP = "[" * 10**5 + "]" * 10**5
TEXTS = (
    "", "{", "[]", "null", "3", '"x"', DEEP, '{"a": ' * 10**5, "9" * 5000, f'{{"a": {"9" * 5000}}}',
    '{"bias": NaN}', '{"bias": Infinity}', '{"a": 1, "a": 2}', "\x00",
)  # fmt: skip


def mutated(value: Any) -> Iterator[Any]:
    """The value with each of its parts replaced by every odd value, one at a time."""
    for odd in ODD:
        if odd is not GONE:
            yield odd
    if isinstance(value, dict):
        for key in value:
            for own in (GONE, *mutated(value[key])):
                yield {k: own if k == key else v for k, v in value.items()
                       if k != key or own is not GONE}  # fmt: skip
    elif isinstance(value, list) and value:
        for own in (GONE, *mutated(value[0])):
            yield [own, *value[1:]] if own is not GONE else value[1:]


def refuses_or_succeeds(call: Callable[[], object]) -> bool:
    """Whether it succeeds; anything but a refusal fails the test, and so does a slow one."""
    started = time.monotonic()
    try:
        call()
    except InputError as error:
        assert all(problem.what for problem in error.problems)
        assert time.monotonic() - started < 2
        return False
    return True


def parts(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    with safe_open(path, framework="numpy") as held:
        return load_file(path), json.loads(held.metadata()["shiftforge"])


def test_every_field_of_a_network_file(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.safetensors", tmp_path / "net.safetensors"
    save_integer(integer_case(), whole, tokeniser="{}", notes={"fold": 0})
    arrays, text = parts(whole)
    small = {name: arrays[name] for name in arrays}
    count = 0
    for field in text:
        for own in (GONE, *mutated(text[field])):
            header = {k: own if k == field else v for k, v in text.items()
                      if k != field or own is not GONE}  # fmt: skip
            save_file(small, path, {"shiftforge": json.dumps(header)})
            refuses_or_succeeds(lambda: load_package(path))
            count += 1
    assert count > 1000


def test_every_array_of_a_network_file(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.safetensors", tmp_path / "net.safetensors"
    save_integer(integer_case(), whole)
    arrays, text = parts(whole)
    for name, array in arrays.items():
        for other in (None, array[:0], array[:1], array.astype(np.float32), array[None],
                      np.zeros(0, array.dtype), array + 1):  # fmt: skip
            held = {k: other if k == name else v for k, v in arrays.items()}
            left = {k: v for k, v in held.items() if v is not None}
            save_file(left, path, {"shiftforge": json.dumps(text)})
            refuses_or_succeeds(lambda: load_package(path))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_are_no_json_of_ours(text: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"x": np.zeros(1)}, path, {"shiftforge": text})
    assert not refuses_or_succeeds(lambda: load_package(path))
    readers: dict[str, Callable[[], object]] = {
        "classifier.json": lambda: load_notes(tmp_path, ["classes"]),
        "config.json": lambda: read_config(tmp_path),
        "calibration.json": lambda: load_calibration(tmp_path),
        "table.json": lambda: load_table(tmp_path),
        "tokenizer.json": lambda: load_tokeniser(tmp_path),
        "exit.json": lambda: load_exit_table(tmp_path / "exit.json"),
    }
    for name, reader in readers.items():
        (tmp_path / name).write_text(text)
        assert not refuses_or_succeeds(reader), name


@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing"])
def test_what_is_no_file(kind: str, tmp_path: Path) -> None:
    for name in ("classifier.json", "config.json", "calibration.json", "table.json",
                 "tokenizer.json", "exit.json", "net.safetensors",
                 "model.safetensors"):  # fmt: skip
        if kind == "folder":
            (tmp_path / name).mkdir()
        if kind == "pipe":
            os.mkfifo(tmp_path / name)
    readers: list[Callable[[], object]] = [
        lambda: load_notes(tmp_path),
        lambda: read_config(tmp_path),
        lambda: load_calibration(tmp_path),
        lambda: load_table(tmp_path),
        lambda: load_tokeniser(tmp_path),
        lambda: load_exit_table(tmp_path / "exit.json"),
        lambda: load_package(tmp_path / "net.safetensors"),
        lambda: load_classifier(tmp_path),
        lambda: pretrained(tmp_path, 2),
    ]
    for reader in readers:
        assert not refuses_or_succeeds(reader)


def test_every_field_of_a_folders_settings_and_notes(tmp_path: Path) -> None:
    folder = save_trained(tmp_path / "c")
    for name, reader in (("config.json", lambda: _sized(folder)),
                         ("classifier.json", lambda: load_notes(folder, ["classes"]))):  # fmt: skip
        path = folder / name
        kept = json.loads(path.read_text())
        for field in kept:
            for own in (GONE, *mutated(kept[field])):
                held = {k: own if k == field else v for k, v in kept.items()
                        if k != field or own is not GONE}  # fmt: skip
                path.write_text(json.dumps(held))
                refuses_or_succeeds(reader)
        path.write_text(json.dumps(kept))


def _sized(folder: Path) -> None:
    if problems := size_problems(read_config(folder), folder):
        raise InputError(problems)


@pytest.mark.parametrize(
    ("field", "claim"),
    [("hidden_size", 10**9), ("vocab_size", 2**60), ("num_hidden_layers", 10**6),
     ("num_labels", 2**40), ("intermediate_size", 65536), ("max_position_embeddings", 60000),
     ("embedding_size", 16384), ("num_attention_heads", "2"), ("layer_norm_eps", -1),
     ("type_vocab_size", 900)],
)  # fmt: skip
def test_claims_are_refused_by_the_field(field: str, claim: object, tmp_path: Path) -> None:
    folder = save_trained(tmp_path / "c")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: claim}))
    load: Callable[[], object]
    for load in (lambda: load_classifier(folder), lambda: pretrained(folder, 2)):
        started = time.monotonic()
        with pytest.raises(InputError, match=field):
            load()
        assert time.monotonic() - started < 2


def test_weights_that_are_missing_are_no_random_numbers(tmp_path: Path) -> None:
    folder = save_trained(tmp_path / "c")
    weights = load_file(folder / "model.safetensors")
    save_file({n: w for n, w in weights.items() if "query" not in n}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"no tensor encoder.*query"):
        pretrained(folder, 2)


@pytest.mark.parametrize("size", [0, 1, 7, 2**40, 2**63])
def test_headers_longer_than_their_files(size: int, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(size.to_bytes(8, "little") + b"{}" + bytes(20))
    assert not refuses_or_succeeds(lambda: load_package(path))
    claim = b'{"x": {"dtype": "U8", "shape": [1099511627776], "data_offsets": [0, 1099511627776]}}'
    path.write_bytes(len(claim).to_bytes(8, "little") + claim)
    assert not refuses_or_succeeds(lambda: load_package(path))


def test_a_tokenisers_filling_and_cutting_are_left_aside(tmp_path: Path) -> None:
    folder = save_trained(tmp_path / "c")
    path = folder / "tokenizer.json"
    held = json.loads(path.read_text())
    held["padding"] = {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_id": 0,
                       "pad_to_multiple_of": None, "pad_type_id": 0, "pad_token": "x"}  # fmt: skip
    held["truncation"] = {"max_length": 3, "strategy": "LongestFirst", "stride": 0,
                          "direction": "Right"}  # fmt: skip
    path.write_text(json.dumps(held))
    assert len(load_tokeniser(folder).encode("a cat sat on the mat").ids) == 8


def test_a_header_without_our_part(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"x": np.zeros(2)}, path)
    with pytest.raises(InputError, match="no integer classifier"):
        load_package(path)
