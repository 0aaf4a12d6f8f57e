"""The device to train on, by name."""

from __future__ import annotations

import torch

from shiftforge.errors import InputError, Problem

__all__ = ["find_device"]


def find_device(name: str | None) -> torch.device:
    """ "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.

    Raises InputError for any other name, and for a device that is not there.
    """
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(chosen)
    except RuntimeError as error:
        raise InputError(Problem(f"unknown device {chosen!r}", "use cpu or cuda")) from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(Problem(f"device {chosen!r} is not supported", "use cpu or cuda"))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            Problem(f"there is no device {chosen!r} on this machine", "use --device cpu")
        )
    return device
