"""Knowledge distillation from a trained classifier (G. Hinton et al., 2015; EdgeBERT's weights)."""

from __future__ import annotations

import torch
from torch.nn import functional

from shiftforge.quant.albert.network.model import OffRampAlbert

__all__ = ["Distillation", "distillation_loss"]


def distillation_loss(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    """T^2 · KL(softmax(teacher / T) || softmax(student / T)), the mean over N, in nats.

    student, teacher: logits (N, classes). T^2 keeps the gradient's size (Hinton et al., section 2).
    """
    wanted = functional.softmax(teacher / temperature, dim=1)
    found = functional.log_softmax(student / temperature, dim=1)
    return temperature**2 * functional.kl_div(found, wanted, reduction="batchmean")


class Distillation:
    """An objective of ``loop.fit_network``: share · distillation + (1 - share) · cross entropy.

    teacher: reads the windows of the student; it is put into evaluation mode and not trained.
    temperature: T. share: the paper's alpha_KD 0.9, with alpha_CE 0.1. smoothing: of the labels.
    """

    def __init__(
        self, teacher: OffRampAlbert, temperature: float = 2.0, share: float = 0.9,
        smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        self.teacher = teacher.eval().requires_grad_(False)
        self.temperature, self.share, self.smoothing = temperature, share, smoothing

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The loss of the last off-ramp's logits (N, classes). ids, mask: (N, L)."""
        with torch.no_grad():
            wanted = self.teacher(ids, mask)[-1]
        own = functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        both = distillation_loss(logits, wanted, self.temperature)
        return self.share * both + (1 - self.share) * own
