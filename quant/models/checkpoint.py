"""Training checkpoints: one safetensors file with the weights and a JSON header, no pickles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from shiftforge.atomic import replacing
from shiftforge.errors import InputError, Problem
from shiftforge.jsontext import parse_json
from shiftforge.quant.tensor_file import KEY, read_tensors

__all__ = ["digest", "load_checkpoint", "optimiser_state", "restore_optimiser", "save_checkpoint"]

_REMEDY = "train again"


def save_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]
) -> None:
    """Write tensors and a JSON-serialisable header; the file appears whole or not at all."""
    flat = {name: t.detach().cpu().contiguous() for name, t in sorted(tensors.items())}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        save_file(flat, part, metadata={KEY: json.dumps(header, sort_keys=True)})


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and header of a checkpoint. Raises InputError for any other or damaged file."""
    where = str(path)
    tensors, metadata = read_tensors(path, _REMEDY, "pt")
    if KEY not in metadata:
        raise InputError(Problem("no training checkpoint", _REMEDY, where))
    header = parse_json(metadata[KEY], where, _REMEDY)
    if not isinstance(header, dict):
        raise InputError(Problem("the checkpoint's header is damaged", _REMEDY, where))
    return tensors, header


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and values: equal for tensors that train to the same end."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        held = tensor.detach().cpu().contiguous()
        found.update(f"{name} {held.dtype} {tuple(held.shape)}\n".encode())
        found.update(held.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The tensors of an optimiser's state, as ``<parameter index>.<entry>``."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{entry}": torch.as_tensor(value)
        for index, entries in state.items()
        for entry, value in entries.items()
        if value is not None
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put back what optimiser_state gave; the parameter groups keep their own settings."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, entry = name.partition(".")
        state.setdefault(int(index), {})[entry] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
