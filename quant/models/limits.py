"""What training of networks for images can be told: checked without torch, before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from shiftforge.errors import Problem
from shiftforge.quant.models.folder import folder_problems

__all__ = [
    "DEMONSTRATION",
    "FINAL",
    "FLOAT",
    "MOST_EPOCHS",
    "MOST_SEED",
    "NETWORKS",
    "POLISH",
    "TUNED",
    "demonstration_folder_problems",
    "device_problems",
    "network_problems",
    "number_problems",
    "run_folder_problems",
]

FLOAT, TUNED, FINAL, POLISH = "float", "quantised", "final", "polish"
"""Stages, as their checkpoints and networks are called."""
DEMONSTRATION = "mobilenet_v2_fashion"
NETWORKS = ("resnet8_small", "resnet8", "resnet20", "resnet18", "mobilenet_v2")
MOST_SEED = (1 << 32) - 1
MOST_EPOCHS = 100_000
_STRAIGHT_THROUGH = "ste"


def run_folder_problems(folder: Path, *, resume: bool) -> list[Problem]:
    """What stops `run` from writing into a folder."""
    return folder_problems(folder, (FLOAT, TUNED), (FLOAT, TUNED, FINAL), resume=resume)


def demonstration_folder_problems(folder: Path) -> list[Problem]:
    """What stops the demonstration's training, which always goes on, from writing into a folder."""
    stages = (FLOAT, POLISH, _STRAIGHT_THROUGH)
    return folder_problems(folder, (DEMONSTRATION,), stages, resume=True)


def network_problems(name: str) -> list[Problem]:
    """Unless it is one of NETWORKS."""
    if name in NETWORKS:
        return []
    return [Problem(f"there is no network {name!r}", "use " + ", ".join(NETWORKS))]


def device_problems(name: str | None) -> list[Problem]:
    """Of a device's name; whether the device is there shows only with torch."""
    if name is None or re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", name):
        return []
    return [Problem(f"unknown device {name!r}", "use cpu or cuda")]


def number_problems(
    *,
    rates: Iterable[float | None] = (),
    epochs: Iterable[int | None] = (),
    seed: int = 0,
    size: int | None = None,
    channels: int = 3,
) -> list[Problem]:
    """Numbers that no training takes. rates: learning rates; size: side of pictures, in pixels."""

    def checks() -> Iterator[tuple[bool, str, str]]:
        for rate in rates:
            good = rate is None or (math.isfinite(rate) and 0 < rate <= 1000)
            yield (
                good,
                f"learning rate {rate}",
                "give one above 0, of at most 1000",
            )
        for count in epochs:
            good = count is None or count <= MOST_EPOCHS
            yield good, f"{count} epochs", f"give at most {MOST_EPOCHS:,}"
        yield 0 <= seed <= MOST_SEED, f"seed {seed}", f"give 0 to {MOST_SEED}"
        good = size is None or 8 <= size <= 512
        yield good, f"pictures of {size} pixels", "choose 8 to 512"
        yield channels in (1, 3), f"{channels} channels", "give 1 or 3"

    return [Problem(what, remedy) for good, what, remedy in checks() if not good]
