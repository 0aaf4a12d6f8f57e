"""A trained classifier's folder to a file of the unit's integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.files import read_text
from shiftforge.jsontext import MOST_JSON
from shiftforge.quant.albert.network.config import head_problems
from shiftforge.quant.albert.network.convert import convert, zero_shares
from shiftforge.quant.albert.network.file import save_integer
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.network.notes import load_notes
from shiftforge.quant.albert.network.ramps import corrected_ramps
from shiftforge.quant.albert.network.weights import weight_choice
from shiftforge.quant.albert.training.texts import CALIBRATION, held_out, load_calibration
from shiftforge.quant.formats.adaptivfloat_calibration import Method
from shiftforge.quant.text.catalogue import load_corpus
from shiftforge.quant.text.tokeniser import FILE, read_tokeniser

__all__ = ["calibration_texts", "quantise_folder"]

_FROM_TRAINING = 24


def calibration_texts(
    folder: Path, length: int, vocabulary: int, corpus: str | None = None, fold: int | None = None
) -> list[NDArray[np.int64]]:
    """Token identities (L,) of a classifier's calibration texts, at most ``length`` tokens each.

    Those of the folder's calibration.json; without one, of 24 training texts of the fold that the
    notes (or corpus and fold) name. vocabulary: tokens the network knows. Raises InputError.
    """
    path = folder / CALIBRATION
    if not path.exists():
        return _training_texts(folder, length, corpus, fold)
    texts = load_calibration(folder)
    if any(int(t.max()) >= vocabulary for t in texts):
        what = f"calibration texts with a token outside the {vocabulary} of the network"
        remedy = f"train again, or remove {CALIBRATION} to take texts of the corpus"
        raise InputError(Problem(what, remedy, str(path)))
    return [t[:length] for t in texts]


def _training_texts(
    folder: Path, length: int, corpus: str | None, fold: int | None
) -> list[NDArray[np.int64]]:
    notes = load_notes(folder)
    name = corpus or str(notes.get("corpus", "bbc"))
    which = int(notes.get("fold", 0)) if fold is None else fold
    split = int(notes.get("split", 0))
    found = held_out(load_corpus(name), which, folder, length, _FROM_TRAINING, split)
    return list(found.calibration)


def _tokeniser(folder: Path) -> str | None:
    """The text of its tokenizer.json, if it has one."""
    path = folder / FILE
    if not path.exists():
        return None
    text = read_text(path, most=MOST_JSON, remedy="save the tokeniser again")
    read_tokeniser(text, str(path))
    return text


def quantise_folder(
    folder: Path,
    output: Path,
    weights: str | None = None,
    method: Method = "mse",
    bits: int = 8,
    *,
    corpus: str | None = None,
    fold: int | None = None,
    ramps: bool = True,
) -> IntegerAlbert:
    """Write the integer network of a classifier's folder, with its tokeniser and notes.

    weights: as ``weights.weight_choice`` reads it; None takes what the classifier was trained for
    (the note ``weights``), else AF<bits,3>. bits: of ``af``. The folder's frozen word table keeps
    its exponent bias. ramps: correct the off-ramps' biases of a classifier that was trained without
    quantisers (``ramps.corrected_ramps``). corpus, fold: where calibration texts come from if the
    folder has none; by default the notes' own. The notes get ``quantised``: weights, bits, method,
    the shares of zero codes, and whether the off-ramps were corrected. Raises InputError.
    """
    from shiftforge.quant.albert.network.folder import float_network, load_classifier

    text = _tokeniser(folder)
    model, classes = load_classifier(folder)
    config = model.config
    if problems := head_problems(config.hidden_size, config.num_attention_heads, str(folder)):
        raise InputError(problems)
    notes = load_notes(folder)
    trained = notes.get("weights")
    choice = weight_choice(weights or trained or "af", bits)
    if choice.share is not None and choice.name != trained:
        what = f"weights {choice.name!r} of a classifier trained for {trained or 'float weights'}"
        raise InputError(Problem(what, "train with these weights, or use shift2", str(folder)))
    network = float_network(model, classes)
    texts = calibration_texts(folder, network.length, len(network.values["word"]), corpus, fold)
    table = notes.get("table")
    made = convert(
        network, texts, choice.kind, method, choice.bits,
        word_bias=None if table is None else int(table["bias"]),
    )  # fmt: skip
    # Training with quantisers has seen the rounding already.
    corrected = ramps and trained is None
    if corrected:
        made = corrected_ramps(network, made, texts)
    notes["quantised"] = {
        "weights": choice.name, "bits": choice.bits, "method": method, "zeros": zero_shares(made),
        "corrected_ramps": corrected,
    }  # fmt: skip
    save_integer(made, output, tokeniser=text, notes=notes)
    return made
