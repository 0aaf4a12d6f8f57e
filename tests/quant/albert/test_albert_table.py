"""The shared word table: levels, density, damage, and two classifiers over the same bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albert_texts import topics
from safetensors.numpy import load_file, save_file

from shiftforge.errors import InputError
from shiftforge.quant.albert.network.settings import Recipe, Shape
from shiftforge.quant.albert.training.run import train_fold
from shiftforge.quant.albert.training.settings import (
    Origin,
    TableOptions,
    TableRecipe,
    Training,
)
from shiftforge.quant.albert.training.table import build_table
from shiftforge.quant.albert.training.table_file import SharedTable, load_table
from shiftforge.quant.albert.training.texts import chosen_fold, load_calibration, validation_part
from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, values

SMALL = TableRecipe(steps=40, batch=16, hidden=16)
SHAPE = Shape(hidden=16, heads=1, ffn=16, layers=2, length=16, embedding=8, vocabulary=400)
QUICK = Recipe(epochs=1, ramp_epochs=2, ramp_windows=1, dropout=0.0)
TRAINING = Training(SHAPE, QUICK)
OPTIONS = TableOptions(vocabulary=120, columns=8, density=0.4, recipe=SMALL)


def build(folder: Path, seed: int = 0, **others: Any) -> SharedTable:
    corpora = [topics("first", 3), topics("second", 2, seed=1)]
    return build_table(corpora, folder, replace(OPTIONS, **others), seed=seed, say=str)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("table")
    build(place)
    return place


def test_values_are_pruned_and_on_the_levels(folder: Path) -> None:
    table = load_table(folder)
    levels = values(AdaptivFloatFormat(), table.bias).astype(np.float32)
    assert np.isin(table.words, levels).all()
    # A level below the smallest may round to zero: never more entries than asked for.
    assert 0.36 < table.density <= 0.4
    assert table.density == np.count_nonzero(table.words) / table.words.size
    assert json.loads((folder / "table.json").read_text())["corpora"] == ["first", "second"]


def test_equal_arguments_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    build(tmp_path)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert build(tmp_path, seed=1).digest != load_table(folder).digest


def test_held_out_and_validation_texts_are_not_read(folder: Path, tmp_path: Path) -> None:
    corpora = []
    for corpus in (topics("first", 3), topics("second", 2, seed=1)):
        reads = validation_part(chosen_fold(corpus, 0), corpus.labels)[0]
        kept = set(reads.tolist())
        texts = tuple(text if i in kept else f"unread {i}" for i, text in enumerate(corpus.texts))
        corpora.append(replace(corpus, texts=texts))
    again = build_table(corpora, tmp_path, OPTIONS, say=str)
    assert again.digest == load_table(folder).digest


def test_classifiers_of_two_tasks_hold_the_same_table(folder: Path, tmp_path: Path) -> None:
    table = load_table(folder)
    for corpus in (topics("first", 3), topics("second", 2, seed=1)):
        place = tmp_path / corpus.name
        notes = train_fold(corpus, 0, place, TRAINING, origin=Origin(table=folder), say=str)
        held = load_file(place / "model.safetensors")
        kept = held["albert.embeddings.word_embeddings.weight"]
        assert kept.dtype == np.float32 and kept.tobytes() == table.words.tobytes()
        assert notes["table"] == table.notes()
        assert len(load_calibration(place)) == 24
        assert (place / "tokenizer.json").read_text() == (folder / "tokenizer.json").read_text()


def test_a_table_that_has_read_the_held_out_texts(folder: Path, tmp_path: Path) -> None:
    corpus = topics("first", 3)
    with pytest.raises(InputError) as caught:
        narrow = Training(replace(SHAPE, embedding=4), QUICK)
        train_fold(corpus, 1, tmp_path, narrow, origin=Origin(table=folder))
    assert len(caught.value.problems) == 2 and "read held-out texts" in str(caught.value)
    with pytest.raises(InputError, match="more than one of"):
        both = Origin(table=folder, network=folder)
        train_fold(corpus, 0, tmp_path, TRAINING, origin=both)
    assert not any(tmp_path.iterdir())


def test_damaged_tables(folder: Path, tmp_path: Path) -> None:
    notes = (folder / "table.json").read_text()
    (tmp_path / "table.json").write_text(notes)
    with pytest.raises(InputError, match="no word table"):
        load_table(tmp_path)
    words = load_table(folder).words.copy()
    row, column = np.argwhere(words)[0]
    words[row, column] *= 1.001
    save_file({"words": words}, tmp_path / "table.safetensors")
    with pytest.raises(InputError) as caught:
        load_table(tmp_path)
    assert [p.what for p in caught.value.problems] == [
        "values differ from the digest",
        "values are not AF<8,3>",
    ]
    words[row, column] = np.nan
    save_file({"words": words}, tmp_path / "table.safetensors")
    (tmp_path / "table.json").write_text(json.dumps(json.loads(notes) | {"bias": 900}))
    with pytest.raises(InputError, match="differ from the digest") as caught:
        load_table(tmp_path)
    assert len(caught.value.problems) == 2 and caught.value.problems[1].what == "exponent bias 900"
    (tmp_path / "table.json").write_text(notes)
    with pytest.raises(InputError, match="not AF<8,3>"):
        load_table(tmp_path)
    for damaged in ("{}", json.dumps(json.loads(notes) | {"fold": float("inf")})):
        (tmp_path / "table.json").write_text(damaged)
        with pytest.raises(InputError, match="no word table"):
            load_table(tmp_path)


def test_settings_of_a_table(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build_table([], tmp_path / "none", TableOptions(density=0.0, columns=0))
    assert len(caught.value.problems) == 3 and not (tmp_path / "none").exists()
    assert build(tmp_path, tokeniser=folder, density=0.2).density <= 0.2
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert build(tmp_path, density=1.0, recipe=replace(SMALL, steps=3)).density > 0.6
