"""A stage of training: what it is called, who is told, and the checkpoints that it goes on from.

A checkpoint is written before the one that it makes superfluous is removed, and what a run that
ended in between left is removed by the next one: the files at the end are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.models.checkpoint import (
    load_checkpoint,
    optimiser_state,
    restore_optimiser,
    save_checkpoint,
)
from shiftforge.quant.models.folder import checkpoints

__all__ = ["Progress", "Report", "Stage", "keep", "resume"]


@dataclass(frozen=True)
class Progress:
    """Where training stands. loss: mean of the epoch so far; accuracy: of the last epoch, 0..1."""

    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float | None
    seconds_left: float


Report: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Stage:
    """One run of the loop: what it is called, where it is kept, who is told.

    folder: where ``<name>-<epoch>.safetensors`` is written after every epoch, and where a run with
    the same recipe and facts goes on to the same weights; None keeps nothing. facts: what else the
    run depends on, JSON-serialisable. keep: checkpoints that stay, the newest; None keeps all.
    stop_after: leave after this many epochs in all, the schedule unchanged.
    """

    name: str
    folder: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    keep: int | None = 2
    stop_after: int | None = None
    report: Report | None = None


def _file(folder: Path, stage: str, epoch: int) -> Path:
    return folder / f"{stage}-{epoch:03d}.safetensors"


def resume(
    stage: Stage, facts: Mapping[str, Any], network: nn.Module, optimiser: torch.optim.Optimizer
) -> int:
    """Network and optimiser as the newest checkpoint has them; how many epochs are done.

    What a run that ended between two writes left of older ones is removed.
    """
    found = {} if stage.folder is None else checkpoints(stage.folder, stage.name)
    if not found:
        return 0
    epoch, path = next(iter(found.items()))
    tensors, header = load_checkpoint(path)
    problem = Problem(
        "the checkpoint comes from another training recipe or data set",
        "use another folder, or remove it to start again",
        str(path),
    )
    if header.get("facts") != facts or header.get("epoch") != epoch:
        raise InputError(problem)
    try:
        network.load_state_dict(_pick(tensors, "network."))
        restore_optimiser(optimiser, _pick(tensors, "optimiser."))
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise InputError(replace(problem, what="its tensors are of another network")) from error
    _remove_old(stage, epoch)
    return epoch


def _remove_old(stage: Stage, epoch: int) -> None:
    """Remove the stage's own checkpoints that are too old after an epoch."""
    if stage.folder is None or stage.keep is None:
        return
    for old, path in checkpoints(stage.folder, stage.name).items():
        if old <= epoch - stage.keep:
            path.unlink(missing_ok=True)


def _pick(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def keep(
    stage: Stage, network: nn.Module, optimiser: torch.optim.Optimizer, header: Mapping[str, Any]
) -> None:
    """Write the checkpoint of the header's epoch and remove the one that is too old."""
    if stage.folder is None:
        return
    epoch: int = header["epoch"]
    held = {f"network.{n}": t for n, t in network.state_dict().items()}
    held |= {f"optimiser.{n}": t for n, t in optimiser_state(optimiser).items()}
    save_checkpoint(_file(stage.folder, stage.name, epoch), held, header)
    _remove_old(stage, epoch)
