"""The classification tasks of GLUE from the user's folder: train.tsv and dev.tsv of a task.

Layout of the files: A. Wang et al., "GLUE: a multi-task benchmark and analysis platform for natural
language understanding", ICLR 2019, as its download script unpacks them. The benchmark's test files
have no labels and are not read. STS-B is left out: it is a regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.folds import Fold
from shiftforge.quant.text.tsv import Rows, joined, read_tsv

__all__ = ["TASKS", "Task", "load_glue"]


@dataclass(frozen=True)
class Task:
    """texts: one column, or two of a pair; label: that of the class. Names of the header, or places
    in files without one. dev: file of the held-out sentences. lenient: see read_tsv."""

    texts: tuple[str, ...] | tuple[int, ...]
    label: str | int
    dev: str = "dev.tsv"
    lenient: float = 0.0


TASKS = {
    "CoLA": Task((3,), 1),
    "MNLI": Task(("sentence1", "sentence2"), "gold_label", "dev_matched.tsv"),
    "MRPC": Task(("#1 String", "#2 String"), "Quality"),
    "QNLI": Task(("question", "sentence"), "label"),
    # Some lines of its train.tsv are broken; transformers' loader leaves them out as well.
    "QQP": Task(("question1", "question2"), "is_duplicate", lenient=1e-3),
    "RTE": Task(("sentence1", "sentence2"), "label"),
    "SST-2": Task(("sentence",), "label"),
    "WNLI": Task(("sentence1", "sentence2"), "label"),
}
"""Layout of each task."""


def load_glue(folder: Path, task: str) -> Corpus:
    """A task with the split that its files give; nothing is left out as a copy.

    folder: that of the task, with train.tsv and dev.tsv. task: of ``TASKS``. Texts of a pair are
    joined by [SEP], all of token type 0. The corpus's name is ``glue:TASK:FOLDER``. Raises
    InputError for everything that is wrong with either file, and for labels in the held-out file
    that the training file does not have.
    """
    if task not in TASKS:
        remedy = "use one of " + ", ".join(TASKS)
        raise InputError(Problem(f"unknown GLUE task {task!r}", remedy))
    layout = TASKS[task]
    columns = (*layout.texts, layout.label)
    read: list[Rows] = []
    problems = Problems()
    for name in ("train.tsv", layout.dev):
        with collect(problems):
            read.append(read_tsv(folder / name, columns, layout.lenient))
    problems.stop()
    train, dev = (rows.cells for rows in read)
    classes = tuple(sorted({row[-1] for row in train}))
    unknown = sorted({row[-1] for row in dev} - set(classes))
    if unknown:
        what = f"labels {', '.join(unknown)} that train.tsv does not have"
        remedy = f"its labels are {', '.join(classes)}: give files of one task"
        problems.append(Problem(what, remedy, str(folder / layout.dev)))
    if len(classes) < 2:
        what = f"one label only, {classes[0]}"
        problems.append(Problem(what, "give the whole file", str(folder / "train.tsv")))
    problems.stop()
    index = {label: i for i, label in enumerate(classes)}
    both = (*train, *dev)
    places = np.arange(len(both))
    return Corpus(
        f"glue:{task}:{folder}",
        tuple(joined(row[:-1]) for row in both),
        np.array([index[row[-1]] for row in both], dtype=np.int64),
        classes,
        sum(rows.short for rows in read),
        Fold(places[: len(train)], places[len(train) :]),
    )
