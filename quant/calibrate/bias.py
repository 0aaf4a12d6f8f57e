"""Sequential bias correction: each layer's output mean is matched to the float network's."""

from __future__ import annotations

import torch

__all__ = ["bias_shift"]


def bias_shift(wanted: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """What to add to each channel's bias so that given has wanted's mean.

    wanted, given: outputs before the activation of the float and the quantised network, float
    (N, C, H, W), on the calibration images; given was computed from the quantised network's own
    inputs, so that the correction also covers what earlier layers lost. Returns float64 (C,).
    """
    # Float32 means of each image, then float64: exact enough, and no float64 copy of the maps.
    over = (2, 3)
    return (wanted.mean(over).double() - given.mean(over).double()).mean(0)
