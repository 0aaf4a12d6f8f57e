"""The weights of a Hugging Face folder are those that transformers reads, and no others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from shiftforge.errors import InputError
from shiftforge.quant.capture.loaders.hf_weights import INDEX, WEIGHTS, weight_files


def tensors(*names: str) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.ones(3, np.float32) for name in names}


def indexed(folder: Path, mapped: object) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": mapped}))


def refused(folder: Path, *said: str) -> None:
    with pytest.raises(InputError) as caught:
        weight_files(folder)
    text = str(caught.value)
    assert all(words in text for words in said), text
    assert all(problem.remedy for problem in caught.value.problems)


def test_a_second_file_is_left_aside_and_named(tmp_path: Path) -> None:
    save_file(tensors("a"), tmp_path / WEIGHTS)
    assert weight_files(tmp_path) == ([tmp_path / WEIGHTS], ())
    save_file(tensors("a"), tmp_path / "old_model.safetensors")
    save_file(tensors("exp_avg.0"), tmp_path / "optimizer.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    indexed(tmp_path, {"a": "old_model.safetensors"})
    files, notes = weight_files(tmp_path)
    assert files == [tmp_path / WEIGHTS]
    for name in (WEIGHTS, "old_model", "optimizer", "pytorch_model.bin", INDEX):
        assert name in notes[0]


def test_the_shards_of_the_index(tmp_path: Path) -> None:
    save_file(tensors("a", "b"), tmp_path / "one.safetensors")
    save_file(tensors("c"), tmp_path / "two.safetensors")
    save_file(tensors("a"), tmp_path / "zzz.safetensors")
    indexed(tmp_path, {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"})
    files, notes = weight_files(tmp_path)
    assert [file.name for file in files] == ["one.safetensors", "two.safetensors"]
    assert "zzz.safetensors" in notes[0] and "one" not in notes[0]


@pytest.mark.parametrize(
    ("mapped", "said"),
    [
        ({"a": "one.safetensors", "b": "gone.safetensors"}, ["gone.safetensors, which is not"]),
        ({"a": "../one.safetensors"}, ["no safetensors file of this folder"]),
        ({"a": "/etc/passwd"}, ["no safetensors file of this folder"]),
        ({"a": "one.bin"}, ["no safetensors file of this folder"]),
        ({"a": "\0.safetensors"}, ["no safetensors file of this folder"]),
        ({"a": 3}, ["no weight_map"]),
        ({}, ["no weight_map"]),
        ("one.safetensors", ["no weight_map"]),
        ({"a": "one.safetensors", "b": "one.safetensors"}, ["1 are missing (b)"]),
        ({"b": "one.safetensors"}, ["1 are missing (b)", "1 are not in the index (a)"]),
        ({"a": "one.safetensors", "b": "x/y", "c": "gone.safetensors"}, ["x/y", "gone"]),
    ],
)  # fmt: skip
def test_bad_indexes_are_refused(tmp_path: Path, mapped: object, said: list[str]) -> None:
    save_file(tensors("a"), tmp_path / "one.safetensors")
    indexed(tmp_path, mapped)
    refused(tmp_path, *said)


def test_an_index_that_is_no_object_or_no_file(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text("[1]")
    refused(tmp_path, "no weight_map")
    (tmp_path / INDEX).write_text("[" * 100_000)
    refused(tmp_path, "levels deep")
    (tmp_path / INDEX).unlink()
    os.mkfifo(tmp_path / INDEX)
    refused(tmp_path, "named pipe")


def test_a_file_of_another_name_has_to_be_renamed(tmp_path: Path) -> None:
    save_file(tensors("a"), tmp_path / "weights.safetensors")
    refused(tmp_path, "only weights.safetensors", "call the file of the weights model.safetensors")
    os.mkfifo(tmp_path / WEIGHTS)
    refused(tmp_path, WEIGHTS)
