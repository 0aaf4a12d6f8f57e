"""Training of texts that is killed between any two writes: a rerun ends with the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from albert_texts import topics
from crashes import Killed, changes_of, contents, killed_at
from test_albert_table import OPTIONS, TRAINING

from shiftforge.cli.train_text_options import classifier_problems, folder_problems
from shiftforge.errors import InputError
from shiftforge.quant.albert.compression import compress as compressing
from shiftforge.quant.albert.compression.settings import Compression
from shiftforge.quant.albert.network.notes import load_notes
from shiftforge.quant.albert.training import run as training
from shiftforge.quant.albert.training.run import shared_table, train_fold, train_folds
from shiftforge.quant.albert.training.table_file import load_table


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the writing counts here: the bag of words, which takes longest, is left out."""
    monkeypatch.setattr(training, "tfidf_accuracy", lambda *_: 0.5)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def killed_everywhere(
    place: Path, program: Callable[[Path], object], check: Callable[[Path], list[Any]]
) -> None:
    """Every change does not happen once, over nothing and over an old output."""
    count = changes_of(lambda: program(place / "whole"))
    wanted = contents(place / "whole")
    assert count > 4 and wanted
    for last in range(1, count + 1):
        folder = place / f"killed-{last}"
        for _ in ("over nothing", "over the output of before"):
            try:
                with killed_at(last):
                    program(folder)
            except Killed:
                pass
            assert check(folder) == [], f"killed at change {last} of {count}"
            program(folder)
            assert contents(folder) == wanted, f"killed at change {last} of {count}"


def test_a_word_table(tmp_path: Path) -> None:
    corpora = [topics("first", 2)]

    def program(folder: Path) -> None:
        shared_table(lambda: corpora, folder, OPTIONS, fold=0, say=str)

    killed_everywhere(
        tmp_path, program, lambda f: folder_problems(f, "table.json", "bias", "digest", "corpora")
    )


def test_a_classifier(tmp_path: Path) -> None:
    corpus = topics("first", 2)
    killed_everywhere(
        tmp_path,
        lambda folder: train_fold(corpus, 0, folder, TRAINING, say=str),
        classifier_problems,
    )


@pytest.mark.slow
def test_folds(tmp_path: Path) -> None:
    corpus = topics("first", 2)
    killed_everywhere(
        tmp_path,
        lambda folder: train_folds(corpus, folder, TRAINING, folds=[0, 1], say=str),
        lambda folder: classifier_problems(folder, [0, 1]),
    )


def test_a_compression(tmp_path: Path) -> None:
    corpus = topics("first", 2)
    train_fold(corpus, 0, tmp_path / "teacher", TRAINING, say=str)
    options = Compression(epochs=1)
    killed_everywhere(
        tmp_path,
        lambda folder: compressing.compress(
            tmp_path / "teacher", folder, options, corpus=corpus, say=str
        ),
        classifier_problems,
    )


def test_an_unfinished_folder_is_told(tmp_path: Path) -> None:
    for name, load in (("classifier.json", load_notes), ("table.json", load_table)):
        (tmp_path / name).write_text('{"unfinished": true}')
        with pytest.raises(InputError, match="broken off"):
            load(tmp_path)


def test_folders_of_others_are_told_by_content(tmp_path: Path) -> None:
    for name, entries in (("classifier.json", {"mine": 1}), ("config.json", {})):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(str(entries).replace("'", '"'))
        (problem,) = classifier_problems(folder)
        assert "not written by this command" in problem.what
    folds = tmp_path / "folds"
    (folds / "fold-0").mkdir(parents=True)
    (folds / "fold-0" / "thesis.txt").write_text("mine")
    (folds / "summary.json").write_text("{}")
    found = classifier_problems(folds, [0, 1])
    assert [problem.where for problem in found] == [
        str(folds / "summary.json"),
        str(folds / "fold-0"),
    ]
