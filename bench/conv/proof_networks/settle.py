"""Random weights whose activations keep their size: batch norm settled on pictures of noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

__all__ = ["frames", "settled"]

_IMAGES = 8
_SEED = 1


def frames(shape: tuple[int, int, int], count: int, seed: int = _SEED) -> torch.Tensor:
    """Blurred noise from -1 to 1, float32 (count, C, H, W)."""
    channels, height, width = shape
    random = np.random.default_rng(seed)
    coarse = random.uniform(-1, 1, (count, channels, -(-height // 8), -(-width // 8)))
    fine = np.kron(coarse, np.ones((8, 8)))[..., :height, :width]
    noisy = fine + random.normal(0, 0.2, fine.shape)
    return torch.from_numpy(np.clip(noisy, -1, 1).astype(np.float32))


def settled(network: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """The network with He's weights, drawn anew, and batch norms at what they see of ``frames``.

    It is in evaluation mode and carries ``input_shape``.
    """
    torch.manual_seed(_SEED)
    norms = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.05)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, 0, 0.2)
            norms.append((module, module.momentum))
            module.momentum = None
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    with torch.no_grad():
        network(frames(shape, _IMAGES))
    for module, momentum in norms:
        module.momentum = momentum
    network.eval()
    network.input_shape = shape  # type: ignore[assignment]
    return network
