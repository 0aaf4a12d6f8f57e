"""Thresholds and shares of second terms of every layer, epoch by epoch, kept beside checkpoints."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from shiftforge.quant.schemes.dtssq import DtssqQuantiser
from shiftforge.quant.schemes.training import sites

__all__ = ["History", "Record", "read_history"]


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
    """The records of a file, none where there is no file."""
    if not path.is_file():
        return []
    return [Record(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


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
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps([asdict(r) for r in self.records]), encoding="utf-8")
            os.replace(part, self.path)
