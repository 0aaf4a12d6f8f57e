"""The ALBERT study's trainings: word tables, the teacher, one compression a job; each a record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.albert_study.settings import TABLE_CORPORA, Job, Study, thresholds
from bench.common.machine import command_line, load
from bench.common.records import Record, Records
from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.compression.compress import compress
from shiftforge.quant.albert.compression.qat import attach
from shiftforge.quant.albert.compression.settings import Compression
from shiftforge.quant.albert.exits.exits import exit_sweep
from shiftforge.quant.albert.network.folder import load_classifier
from shiftforge.quant.albert.network.model import OffRampAlbert
from shiftforge.quant.albert.network.notes import NOTES, load_notes
from shiftforge.quant.albert.network.weights import weight_choice
from shiftforge.quant.albert.training.loop import evaluate
from shiftforge.quant.albert.training.run import shared_table, train_fold
from shiftforge.quant.albert.training.settings import Origin, TableOptions, Training
from shiftforge.quant.albert.training.texts import chosen_fold, load_calibration, validation_part
from shiftforge.quant.text.catalogue import load_corpus
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window

__all__ = ["Bench", "TEACHER"]

TEACHER = Job("teacher", "teacher", 0.0)
_FLOAT_BITS = 32
Ids = list[NDArray[np.int64]]


def _say(text: str) -> None:
    print(text, flush=True)


@dataclass(frozen=True, eq=False)
class Bench:
    """work: classifiers' folders, made again where they are missing. results: the records."""

    study: Study
    fold: int
    work: Path
    results: Path

    @cached_property
    def corpus(self) -> Corpus:
        return load_corpus(self.study.corpus)

    @cached_property
    def _records(self) -> Records[Job]:
        return Records(self.results, lambda job: job.slug, self._current)

    def _current(self, job: Job, held: Record, path: Path) -> bool:
        """A record of another fold is not overwritten either. Raises InputError."""
        del job
        fold = held.get("fold", 0)
        if fold != self.fold:
            what = f"a record of fold {fold}, asked for fold {self.fold}"
            raise InputError(Problem(what, "give --results another folder", str(path)))
        return True

    def job(self, name: str) -> Job:
        """By its name."""
        return next(job for job in (TEACHER, *self.study.jobs) if job.name == name)

    def folder(self, job: Job) -> Path:
        """Of the job's classifier; a job that trains nothing has the teacher's."""
        return self.work / (TEACHER.slug if job.post is not None else job.slug)

    def table(self, density: float) -> Path:
        """The word table of a density: the same for all corpora."""
        folder = self.work.parent / "tables" / f"{density:g}"
        corpora = [load_corpus(name) for name in TABLE_CORPORA]
        shared_table(
            lambda: corpora, folder, TableOptions(density=density), fold=self.fold, say=_say
        )
        return folder

    def record(self, job: Job) -> Record | None:
        """What a finished job found. Raises InputError for a record of another fold."""
        return self._records.read(job)

    def run(self, job: Job) -> Record:
        """Train where the folder is missing, measure, and keep the record."""
        folder, began = self.folder(job), time.monotonic()
        if not (folder / NOTES).is_file():
            self._train(job, folder)
        self._check(folder)
        found = self._measured(job, folder)
        found["fold"] = self.fold
        found |= {"command": command_line(), "load": load()}
        found["seconds"] = round(time.monotonic() - began, 1)
        self._records.write(job, found)
        return found

    def _check(self, folder: Path) -> None:
        """A classifier of another fold has trained on texts that are held out here."""
        notes = load_notes(folder, ["corpus", "fold"])
        own, wanted = (notes["corpus"], notes["fold"]), (self.corpus.name, self.fold)
        if own != wanted:
            what = f"a classifier of {own[0]}, fold {own[1]}, asked for fold {self.fold}"
            raise InputError(Problem(what, "give --work another folder", str(folder)))

    def _train(self, job: Job, folder: Path) -> None:
        study = self.study
        if job.group == TEACHER.group:
            train_fold(
                self.corpus, self.fold, folder, Training(study.shape, study.recipe),
                origin=Origin(table=self.table(1.0)), say=_say,
            )  # fmt: skip
            return
        table = None if job.density is None else self.table(job.density)
        options = Compression(**job.options, table=table, epochs=study.epochs)
        teacher = self.folder(TEACHER)
        compress(teacher, folder, options, corpus=self.corpus, say=_say)

    def _texts(self, folder: Path) -> dict[str, tuple[Ids, NDArray[np.int64]]]:
        tokeniser = load_tokeniser(folder)
        chosen = chosen_fold(self.corpus, self.fold)
        parts = {
            "validation": validation_part(chosen, self.corpus.labels)[1],
            "held_out": chosen.held_out,
        }
        return {
            name: (encode(tokeniser, [self.corpus.texts[i] for i in places]),
                   self.corpus.labels[places])
            for name, places in parts.items()
        }  # fmt: skip

    def _measured(self, job: Job, folder: Path) -> dict[str, Any]:
        model, classes = load_classifier(folder)
        notes = load_notes(folder)
        length = model.config.max_position_embeddings
        found = _facts(model, job, notes)
        weights = job.post or notes.get("weights")
        texts = self._texts(folder)
        if weights is not None:
            table = notes.get("table")
            bias = None if table is None else int(table["bias"])
            attach(model, weights, load_calibration(folder), activations=True, word_bias=bias)
        for name, (ids, labels) in texts.items():
            logits = evaluate(model, ids, length)
            sweep = exit_sweep(logits, labels, thresholds(len(classes)))
            found[name] = {
                "texts": len(ids),
                "accuracy": [float(a) for a in (logits.argmax(axis=2) == labels).mean(axis=1)],
                "sweep": [asdict(point) for point in sweep],
            }
        lengths = np.array([len(window(one, length)) for one in texts["held_out"][0]])
        counts = zip(*np.unique(lengths, return_counts=True), strict=True)
        found["tokens"] = {str(n): int(c) for n, c in counts}
        return found


def _facts(model: OffRampAlbert, job: Job, notes: Mapping[str, Any]) -> dict[str, Any]:
    """What can be said of a network without running it."""
    weights = job.post or notes.get("weights")
    bits = float(_FLOAT_BITS)
    if weights is not None:
        choice = weight_choice(weights)
        bits = {"af": choice.bits, "shift1": 4, "shift2": 8}[choice.kind]
    encoder, words, rest = _sizes(model)
    table_bits = _FLOAT_BITS if weights is None else 8
    spans = None
    if model.spans is not None:
        z, ramp = model.spans.z.detach(), model.spans.ramp
        # Where the mask ends: tokens that a head sees to either side.
        reach = [max(float(v) + ramp, 0.0) for v in z]
        spans = {"z": [float(v) for v in z], "ramp": ramp, "reach": reach}
        spans["off"] = model.spans.off()
    return {
        "job": asdict(job),
        "layers": int(model.config.num_hidden_layers),
        "classes": len(model.ramps[0].bias),
        "weights": weights or "float",
        "spans": spans,
        "encoder_zeros": 1 - encoder[1] / encoder[0],
        "word_zeros": 1 - words[1] / words[0],
        "memory_bytes": _stored(encoder, bits) + _stored(words, table_bits) + rest * table_bits / 8,
    }


def _sizes(model: OffRampAlbert) -> tuple[tuple[int, int], tuple[int, int], int]:
    """(entries, of these not zero) of the encoder's matrices and of the word table; the others."""
    encoder, words, rest = [0, 0], (0, 0), 0
    for name, tensor in model.state_dict().items():
        own = (tensor.numel(), int(tensor.count_nonzero()))
        if name.endswith("word_embeddings.weight"):
            words = own
        elif (
            name.endswith("weight")
            and "LayerNorm" not in name
            and "layer_norm" not in name
            and ("albert_layers" in name)
        ):
            encoder = [a + b for a, b in zip(encoder, own, strict=True)]
        elif tensor.is_floating_point():
            rest += own[0]
    return (encoder[0], encoder[1]), words, rest


def _stored(sizes: tuple[int, int], bits: float) -> float:
    """Bytes: all of them at so many bits, or a mask and those that are not zero, as is less."""
    entries, kept = sizes
    return min(entries * bits, entries + kept * bits) / 8
