"""Options of ``train albert`` and ``train embeddings``, and whether a folder may be written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shiftforge.errors import Problem

__all__ = [
    "ALL",
    "COMPRESSION_EPOCHS",
    "FOLDS",
    "LAYERS",
    "NOTES",
    "ClassifierOptions",
    "EmbeddingsOptions",
    "folder_problems",
]

NOTES = "classifier.json"
"""The file that makes a folder a classifier's."""
FOLDS = 5
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


def folder_problems(folder: Path, *ours: str) -> list[Problem]:
    """What stops a folder from being written; one of ours among its files says that it is ours."""
    where = str(folder)
    if folder.exists() and not folder.is_dir():
        return [Problem("is a file", "name a folder", where)]
    if folder.is_dir():
        if any(folder.iterdir()) and not any((folder / name).exists() for name in ours):
            what = "the folder is not empty and was not written by this command"
            return [Problem(what, "choose an empty folder, or another name", where)]
        return []
    parent = folder.parent
    if not parent.is_dir():
        return [Problem("its parent folder does not exist", f"mkdir -p {parent}", where)]
    return []
