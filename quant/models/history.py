"""Thresholds and shares of second terms of every layer, epoch by epoch, kept beside checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem
from shiftforge.jsontext import read_json
from shiftforge.quant.schemes.dtssq import DtssqQuantiser
from shiftforge.quant.schemes.training import sites

__all__ = ["History", "Record", "read_history"]

_REMEDY = "remove the file, or train in another folder"


@dataclass(frozen=True)
class Record:
    """Of one layer at the beginning of an epoch (the last record: at the end of training).

    threshold: in squared units of the smallest magnitude. second: share of weights with two terms.
    """

    epoch: int
    layer: str
    threshold: float
    second: float


def read_history(path: Path) -> list[Record]:
    """The records of a file, none where there is no file. Raises InputError for any other file."""
    if not path.exists():
        return []
    held = read_json(path, remedy=_REMEDY)
    if not isinstance(held, list):
        raise InputError(Problem("the history is no list of records", _REMEDY, str(path)))
    return [_record(own, f"{path}: record {i}") for i, own in enumerate(held)]


def _record(own: Any, where: str) -> Record:
    fields = set(own) if isinstance(own, dict) else set()
    if fields != set(Record.__dataclass_fields__):
        raise InputError(Problem("no record of a layer's threshold", _REMEDY, where))
    wrong = [name for name in ("threshold", "second") if not _number(own[name])]
    wrong += ["epoch"] if type(own["epoch"]) is not int else []
    wrong += ["layer"] if not isinstance(own["layer"], str) else []
    if wrong:
        raise InputError(Problem(f"{n} is {own[n]!r:.40}", _REMEDY, where) for n in wrong)
    return Record(own["epoch"], own["layer"], float(own["threshold"]), float(own["second"]))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**1000 and math.isfinite(value)


class History:
    """Takes a record a layer and epoch; with a path a run that is resumed goes on with its own."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.records = [] if path is None else read_history(path)

    def take(self, network: nn.Module, epoch: int) -> None:
        """Record a network; records of this epoch and later ones are replaced."""
        self.records = [r for r in self.records if r.epoch < epoch]
        for name, site in sites(network).items():
            quantiser = site.quantiser
            if isinstance(quantiser, DtssqQuantiser):
                second = quantiser.second_fraction(site.weight)
                self.records.append(Record(epoch, name, float(quantiser.threshold()), second))
        if self.path is not None and self.records:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.path, json.dumps([asdict(r) for r in self.records]))
