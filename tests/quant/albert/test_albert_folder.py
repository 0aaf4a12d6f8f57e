"""Damaged folders of classifiers: each is named, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from shiftforge.errors import InputError
from shiftforge.quant.albert.network.folder import load_classifier, save_classifier
from shiftforge.quant.albert.network.model import OffRampAlbert, attach_spans, configuration
from shiftforge.quant.albert.network.notes import load_notes
from shiftforge.quant.albert.network.quantise import quantise_folder
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.training.texts import save_calibration

Damage = Callable[[Path], object]
SHAPE = Shape(hidden=16, heads=1, ffn=16, layers=1, length=12, embedding=8)
WORDS = "albert.embeddings.word_embeddings.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = OffRampAlbert(configuration(SHAPE, 40), 2)
    attach_spans(model, 4)
    save_classifier(model, ("a", "b"), tmp_path / "one", {"corpus": "bbc", "fold": 0})
    save_calibration([np.arange(2, 9)], tmp_path / "one")
    return tmp_path / "one"


def _json(name: str, **values: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def _bytes(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def _number(name: str, value: float) -> Damage:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors[name].view(-1)[0] = value
        save_file(tensors, folder / "model.safetensors")

    return damage


def _of_another_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {WORDS: torch.zeros(3, 8)}, folder / "model.safetensors")


def _pickle(folder: Path) -> None:
    torch.save({"a": torch.zeros(2)}, folder / "model.safetensors")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "no ALBERT"),
    "config of a list": (_bytes("config.json", b"[]"), "no ALBERT"),
    "a size as text": (_json("config.json", hidden_size="16"), "no ALBERT"),
    "no heads": (_json("config.json", num_attention_heads=0), "no ALBERT"),
    "padding past the words": (_json("config.json", pad_token_id=99), "no ALBERT"),
    "no notes": (lambda f: (f / "classifier.json").unlink(), "classifier.json cannot be read"),
    "notes of a list": (_bytes("classifier.json", b"[]"), "the notes are no object"),
    "classes as text": (_json("classifier.json", classes="ab"), "classes 'ab'"),
    "table as text": (_json("classifier.json", table="x"), "table 'x'"),
    "table without bias": (_json("classifier.json", table={}), "exponent bias None"),
    "weights as number": (_json("classifier.json", weights=3), "weights 3"),
    "another shape": (_of_another_shape, "size mismatch"),
    "a pickle": (_pickle, "no safetensors file"),
    "a word that is NaN": (_number(WORDS, float("nan")), f"{WORDS} holds NaN"),
    "an infinite off-ramp": (_number("ramps.0.weight", float("inf")), r"ramps\.0\.weight holds"),
    "a span that is NaN": (_number("spans.z", float("nan")), r"spans\.z holds NaN"),
    "calibration cut": (_bytes("calibration.json", b'{"ids": ['), "no calibration texts"),
    "a broken token": (_json("calibration.json", ids=[[1.5, 2]]), "no calibration texts"),
    "a huge token": (_json("calibration.json", ids=[[1, 10**30]]), "no calibration texts"),
    "tokeniser in bytes": (_bytes("tokenizer.json", b"\xff\xfe"), "is not UTF-8 text"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_folders_are_named(folder: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    output = folder.parent / "net.safetensors"
    damage(folder)
    with pytest.raises(InputError, match=message):
        quantise_folder(folder, output)
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_a_sound_folder_is_read(folder: Path) -> None:
    assert load_classifier(folder)[1] == ("a", "b")
    assert load_notes(folder, ["corpus", "fold"])["fold"] == 0


def test_notes_tell_everything_that_is_wrong(folder: Path) -> None:
    _json("classifier.json", corpus=1, fold=True)(folder)
    with pytest.raises(InputError) as caught:
        load_notes(folder, ["split"])
    assert len(caught.value.problems) == 3
