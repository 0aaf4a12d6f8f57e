"""Trains a classifier on one fold of a corpus and writes it into a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from shiftforge.quant.albert.baseline import tfidf_accuracy
from shiftforge.quant.albert.folder import pretrained, save_classifier, shape_of
from shiftforge.quant.albert.settings import Recipe, Shape
from shiftforge.quant.albert.start import cooccurrence_embeddings
from shiftforge.quant.albert.texts import FOLDS, chosen_fold
from shiftforge.quant.albert.train import train
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import (
    encode,
    load_tokeniser,
    save_tokeniser,
    train_wordpiece,
)

__all__ = ["train_fold"]


def train_fold(
    corpus: Corpus,
    fold: int,
    folder: Path,
    shape: Shape,
    recipe: Recipe,
    *,
    tokeniser: Path | None = None,
    start: Path | None = None,
    seed: int = 0,
    split: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, object]:
    """Train on all folds but one; the folder gets the classifier, its tokeniser and notes.

    The vocabulary, unless a tokeniser's folder is given, and the word embeddings to start from
    come from the training texts alone. start: a Hugging Face folder of an ALBERT, with its
    tokeniser, which gives the shape but for the length. split: seed of the folds. Returns the
    notes: accuracy on the held-out fold of every off-ramp and of TF-IDF with a linear classifier.
    Raises InputError.
    """
    chosen = chosen_fold(corpus, fold, split)
    texts = [corpus.texts[i] for i in chosen.train]
    found = start or tokeniser
    words = train_wordpiece(texts, shape.vocabulary) if found is None else load_tokeniser(found)
    say(
        f"{corpus.name}: {len(corpus)} texts in {len(corpus.classes)} classes ({corpus.dropped} "
        f"left out as copies), {len(chosen.train)} train, {len(chosen.held_out)} held out; "
        f"{words.get_vocab_size()} tokens"
    )
    baseline = tfidf_accuracy(corpus.texts, corpus.labels, chosen.train, chosen.held_out)
    say(f"TF-IDF and a linear classifier: {baseline:.4f}")
    own = encode(words, texts)
    held = encode(words, [corpus.texts[i] for i in chosen.held_out])
    size = words.get_vocab_size()
    model, table = None, None
    if start is None:
        shape = replace(shape, vocabulary=size)
        table = cooccurrence_embeddings(own, size, shape.embedding, seed=seed)
    else:
        torch.manual_seed(seed)
        model = pretrained(start, len(corpus.classes), recipe.dropout)
        shape = shape_of(model, shape.length)
    done = train(
        shape, recipe, own, corpus.labels[chosen.train], held, corpus.labels[chosen.held_out],
        len(corpus.classes), size, words=table, start=model, seed=seed, say=say,
    )  # fmt: skip
    notes: dict[str, object] = {
        "corpus": corpus.name,
        "fold": fold,
        "folds": FOLDS,
        "split": split,
        "seed": seed,
        "shape": asdict(shape),
        "recipe": asdict(recipe),
        "accuracy": list(done.accuracy),
        "tfidf": baseline,
        "seconds": round(done.seconds, 1),
    }
    save_classifier(done.model, corpus.classes, folder, notes)
    save_tokeniser(words, folder)
    return notes
