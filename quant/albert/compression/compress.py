"""Compresses a trained classifier while it trains on: attention spans, pruned and quantised
weights, another word table, distillation from what it was (EdgeBERT, MICRO 2021)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.atomic import clear_leftovers
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.albert.compression.distil import Distillation
from shiftforge.quant.albert.compression.pruning import (
    Schedule,
    attach_pruning,
    fold_pruning,
    sparsities,
)
from shiftforge.quant.albert.compression.settings import Compression
from shiftforge.quant.albert.network.folder import load_classifier, save_classifier
from shiftforge.quant.albert.network.model import OffRampAlbert, attach_spans
from shiftforge.quant.albert.network.notes import begin_notes, load_notes
from shiftforge.quant.albert.network.settings import Recipe, read_recipe
from shiftforge.quant.albert.network.spans import SpanLearning, span_rate
from shiftforge.quant.albert.network.weights import weight_choice
from shiftforge.quant.albert.training.loop import (
    Addition,
    Labelled,
    Say,
    Sentences,
    accuracy,
    fit_network,
    fit_off_ramps,
    steps_of,
)
from shiftforge.quant.albert.training.texts import (
    calibration_places,
    chosen_fold,
    save_calibration,
    validation_part,
)
from shiftforge.quant.text.catalogue import load_corpus
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, save_tokeniser, window

__all__ = ["compress"]

_PRUNED = 0.01  # of exact zeros, from which a network counts as pruned
_NEEDED = ("corpus", "fold")  # of the notes


@dataclass(frozen=True, eq=False)
class _Texts:
    """calibration: some of train, cut to the network's length."""

    train: Labelled
    validation: Labelled
    held_out: Labelled
    calibration: list[NDArray[np.int64]]


def _texts(corpus: Corpus, notes: Mapping[str, Any], tokeniser: Any, length: int) -> _Texts:
    split = int(notes.get("split", 0))
    fold = chosen_fold(corpus, int(notes["fold"]), split)
    # The teacher's own validation part: what trained it must not choose.
    train, validation = validation_part(fold, corpus.labels, seed=split)

    def part(places: NDArray[np.int64]) -> Labelled:
        return Labelled(encode(tokeniser, [corpus.texts[i] for i in places]), corpus.labels[places])

    few = part(calibration_places(corpus.labels, train))
    calibration = [window(ids, length) for ids in few.ids]
    return _Texts(part(train), part(validation), part(fold.held_out), calibration)


def _place_table(
    model: OffRampAlbert, folder: Path, tokeniser: Any, notes: Mapping[str, Any]
) -> dict[str, object]:
    """The words of a table into a network; returns the table's notes. notes: of the teacher."""
    from shiftforge.quant.albert.training.table_file import load_table

    table = load_table(folder)
    held = model.albert.embeddings.word_embeddings.weight
    problems = Problems()
    if table.words.shape != tuple(held.shape):
        what = f"a table of {table.words.shape}, a network with words of {tuple(held.shape)}"
        problems.append(Problem(what, "use a table of the network's sizes", str(folder)))
    elif load_tokeniser(folder).get_vocab() != tokeniser.get_vocab():
        what = "the table's tokens are not those of the network"
        problems.append(Problem(what, "train the network with the table's tokens", str(folder)))
    seen = notes["fold"], notes.get("split", 0)
    if notes["corpus"] in table.corpora and (table.fold, table.split) != seen:
        what = f"the table has read the training texts of fold {table.fold}, split {table.split}"
        remedy = f"use one of fold {seen[0]}, split {seen[1]}: this one has read held-out texts"
        problems.append(Problem(what, remedy, str(folder)))
    problems.stop()
    with torch.no_grad():
        held.copy_(torch.from_numpy(table.words))
    return table.notes()


def _recipe(notes: Mapping[str, Any], options: Compression) -> Recipe:
    """The teacher's recipe, with the compression's rate and time."""
    return replace(
        read_recipe(notes.get("recipe")), epochs=options.epochs, minutes=options.minutes,
        rate=options.rate, dropout=options.dropout,
    )  # fmt: skip


def _set_dropout(model: OffRampAlbert, share: float) -> None:
    """Of the hidden columns; attention has none."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
    layer: Any = cast(Any, model.albert.encoder.albert_layer_groups)[0].albert_layers[0]
    layer.attention.attention_dropout.p = 0.0


def _attach(
    model: OffRampAlbert, options: Compression, steps: int, calibration: Sentences,
    word_bias: int | None,
) -> list[Addition]:  # fmt: skip
    """Everything that is asked for, masks before quantisers."""
    additions: list[Addition] = []
    if options.spans:
        spans = model.spans or attach_spans(model, options.ramp)
        spans.z.requires_grad_(True)
        rate = span_rate(spans, steps, options.span_travel)
        additions.append(SpanLearning(spans, options.spans, rate))
    elif model.spans is not None:
        model.spans.z.requires_grad_(False)
    if options.prune is not None:
        schedule = Schedule(options.sparsity, options.warm_up, options.cool_down)
        masks = attach_pruning(
            model,
            options.prune,
            schedule,
            rate=options.score_rate,
            over_all=options.over_all,
            mapping=options.mapping,
        )
        additions.append(masks)
    elif sparsities(model)["encoder"] > _PRUNED:
        mapping = sparsities(model)["mapping"] > _PRUNED
        additions.append(attach_pruning(model, "kept", mapping=mapping))
    if options.weights is not None:
        from shiftforge.quant.albert.compression.qat import attach

        additions.append(
            attach(
                model, options.weights, calibration, activations=options.activations,
                word_bias=word_bias,
            )
        )  # fmt: skip
    return additions


def _fold(model: OffRampAlbert, options: Compression) -> None:
    """Plain weights again: exact zeros, exactly on the levels."""
    if options.weights is not None:
        from shiftforge.quant.albert.compression.qat import fold

        fold(model)
    fold_pruning(model)
    if model.spans is not None:
        model.spans.z.requires_grad_(True)


def _report(model: OffRampAlbert) -> dict[str, Any]:
    found: dict[str, Any] = {"sparsity": {n: round(s, 4) for n, s in sparsities(model).items()}}
    if model.spans is not None:
        off = [i for i, dark in enumerate(model.spans.off()) if dark]
        found |= {"heads_off": off, "average_reach": round(model.spans.average(), 2)}
    return found


def compress(
    teacher: Path,
    folder: Path,
    options: Compression,
    *,
    start: Path | None = None,
    corpus: Corpus | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> dict[str, object]:
    """Compress a classifier; the folder gets the new one, its tokeniser, calibration and notes.

    teacher: a classifier's folder, whose notes name the corpus, the fold and its split. It is left
    as it is, unless ``folder`` is the same. start: a folder to go on from, of the teacher's
    vocabulary, by default the teacher's own. corpus: by default the one of the notes' name.
    Trained on the training texts without their validation part, first all but the off-ramps, with
    the span loss and the sparsity's schedule; then the off-ramps. The same seed gives the same
    network where ``options.minutes`` is None.

    Returns the notes: ``accuracy`` (held out) and ``validation`` of every off-ramp, ``sparsity`` of
    every matrix, ``heads_off`` and ``average_reach`` in tokens where there are spans. Held-out
    texts choose nothing. Raises InputError.
    """
    began = time.monotonic()
    if options.weights is not None:
        weight_choice(options.weights)
    held = load_notes(teacher, _NEEDED)
    own = held if start is None else load_notes(start, _NEEDED)
    model, classes = load_classifier(start or teacher)
    master = load_classifier(teacher)[0] if options.distil else None
    tokeniser = load_tokeniser(teacher)
    if start is not None and load_tokeniser(start).get_vocab() != tokeniser.get_vocab():
        what = "its tokens are not those of the teacher"
        raise InputError(Problem(what, "start from a network made of the teacher", str(start)))
    table = own.get("table")
    if options.table is not None:
        table = _place_table(model, options.table, tokeniser, held)
    if table is not None and options.train_words:
        what = "the words of the network's table do not learn"
        raise InputError(Problem(what, "leave train_words out", str(start or teacher)))
    length = model.config.max_position_embeddings
    texts = _texts(corpus or load_corpus(held["corpus"]), held, tokeniser, length)
    recipe = _recipe(held, options)
    word_bias = None if table is None else int(table["bias"])
    _train(model, master, options, recipe, texts, word_bias, seed, say)
    made = {
        "validation": accuracy(model, texts.validation, length),
        "accuracy": accuracy(model, texts.held_out, length),
    }
    dropped = ("spans", "weights", "table", "classes", "sparsity", "heads_off", "average_reach")
    notes: dict[str, Any] = {n: v for n, v in own.items() if n not in dropped}
    notes |= {name: list(found) for name, found in made.items()}
    notes |= {
        "seed": seed,
        "recipe": asdict(recipe),
        "compression": options.notes(),
    }
    notes |= {"teacher_accuracy": held.get("accuracy"), **_report(model)}
    if table is not None:
        notes["table"] = table
    if options.weights is not None:
        notes["weights"] = weight_choice(options.weights).name
    _save(model, classes, folder, notes, tokeniser, texts.calibration)
    _tell(notes, say)
    say(f"compressed in {time.monotonic() - began:.0f} s")
    return notes


def _train(
    model: OffRampAlbert, master: OffRampAlbert | None, options: Compression, recipe: Recipe,
    texts: _Texts, word_bias: int | None, seed: int, say: Say,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    length = model.config.max_position_embeddings
    _set_dropout(model, recipe.dropout)
    steps = steps_of(texts.train.ids, recipe)
    additions = _attach(model, options, steps, texts.calibration, word_bias)
    words = model.albert.embeddings.word_embeddings
    for parameter in words.parameters():
        parameter.requires_grad_(options.train_words)
    objective = None
    if master is not None:
        objective = Distillation(
            master, options.temperature, options.distil_share, recipe.smoothing
        )
    fit_network(
        model, length, recipe, texts.train, rng, say, additions=additions, objective=objective
    )
    fit_off_ramps(model, length, recipe, texts.train, rng)
    _fold(model, options)


def _save(
    model: OffRampAlbert, classes: tuple[str, ...], folder: Path, notes: Mapping[str, Any],
    tokeniser: Any, calibration: Sequence[NDArray[np.int64]],
) -> None:  # fmt: skip
    # The notes, without which a folder is no classifier, are written last.
    begin_notes(folder)
    clear_leftovers(folder)
    save_tokeniser(tokeniser, folder)
    save_calibration(calibration, folder)
    save_classifier(model, classes, folder, notes)


def _tell(notes: Mapping[str, Any], say: Say) -> None:
    for name, found in (("validation", notes["validation"]), ("held out", notes["accuracy"])):
        say(f"{name}, by off-ramp: {' '.join(f'{a:.4f}' for a in found)}")
    say(" ".join(f"{n} {s:.3f}" for n, s in notes["sparsity"].items()) + " of zeros")
    if "heads_off" in notes:
        say(f"heads off: {notes['heads_off']}; average reach {notes['average_reach']} tokens")
