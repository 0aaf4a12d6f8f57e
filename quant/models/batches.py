"""Training batches: seeded order, horizontal flips and small shifts, normalised on the fly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.graph.types import Preprocess

__all__ = ["Examples", "TrainingSet", "epoch_seed", "normalised", "training_batches"]


@dataclass(frozen=True, eq=False)
class Examples:
    """images: uint8 (N, C, H, W) of the network's size; labels: int64 (N,); on one device."""

    images: torch.Tensor
    labels: torch.Tensor
    preprocess: Preprocess

    @classmethod
    def of(
        cls,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        preprocess: Preprocess,
        device: torch.device,
    ) -> Examples:
        """From frames (N, H, W, C) and their labels."""
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return cls(
            torch.from_numpy(planes).to(device), torch.from_numpy(labels).to(device), preprocess
        )

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """watched: images whose accuracy is reported after every epoch (choose nothing by the test
    images)."""

    train: Examples
    watched: Examples


def normalised(pixels: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """(pixel / 255 - mean) / std of uint8 (N, C, H, W): the same shape, float32, channels last."""
    mean = torch.tensor(preprocess.mean, dtype=torch.float64)[:, None, None]
    std = torch.tensor(preprocess.std, dtype=torch.float64)[:, None, None]
    real = pixels.float().div((255 * std).float().to(pixels.device))
    real = real.sub((mean / std).float().to(pixels.device))
    return real.contiguous(memory_format=torch.channels_last)


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of everything random in one epoch, so that a resumed run repeats it exactly."""
    return seed * 1000 + epoch


def training_batches(
    examples: Examples, size: int, shift: int, seed: int, flip: bool = True
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch: (normalised images, labels) in batches; an incomplete last batch is left out.

    Every image is flipped left to right with probability 1/2, unless flip is False, and moved by up
    to ``shift`` pixels both ways; what moves in is pixel value 0.
    """
    generator = torch.Generator().manual_seed(seed)
    count, _, height, width = examples.images.shape
    device = examples.images.device
    padded = torch.nn.functional.pad(examples.images, (shift,) * 4)
    rows, columns = torch.arange(height), torch.arange(width)
    order = torch.randperm(count, generator=generator)
    for start in range(0, count - size + 1, size):
        picked = order[start : start + size]
        moves = torch.randint(0, 2 * shift + 1, (2, size), generator=generator)
        flips = torch.rand(size, generator=generator) < (0.5 if flip else 0.0)
        y = moves[0, :, None] + rows
        x = torch.where(flips[:, None], width - 1 - columns, columns) + moves[1, :, None]
        index = picked.to(device)
        pixels = padded[
            index[:, None, None], :, y.to(device)[:, :, None], x.to(device)[:, None, :]
        ].permute(0, 3, 1, 2)
        yield normalised(pixels, examples.preprocess), examples.labels[index]
