"""A user's module run or traced: in evaluation mode, quietly, on frames of its own type."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import torch

__all__ = ["as_input", "evaluation", "quiet"]


@contextmanager
def evaluation(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every module gets its own mode back."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode


@contextmanager
def quiet() -> Iterator[None]:
    """PyTorch's warnings and logs kept off the screen: what fails is told as a problem.

    What the network prints goes to stderr: stdout is the command's own.
    """
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(max(level, logging.ERROR))
        try:
            yield
        finally:
            logging.disable(level)


def as_input(module: torch.nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """Frames in the type and on the device of the module's first floating parameter."""
    first = next((p for p in module.parameters() if p.is_floating_point()), None)
    return frames if first is None else frames.to(first.device, first.dtype)
