"""The study's runs: float starts, choice of learning rates, one JSON record a finished run."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.common.records import Record, Records
from bench.schemes.costs import costs
from bench.schemes.settings import Row, Study
from shiftforge.errors import InputError
from shiftforge.quant.data.datasets import load_dataset
from shiftforge.quant.data.labelled import Labelled, first_of, split_off
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.checkpoint import load_checkpoint, save_checkpoint
from shiftforge.quant.models.device import find_device
from shiftforge.quant.models.fit import Stage, accuracy, fit
from shiftforge.quant.models.networks import build
from shiftforge.quant.models.qat import Options, scheme_facts, train_scheme
from shiftforge.quant.schemes.base import Scheme

__all__ = ["Folders", "Job", "begin_worker", "choice", "pending", "record", "run_job"]

# Raised where a change of the code makes earlier records worthless.
VERSION = 1
_WATCHED = 500
_STAGE = "study"


@dataclass(frozen=True)
class Folders:
    """results: JSON records, kept. work: float networks, which the study makes again."""

    results: Path
    work: Path


@dataclass(frozen=True)
class Job:
    """One training. row None: the float network of a seed. trial: a short one, to choose rates."""

    study: Study
    row: Row | None
    seed: int
    rate: float = 0.0
    trial: bool = False

    @property
    def name(self) -> str:
        """Of its record."""
        if self.row is None:
            return f"start-{self.seed}"
        label = self.row.label.lower().replace(" ", "-").replace("%", "")
        return f"rate-{label}-{self.rate:g}" if self.trial else f"{label}-{self.seed}"

    def _ends(self) -> dict[str, Any]:
        policy = self.study.end_policy
        return scheme_facts(policy) if isinstance(policy, Scheme) else {"scheme": policy}

    def facts(self) -> dict[str, Any]:
        """All that its result depends on; a record with other facts is not used."""
        study = self.study
        common = {
            "version": VERSION,
            "network": study.network,
            "images": study.images,
            "validation": study.validation,
            "start": asdict(study.start),
            "seed": self.seed,
        }
        if self.row is not None:
            recipe = study.choose if self.trial else study.tune
            own = replace(recipe, rate=self.rate, seed=self.seed)
            common |= {"recipe": asdict(own), "recalibrate": self.row.recalibrate}
            common |= {"tune_images": study.tune_images}
            common |= {"scheme": scheme_facts(self.row.scheme), "ends": self._ends()}
        found: dict[str, Any] = json.loads(json.dumps(common))
        return found


@dataclass(frozen=True, eq=False)
class _Data:
    train: Examples
    validation: Examples
    test: Examples
    preprocess: Preprocess
    classes: int


@lru_cache(maxsize=1)
def _data(name: str, images: int | None, validation: int) -> _Data:
    held = load_dataset(name)
    device = find_device(None)
    train, watched = split_off(first_of(held.train, images), validation)

    def examples(part: Labelled) -> Examples:
        return Examples.of(part.images, part.labels, held.preprocess, device)

    return _Data(
        examples(train), examples(watched), examples(held.test), held.preprocess, len(held.labels)
    )


def _records(folders: Folders) -> Records[Job]:
    def current(job: Job, found: Record, path: Path) -> bool:
        """Of the same facts; a float network's is worth nothing without its weights."""
        del path
        same = bool(found.get("facts") == job.facts())
        return same and (job.row is not None or _has_weights(job, folders))

    return Records(folders.results, lambda job: job.name, current)


def record(job: Job, folders: Folders) -> Record | None:
    """A finished run's record, None where there is none of the same facts."""
    return _records(folders).read(job)


def pending(jobs: list[Job], folders: Folders) -> list[Job]:
    """The jobs without a record; a float network's also without its weights."""
    return _records(folders).pending(jobs)


def choice(study: Study, row: Row, folders: Folders) -> float:
    """The rate of best validation accuracy (the smaller of equals), from the trials' records."""
    reached = []
    for rate in study.rates:
        found = record(Job(study, row, study.choose_seed, rate, trial=True), folders)
        if found is not None:
            reached.append((float(found["validation"]), -rate))
    if not reached:
        raise SystemExit(f"{row.label}: no learning rate has been tried")
    return -max(reached)[1]


def begin_worker() -> None:
    """One thread a process; a worker whose parent was killed ends too."""
    torch.set_num_threads(1)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_job(job: Job, folders: Folders) -> Record:
    """Train, measure, and write the record."""
    data = _data(job.study.data, job.study.images, job.study.validation)
    began = time.process_time()
    found = _start(job, folders, data) if job.row is None else _row(job, job.row, folders, data)
    found |= {"facts": job.facts(), "cpu_seconds": round(time.process_time() - began, 1)}
    _records(folders).write(job, found)
    return found


def _weights(job: Job, folders: Folders) -> Path:
    return folders.work / f"{job.study.name}-float-{job.seed}.safetensors"


def _has_weights(job: Job, folders: Folders) -> bool:
    """Whether the float network is there, trained with the job's own settings."""
    path = _weights(job, folders)
    return path.is_file() and bool(load_checkpoint(path)[1].get("facts") == job.facts())


def _start(job: Job, folders: Folders, data: _Data) -> dict[str, Any]:
    study = job.study
    network = build(study.network, data.preprocess, data.classes, job.seed)
    recipe = replace(study.start, seed=job.seed)
    reached = fit(network, TrainingSet(data.train, data.validation), recipe, Stage("float"))
    save_checkpoint(_weights(job, folders), network.state_dict(), {"facts": job.facts()})
    return {
        "epochs": reached,
        "validation": reached[-1],
        "test": accuracy(network, data.test),
    }


def _float(job: Job, folders: Folders, data: _Data) -> nn.Module:
    network = build(job.study.network, data.preprocess, data.classes, job.seed)
    tensors, _ = load_checkpoint(_weights(job, folders))
    network.load_state_dict(tensors)
    return network.eval()


def _first(examples: Examples, count: int | None) -> Examples:
    return Examples(examples.images[:count], examples.labels[:count], examples.preprocess)


def _row(job: Job, row: Row, folders: Folders, data: _Data) -> dict[str, Any]:
    study = job.study
    recipe = replace(study.choose if job.trial else study.tune, rate=job.rate, seed=job.seed)
    try:
        done = train_scheme(
            _float(job, folders, data),
            row.scheme,
            # After each epoch a part will do; what decides is measured at the end.
            TrainingSet(_first(data.train, study.tune_images), _first(data.validation, _WATCHED)),
            recipe,
            Stage(_STAGE),
            options=Options(study.end_policy, study.end_policy, recalibrate=row.recalibrate),
        )
    except InputError as error:
        if any(problem.where != _STAGE for problem in error.problems):
            raise
        # Divergence is a result: no picture is classified.
        nothing = {"rate": job.rate, "label": row.label, "diverged": True}
        return nothing | {"validation": 0.0, "test": 0.0, "epochs": []}
    found: dict[str, Any] = {
        "epochs": done.accuracies,
        "validation": accuracy(done.network, data.validation),
        "rate": job.rate,
        "label": row.label,
    }
    if not job.trial:
        example = data.validation.images[:2]
        found["test"] = accuracy(done.network, data.test)
        found["costs"] = costs(done.network, example, data.preprocess)
    return found
