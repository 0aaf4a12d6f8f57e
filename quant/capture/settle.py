"""Batch norms that were never trained, settled: their statistics are what they see of frames."""

from __future__ import annotations

import copy

import torch

from shiftforge.errors import InputError, Problem
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.running import quiet
from shiftforge.quant.data.inputs import load_frames
from shiftforge.quant.graph.types import Preprocess

__all__ = ["settled", "settles"]

FRAMES = 64
_Norm = torch.nn.modules.batchnorm._BatchNorm


def settles(module: torch.nn.Module) -> list[_Norm]:
    """The batch norms of a network that keep statistics."""
    return [own for own in module.modules() if isinstance(own, _Norm) and own.track_running_stats]


def settled(module: torch.nn.Module, preprocess: Preprocess, spec: str) -> torch.nn.Module:
    """A copy whose batch norms hold the mean and variance of what reaches them.

    spec: frames, as ``load_frames`` takes them; the first 64 run through the network once, each
    batch norm normalising by what it sees of them, so that those behind see settled values. Dropout
    is off. Raises InputError where there is no batch norm, and where the network cannot be copied
    or run.
    """
    where = type(module).__name__
    if not settles(module):
        remedy = "leave --settle-batchnorm out"
        raise InputError(Problem("it has no batch norm with statistics", remedy, where))
    frames = load_frames(spec, preprocess, limit=FRAMES)
    values = torch.from_numpy(normalise(frames.images, preprocess))
    if len(values) < 2:
        raise InputError(Problem("one frame to settle batch norms on", "give two or more", spec))
    try:
        own = copy.deepcopy(module).eval()
        momenta = [(norm, norm.momentum) for norm in settles(own)]
        for norm, _ in momenta:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        with quiet(), torch.no_grad():
            own(values)
        for norm, momentum in momenta:
            norm.momentum = momentum
            norm.eval()
    except Exception as error:  # whatever the user's network raises
        what = f"its batch norms cannot be settled: {reason(error)}"
        remedy = "run it once in train() on frames, by yourself"
        raise InputError(Problem(what, remedy, where)) from error
    return own
