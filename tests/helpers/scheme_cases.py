"""Small networks and weights for the tests of the training schemes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.schemes.base import Scheme
from shiftforge.quant.schemes.catalogue import NAMES, by_name
from shiftforge.quant.schemes.training import after_step, at_epoch, penalty

PREPROCESS = Preprocess(1, 12, 12, (0.5,), (0.5,))


class Small(nn.Module):
    """Stem, a residual depthwise block, pool and classifier, with batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.deep = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 1, bias=False),
            nn.BatchNorm2d(8),
        )
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.deep(x)
        scores: torch.Tensor = self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return scores


def images(count: int = 32) -> NDArray[np.uint8]:
    """Noise, uint8 (N, 12, 12, 1)."""
    return np.random.default_rng(0).integers(0, 256, (count, 12, 12, 1), dtype=np.uint8)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised images and labels that depend on them."""
    x = torch.from_numpy(normalise(images(), PREPROCESS))
    return x, (x.mean((1, 2, 3)) * 40).long() % 4


def network() -> Small:
    """Seeded, its batch norms having seen the images."""
    torch.manual_seed(5)
    net = Small()
    net.train()
    with torch.no_grad():
        for _ in range(20):
            net(batch()[0])
    return net.eval()


def weights(shape: tuple[int, ...] = (6, 4, 3, 3), seed: int = 0) -> torch.Tensor:
    """Normal weights whose channels differ in size."""
    rng = np.random.default_rng(seed)
    w = rng.normal(0, 0.2, shape) * np.exp(rng.normal(0, 0.5, shape[0])).reshape(-1, 1, 1, 1)
    return torch.from_numpy(w.astype(np.float32))


def epoch_of(
    model: nn.Module, optimiser: torch.optim.Optimizer, epoch: int, epochs: int, steps: int = 3
) -> None:
    """One epoch of the loop that the schemes' interface asks for."""
    x, y = batch()
    model.train()
    torch.manual_seed(epoch)
    at_epoch(model, epoch, epochs)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x).flatten(1), y)
        extra = penalty(model)
        loss = loss if extra is None else loss + extra
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        after_step(model)


def optimiser_of(model: nn.Module) -> torch.optim.Optimizer:
    """Adam over what is trained."""
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)


def every_scheme(**given: Any) -> list[Scheme]:
    """One of each name, with quantised activations."""
    return [by_name(n, activation_bits=1 if n == "xnor" else 8, **given) for n in NAMES]
