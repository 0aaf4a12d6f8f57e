"""Options of ``train albert`` and ``train embeddings``, and whether a folder may be written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shiftforge.atomic import is_leftover
from shiftforge.errors import Problem, Problems
from shiftforge.files import check_output_folder
from shiftforge.quant.albert.network.notes import is_notes
from shiftforge.quant.models.limits import MOST_EPOCHS, MOST_SEED

__all__ = [
    "ALL",
    "COMPRESSION_EPOCHS",
    "FOLDS",
    "LAYERS",
    "NOTES",
    "ClassifierOptions",
    "EmbeddingsOptions",
    "classifier_problems",
    "folder_problems",
    "number_problems",
]

_SUMMARY = "summary.json"
NOTES = "classifier.json"
"""The file that makes a folder a classifier's."""
FOLDS = 5
_MOST_THREADS = 1024
ALL = "all"
"""Every fold after another, as ``--fold`` takes it."""
LAYERS = 6
COMPRESSION_EPOCHS = 4
"""Of compression, where ``--epochs`` is left out."""


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """The options of ``train albert``; None where one was left out.

    teacher: folder of the classifier to compress; without it one is trained on the corpus. fold:
    as written, "0" to "4" or ``ALL``. hidden and embedding are in columns, ffn in columns between
    the feed-forward products, length and ramp in tokens; sparsity is a share, 0 to below 1.
    """

    output: Path
    corpus: str | None
    teacher: Path | None
    fold: str | None
    table: Path | None
    tokeniser: Path | None
    start: Path | None
    hidden: int | None
    heads: int | None
    ffn: int | None
    layers: int | None
    embedding: int | None
    length: int | None
    vocabulary: int | None
    spans: float | None
    ramp: int | None
    prune: str | None
    sparsity: float | None
    distil: bool
    weights: str | None
    epochs: int | None
    minutes: float | None
    seed: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class EmbeddingsOptions:
    """The options of ``train embeddings``.

    corpora: as ``open_corpus`` takes them. fold: the one held out, 0 to 4. density: share of the
    entries that are not zero. vocabulary: most tokens; columns: of the table.
    """

    output: Path
    corpora: tuple[str, ...]
    fold: int
    density: float
    vocabulary: int
    columns: int
    seed: int
    threads: int


def folder_problems(folder: Path, name: str, *entries: str) -> list[Problem]:
    """What stops a folder from being written, found without writing.

    name: of the JSON file that tells whose the folder is; entries: those that it has.
    """
    problems = Problems()
    problems.check(check_output_folder, folder)
    if problems or not folder.is_dir():
        return problems
    held = any(not is_leftover(path.name) for path in folder.iterdir())
    if held and not is_notes(folder / name, *entries):
        what = "the folder is not empty and was not written by this command"
        problems.append(Problem(what, "choose an empty folder, or another name", str(folder)))
    return problems


def classifier_problems(folder: Path, folds: Iterable[int] | None = None) -> list[Problem]:
    """What stops a classifier's folder from being written, or with folds that of their folders."""
    if folds is None:
        return folder_problems(folder, NOTES, "classes")
    problems = Problems()
    problems.check(check_output_folder, folder)
    if problems or not folder.is_dir():
        return problems
    names = [f"fold-{fold}" for fold in folds]
    held = [path.name for path in folder.iterdir() if not is_leftover(path.name)]
    summary = is_notes(folder / _SUMMARY, "corpus", "folds", "accuracy")
    if held and not summary and not any(name in held for name in names):
        what = "the folder is not empty and was not written by this command"
        problems.append(Problem(what, "choose an empty folder, or another name", str(folder)))
    if _SUMMARY in held and not summary:
        remedy = "move it elsewhere, or name another folder"
        what = "was not written by this command, which would replace it"
        problems.append(Problem(what, remedy, str(folder / _SUMMARY)))
    for name in names:
        problems += folder_problems(folder / name, NOTES, "classes") if name in held else []
    return problems


def number_problems(seed: int, threads: int, epochs: int | None = None) -> list[Problem]:
    """Numbers that no training of texts takes."""
    found = []
    if seed > MOST_SEED:
        found.append(Problem(f"seed {seed}", f"give 0 to {MOST_SEED}", "--seed"))
    if threads > _MOST_THREADS:
        found.append(Problem(f"{threads} threads", f"give 1 to {_MOST_THREADS}", "--threads"))
    if epochs is not None and epochs > MOST_EPOCHS:
        found.append(Problem(f"{epochs} epochs", f"give at most {MOST_EPOCHS:,}", "--epochs"))
    return found
