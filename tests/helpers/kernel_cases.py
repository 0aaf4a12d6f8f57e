"""Networks with a convolution of any kernel, stride, padding and groups between two others."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from conv_chains import chain

from shiftforge.quant.graph.types import QuantizedModel


@dataclass(frozen=True)
class KernelCase:
    """A network and the array for it."""

    model: QuantizedModel
    units: int
    pixels: int


def kernel_case(seed: int) -> KernelCase:
    """All follows from the seed."""
    rng = random.Random(seed)
    channels = rng.choice((4, 16, 20, 32, 40, 48))
    kernel = rng.randint(1, 7), rng.randint(1, 7)
    dilation = rng.choice((1, 1, 2, 3, 4))
    padding = tuple(rng.randint(0, 4) for _ in range(4))
    short = [dilation * (k - 1) + 1 - padding[n] - padding[n + 2] for n, k in enumerate(kernel)]
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    out = groups * rng.randint(1, 3)
    own: dict[str, Any] = {
        "out": out if out <= 100 else groups, "kernel": kernel,
        "stride": rng.choice((1, 1, 2, 3, 4)), "groups": groups, "padding": padding,
        "dilation": dilation,
    }  # fmt: skip
    model = chain(
        {"out": channels, "kernel": 1}, own, {"out": 10, "kernel": 1}, channels=3,
        height=rng.randint(1, 14) + max(0, short[0]), width=rng.randint(1, 24) + max(0, short[1]),
    )  # fmt: skip
    return KernelCase(model, rng.choice((8, 16, 24, 32)), rng.randint(1, 9))
