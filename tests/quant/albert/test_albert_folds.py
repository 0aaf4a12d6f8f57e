"""Folds of training: validation parts, calibration texts, the summary, going on where it ended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from albert_texts import topics

from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.quant.albert.network.settings import Recipe, Shape
from shiftforge.quant.albert.training.baseline import tfidf_accuracy
from shiftforge.quant.albert.training.run import summary, train_folds
from shiftforge.quant.albert.training.settings import Origin, Training
from shiftforge.quant.albert.training.texts import (
    calibration_places,
    chosen_fold,
    load_calibration,
    save_calibration,
    validation_part,
)

SHAPE = Shape(hidden=16, heads=1, ffn=16, layers=2, length=16, embedding=8, vocabulary=400)
QUICK = Recipe(epochs=1, ramp_epochs=2, ramp_windows=1, dropout=0.0)
TRAINING = Training(SHAPE, QUICK)


def test_a_validation_part_of_every_class() -> None:
    corpus = topics("first", 3, count=90)
    fold = chosen_fold(corpus, 2)
    trains, validates = validation_part(fold, corpus.labels)
    assert sorted([*trains, *validates]) == fold.train.tolist()
    assert np.bincount(corpus.labels[validates]).tolist() == [3, 3, 3]
    again = validation_part(fold, corpus.labels)[1]
    assert np.array_equal(validates, again)
    assert not np.array_equal(validates, validation_part(fold, corpus.labels, seed=1)[1])
    with pytest.raises(InputError, match=r"share 0\.9"):
        validation_part(fold, corpus.labels, share=0.9)
    alone = replace(fold, train=fold.train[:1])
    with pytest.raises(InputError, match="fewer than two training texts"):
        validation_part(alone, corpus.labels)


def test_calibration_texts_are_of_every_class(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], [50, 5, 45])
    train = np.arange(0, 100, 2)
    places = calibration_places(labels, train, 10)
    assert set(places) <= set(train) and len(set(places)) == len(places) == 10
    assert np.bincount(labels[places]).tolist() == [4, 3, 3]
    save_calibration([np.array([2, 7, 3]), np.array([2, 3])], tmp_path)
    assert [ids.tolist() for ids in load_calibration(tmp_path)] == [[2, 7, 3], [2, 3]]
    for damaged in ("{}", '{"ids": []}', '{"ids": [[1.5, "a"]]}', '{"ids": [[-1, 2]]}', "["):
        (tmp_path / "calibration.json").write_text(damaged)
        with pytest.raises(InputError, match="no calibration texts"):
            load_calibration(tmp_path)


def test_the_interval_is_that_of_students_t() -> None:
    runs = [
        {"corpus": "c", "fold": k, "accuracy": [a, 0.9], "validation": [a], "tfidf": 0.5}
        for k, a in enumerate([0.90, 0.92, 0.94, 0.96, 0.98])
    ]
    first, second = summary(runs)["accuracy"]
    # 2.776 is the two-sided 95 % point of Student's t with 4 degrees of freedom.
    assert first["mean"] == pytest.approx(0.94)
    assert first["deviation"] == pytest.approx(0.0316228, abs=1e-6)
    assert first["interval"] == pytest.approx([0.94 - 0.039265, 0.94 + 0.039265], abs=1e-5)
    assert second["interval"] == pytest.approx([0.9, 0.9])
    assert summary(runs[:1])["tfidf"] == {
        "mean": 0.5, "deviation": None, "interval": None, "values": [0.5],
    }  # fmt: skip


def test_folds_go_on_where_they_ended(tmp_path: Path) -> None:
    corpus = topics("first", 3, count=120)
    said: list[str] = []
    found = train_folds(corpus, tmp_path, TRAINING, folds=[0, 1], say=said.append)
    assert json.loads((tmp_path / "summary.json").read_text()) == found
    assert found["folds"] == [0, 1] and len(found["accuracy"]) == len(found["validation"]) == 2
    notes = json.loads((tmp_path / "fold-1" / "classifier.json").read_text())
    assert notes["accuracy"][1] == found["accuracy"][1]["values"][1]
    assert notes["shape"]["vocabulary"] < 400
    written = (tmp_path / "fold-1" / "model.safetensors").stat().st_mtime_ns

    # Fold 0 was cut short; fold 1 is kept.
    (tmp_path / "fold-0" / "classifier.json").write_text("{")
    said.clear()
    again = train_folds(corpus, tmp_path, TRAINING, folds=[0, 1], say=said.append)
    assert [text for text in said if "complete" in text] == [
        f"first, fold 1: {tmp_path / 'fold-1'} is complete"
    ]
    assert (tmp_path / "fold-1" / "model.safetensors").stat().st_mtime_ns == written
    assert again["accuracy"] == found["accuracy"]

    said.clear()
    faster = Training(SHAPE, replace(QUICK, rate=2e-3))
    train_folds(corpus, tmp_path, faster, folds=[1], say=said.append)
    assert not [text for text in said if "complete" in text]
    with pytest.raises(InputError, match="one word table"):
        train_folds(corpus, tmp_path, TRAINING, origin=Origin(table=tmp_path))


def test_the_command_trains_every_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = topics("first", 2, count=80)
    rows = [f"{t}\t{k}" for t, k in zip(corpus.texts, corpus.labels, strict=True)]
    path = tmp_path / "own.tsv"
    path.write_text("\n".join(["text\tlabel", *rows]) + "\n")
    sizes = "--hidden 16 --heads 1 --ffn 16 --layers 1 --embedding 8 --vocabulary 200 --epochs 1"
    command = ["train", "albert", "--json", *sizes.split(), "-o", str(tmp_path / "out"), "--corpus"]
    assert run([*command, f"tsv:{path}:text:label", "--fold", "all"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folds"] == [0, 1, 2, 3, 4] and len(found["accuracy"]) == 1
    assert all((tmp_path / "out" / f"fold-{k}" / "calibration.json").is_file() for k in range(5))
    glue = tmp_path / "SST-2"
    glue.mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (glue / name).write_text("\n".join(["sentence\tlabel", *rows]) + "\n")
    assert run([*command, f"glue:SST-2:{glue}", "--fold", "all"]) == 2
    assert capsys.readouterr().err.count("a split of its own") == 4


def test_a_baseline_without_common_words() -> None:
    texts = ["one two", "three four", "five six", "seven eight"]
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(InputError, match="nothing to learn"):
        tfidf_accuracy(texts, labels, np.arange(3), np.array([3]))
