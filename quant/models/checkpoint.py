"""Training checkpoints: one safetensors file with the weights and a JSON header, no pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from shiftforge.errors import InputError, Problem

__all__ = ["load_checkpoint", "optimiser_state", "restore_optimiser", "save_checkpoint"]

_KEY = "shiftforge"


def save_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]
) -> None:
    """Write tensors and a JSON-serialisable header; the file appears whole or not at all."""
    flat = {name: t.detach().cpu().contiguous() for name, t in sorted(tensors.items())}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(flat, part, metadata={_KEY: json.dumps(header, sort_keys=True)})
    os.replace(part, path)


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and header of a checkpoint. Raises InputError for any other or damaged file."""
    where = str(path)
    try:
        with safe_open(path, framework="pt") as held:
            metadata = held.metadata() or {}
            names = held.keys()
            tensors = {name: held.get_tensor(name) for name in names}
        header = json.loads(metadata[_KEY])
    except (OSError, SafetensorError) as error:
        raise InputError(Problem(f"no safetensors file: {error}", "train again", where)) from error
    except (KeyError, ValueError) as error:
        raise InputError(Problem("no training checkpoint", "train again", where)) from error
    if not isinstance(header, dict):
        raise InputError(Problem("the checkpoint's header is damaged", "train again", where))
    return tensors, header


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
