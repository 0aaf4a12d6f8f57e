"""Batch norm under quantisation: freeze its statistics, or measure them again.

Low-bit weights that jump between two levels corrupt the running statistics (worst in depthwise
layers): measure them again after training, with the weights as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from shiftforge.errors import InputError, Problem

__all__ = ["batch_norms", "freeze_batch_norm", "recalibrate_batch_norm"]


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The model's batch norms of any dimension."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def freeze_batch_norm(model: nn.Module, *, affine: bool = True) -> None:
    """Batch norms use and keep their running statistics from now on.

    affine: freeze scale and shift too. ``model.train()`` puts batch norms back to training mode:
    call this again after it.
    """
    for norm in batch_norms(model):
        norm.eval()
        if affine:
            for parameter in norm.parameters(recurse=False):
                parameter.requires_grad_(False)


@torch.no_grad()
def recalibrate_batch_norm(model: nn.Module, batches: Iterable[torch.Tensor]) -> int:
    """Running statistics as plain means over batches (inputs, as the model takes them).

    Everything but batch norm is in evaluation mode meanwhile; modes and momenta are put back.
    Returns the number of batches. Raises InputError where there is none.
    """
    norms = [m for m in batch_norms(model) if m.track_running_stats]
    modes = [(m, m.training) for m in model.modules()]
    momenta = [norm.momentum for norm in norms]
    count = 0
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
            norm.train()
        for batch in batches:
            model(batch)
            count += 1
    finally:
        for m, mode in modes:
            m.training = mode
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    if norms and not count:
        raise InputError(Problem("no batch to measure batch norm with", "give at least one batch"))
    return count
