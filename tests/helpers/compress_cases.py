"""Two classes of made-up texts, and a small classifier trained on them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from shiftforge.quant.albert.network.folder import save_classifier
from shiftforge.quant.albert.network.model import OffRampAlbert, configuration
from shiftforge.quant.albert.network.settings import Recipe, Shape
from shiftforge.quant.albert.training.loop import Labelled
from shiftforge.quant.albert.training.settings import Training
from shiftforge.quant.albert.training.texts import chosen_fold, validation_part
from shiftforge.quant.albert.training.train import TrainingSet, train
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import encode, save_tokeniser, train_wordpiece

SHAPE = Shape(hidden=32, heads=2, ffn=64, layers=2, length=12, embedding=16, vocabulary=64)
_WORDS = {
    "ship": "harbour sail anchor deck tide mast crew rope",
    "farm": "barn plough wheat cow hay field goat fence",
}
_BOTH = ["the", "a", "of", "and", "with", "under", "over", "morning", "evening", "old", "new"]


def random_model(classes: int = 2, shape: Shape = SHAPE, seed: int = 0) -> OffRampAlbert:
    """A network with weights large enough for every part of it to matter."""
    torch.manual_seed(seed)
    model = OffRampAlbert(configuration(shape, shape.vocabulary), classes).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3 if p.ndim > 1 else 1).add_(0.1 * torch.randn_like(p))
    return model


def made_corpus(count: int = 120) -> Corpus:
    """Texts of 5 to 16 words, of which two in five tell the class."""
    rng = np.random.default_rng(3)
    texts, labels = [], []
    for number in range(count):
        own = list(_WORDS.values())[number % 2].split()
        size = int(rng.integers(5, 17))
        words = [str(rng.choice(own if rng.random() < 0.4 else _BOTH)) for _ in range(size)]
        texts.append(" ".join([own[number // 2 % len(own)], *words]))
        labels.append(number % 2)
    return Corpus("made", tuple(texts), np.array(labels, dtype=np.int64), tuple(_WORDS), 0)


def trained_folder(folder: Path, epochs: int = 8) -> Corpus:
    """A classifier of the texts, with the notes of ``train_fold``; returns the corpus."""
    corpus = made_corpus()
    fold = chosen_fold(corpus, 0)
    own, _ = validation_part(fold, corpus.labels)
    tokeniser = train_wordpiece([corpus.texts[i] for i in own], SHAPE.vocabulary)
    recipe = Recipe(epochs=epochs, batch=16, rate=5e-3, dropout=0.0, ramp_epochs=50)
    size = tokeniser.get_vocab_size()
    parts = [
        Labelled(encode(tokeniser, [corpus.texts[i] for i in places]), corpus.labels[places])
        for places in (own, fold.held_out)
    ]
    texts = TrainingSet(*parts, classes=2, vocabulary=size)
    done = train(Training(SHAPE, recipe), texts, say=lambda _: None)
    notes = {
        "corpus": "made", "fold": 0, "split": 0, "shape": asdict(SHAPE),
        "recipe": asdict(recipe), "accuracy": list(done.accuracy),
    }  # fmt: skip
    save_classifier(done.model, corpus.classes, folder, notes)
    save_tokeniser(tokeniser, folder)
    return corpus
