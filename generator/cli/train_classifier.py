"""``shiftforge train albert``: a classifier trained on a corpus, or a trained one compressed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from shiftforge.cli.output import note, print_json
from shiftforge.cli.train_report import print_notes, print_summary
from shiftforge.cli.train_text_options import (
    ALL,
    COMPRESSION_EPOCHS,
    FOLDS,
    LAYERS,
    NOTES,
    ClassifierOptions,
    classifier_problems,
    number_problems,
)
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.text.specs import FORMS, open_corpus

if TYPE_CHECKING:
    from shiftforge.quant.albert.compression.settings import Compression
    from shiftforge.quant.albert.network.settings import Recipe, Shape

__all__ = ["compress_classifier", "train_classifier"]

_SIZES = ("hidden", "heads", "ffn", "layers", "embedding", "vocabulary")
_COMPRESSING = ("spans", "ramp", "prune", "sparsity", "distil", "weights")
_TRAINING = ("fold", "tokeniser", *_SIZES, "length")
_TABLE_CORPORA = ("bbc", "sentiment")


def train_classifier(given: ClassifierOptions, as_json: bool) -> None:
    """Train on the folds asked for, write their folders and print how well they do.

    Raises InputError with everything that is wrong with the options, the corpus and the folders.
    """
    problems = Problems(number_problems(given.seed, given.threads, given.epochs))
    problems += _refused(given, _COMPRESSING, "without --from")
    problems += _origin_problems(given)
    shape = problems.check(_shape, given)
    folds = problems.check(_folds, given.fold)
    several = folds if given.fold == ALL else None
    problems += classifier_problems(given.output, several)
    corpus = None
    if given.corpus is None:
        remedy = f"give --corpus ({FORMS}), or --from a classifier to compress"
        problems.append(Problem("nothing to train on", remedy))
    else:
        corpus = problems.check(open_corpus, given.corpus)
    if problems or shape is None or folds is None or corpus is None:
        raise InputError(problems)
    import torch

    from shiftforge.quant.albert.training.run import table_of_fold, train_fold, train_folds
    from shiftforge.quant.albert.training.settings import Origin, Training

    torch.set_num_threads(given.threads)
    training = Training(shape, _recipe(given), given.seed)
    origin = Origin(given.tokeniser, given.start, given.table)
    _make_tables(given, folds, shape.embedding)
    if given.fold == ALL:
        found = train_folds(corpus, given.output, training, folds=folds, origin=origin, say=note)
        if as_json:
            print_json({"output": given.output, **found})
            return
        print_summary(given.output, found)
        return
    if given.table is not None:
        origin = replace(origin, table=table_of_fold(given.table, folds[0]))
    notes = train_fold(corpus, folds[0], given.output, training, origin=origin, say=note)
    print_notes(given.output, notes, as_json)


def _make_tables(given: ClassifierOptions, folds: Iterable[int], columns: int) -> None:
    """The word tables of the folds, where the corpus is one that shares them and they are named."""
    from shiftforge.quant.albert.training.run import shared_table, table_of_fold
    from shiftforge.quant.albert.training.settings import TableOptions

    if given.table is None or given.corpus not in _TABLE_CORPORA:
        return
    for fold in folds:
        shared_table(
            lambda: [open_corpus(name) for name in _TABLE_CORPORA],
            table_of_fold(given.table, fold),
            TableOptions(columns=columns),
            fold=fold,
            say=note,
        )


def _origin_problems(given: ClassifierOptions) -> list[Problem]:
    """What is wrong with the folders that vocabulary and first word embeddings come from."""
    problems = []
    if given.start is not None:
        problems += _refused(given, _SIZES, "with --start, whose folder gives it")
    for name, folder in (("table", given.table), ("tokeniser", given.tokeniser)):
        if folder is not None:
            problems += _refused(given, ("vocabulary",), f"with --{name}, which gives it")
    folders = {"table": given.table, "tokeniser": given.tokeniser, "start": given.start}
    named = {name: folder for name, folder in folders.items() if folder is not None}
    if len(named) > 1:
        problems.append(Problem(" and ".join(f"--{n}" for n in named), "give one of them"))
    for name, folder in named.items():
        made = name == "table" and given.corpus in _TABLE_CORPORA
        if not made and not folder.is_dir() and "{fold}" not in str(folder):
            what = f"there is no such folder for --{name}"
            problems.append(Problem(what, "name one that exists", str(folder)))
    if given.table is not None and given.fold == ALL and "{fold}" not in str(given.table):
        what = "one word table for all folds has read texts that are held out"
        problems.append(Problem(what, "write {fold} where the name has the number", "--table"))
    return problems


def _refused(given: ClassifierOptions, names: Iterable[str], why: str) -> list[Problem]:
    """Options that were given and do not apply."""
    return [
        Problem(f"--{name} {why}", "leave it out")
        for name in names
        if getattr(given, name) is not None and getattr(given, name) is not False
    ]


def _recipe(given: ClassifierOptions) -> Recipe:
    from shiftforge.quant.albert.network.settings import usual_recipe

    usual = usual_recipe(given.corpus or "")
    return replace(usual, epochs=given.epochs or usual.epochs, minutes=given.minutes)


def _shape(given: ClassifierOptions) -> Shape:
    from shiftforge.quant.albert.network.config import head_problems
    from shiftforge.quant.albert.network.settings import Shape, usual_length

    sizes = {name: getattr(given, name) for name in _SIZES if getattr(given, name) is not None}
    sizes.setdefault("layers", LAYERS)
    length = usual_length(given.corpus or "") if given.length is None else given.length
    made = Shape(length=length, **sizes)
    if given.start is None and (problems := head_problems(made.hidden, made.heads, "--heads")):
        raise InputError(problems)
    return made


def _folds(text: str | None) -> list[int]:
    if text is None:
        return [0]
    if text == ALL:
        return list(range(FOLDS))
    if not text.isdecimal() or int(text) >= FOLDS:
        raise InputError(Problem(f"fold {text!r}", f"give 0 to {FOLDS - 1}, or {ALL}", "--fold"))
    return [int(text)]


def compress_classifier(given: ClassifierOptions, as_json: bool) -> None:
    """Compress the classifier of ``given.teacher``, write the new one's folder and print it.

    Raises InputError with everything that is wrong with the options and the folders.
    """
    teacher = given.teacher
    if teacher is None:
        raise ValueError("there is no teacher to compress")
    problems = Problems(classifier_problems(given.output))
    problems += number_problems(given.seed, given.threads, given.epochs)
    problems += _refused(given, _TRAINING, "with --from, whose classifier gives it")
    if not (teacher / NOTES).is_file():
        remedy = "give a folder of `shiftforge train albert --corpus ...`"
        problems.append(Problem(f"no classifier: there is no {NOTES}", remedy, str(teacher)))
    if given.output.exists() and given.output.resolve() == teacher.resolve():
        problems.append(Problem("the teacher's own folder", "write to another", str(given.output)))
    if given.sparsity is not None and given.prune is None:
        remedy = "choose --prune movement or --prune magnitude"
        problems.append(Problem("--sparsity without --prune", remedy))
    if given.ramp is not None and given.spans is None:
        problems.append(Problem("--ramp without --spans", "give the coefficient of its loss"))
    options = problems.check(_compression, given)
    if given.weights is not None:
        from shiftforge.quant.albert.network.weights import weight_choice

        problems.check(weight_choice, given.weights)
    corpus = None if given.corpus is None else problems.check(open_corpus, given.corpus)
    if problems or options is None:
        raise InputError(problems)
    import torch

    from shiftforge.quant.albert.compression.compress import compress

    torch.set_num_threads(given.threads)
    notes = compress(
        teacher,
        given.output,
        options,
        start=given.start,
        corpus=corpus,
        seed=given.seed,
        say=note,
    )
    print_notes(given.output, notes, as_json)


def _compression(given: ClassifierOptions) -> Compression:
    from shiftforge.quant.albert.compression.settings import Compression

    names = ("spans", "ramp", "sparsity", "prune", "weights", "table")
    return Compression(
        distil=given.distil,
        epochs=given.epochs or COMPRESSION_EPOCHS,
        minutes=given.minutes,
        **{name: getattr(given, name) for name in names if getattr(given, name) is not None},
    )
