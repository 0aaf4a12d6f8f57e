"""Fill a module from named tensors, listing every name or shape that does not fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from shiftforge.errors import InputError, Problem, Problems

__all__ = ["fill", "require"]

REMEDY = "give the weights of an unmodified MobileNetV2"


def fill(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Copy tensors into module's parameters and buffers of the same names.

    Raises InputError listing all missing, left over and misshapen ones. Batch norm's counter of
    batches may be missing: it plays no part in inference.
    """
    wanted = module.state_dict()
    problems = Problems()
    for name, held in wanted.items():
        given = tensors.get(name)
        if given is None:
            if not name.endswith("num_batches_tracked"):
                problems.append(Problem(f"tensor {name} is missing", REMEDY, where))
        elif given.shape != held.shape:
            problems.append(
                Problem(
                    f"tensor {name} has shape {tuple(given.shape)}, not {tuple(held.shape)}",
                    REMEDY,
                    where,
                )
            )
    for name in sorted(set(tensors) - set(wanted)):
        problems.append(Problem(f"tensor {name} belongs to no layer", REMEDY, where))
    problems.stop()
    module.load_state_dict({k: v for k, v in tensors.items() if k in wanted}, strict=False)


def require(tensors: Mapping[str, torch.Tensor], name: str, rank: int, where: str) -> torch.Tensor:
    """One tensor of the given rank, or InputError."""
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != rank:
        raise InputError(
            Problem(
                f"there is no tensor {name} of {rank} dimensions",
                REMEDY,
                where,
            )
        )
    return tensor
