"""From a trained network to the integer graph: batch norm folded, trained on in the integers' own
values, converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.models.batches import TrainingSet
from shiftforge.quant.models.fit import Recipe, Stage, fit
from shiftforge.quant.models.qat import scheme_hooks
from shiftforge.quant.models.words import begin_words, end_words, selected_counts, with_words
from shiftforge.quant.schemes.convert import convert
from shiftforge.quant.schemes.fold import fold
from shiftforge.quant.second_words import WordPlanner

__all__ = ["Finish", "finish"]

_CALIBRATION = 256


@dataclass(frozen=True, eq=False)
class Finish:
    """How a network is finished.

    epochs: of training after batch norm is folded, 0 for none. tune: the recipe before it, of which
    that training has a tenth of the rate. planner: of the array whose weight words DTSSQ decides by
    from here on; None leaves every weight its own decision. activation_bits: of tensors whose
    activation quantisers have no power-of-two step of their own.
    """

    epochs: int
    tune: Recipe
    planner: WordPlanner | None = None
    activation_bits: int = 8
    meta: Mapping[str, Any] = field(default_factory=dict)


def finish(
    trained: nn.Module,
    data: TrainingSet,
    labels: tuple[str, ...],
    how: Finish,
    stage: Stage,
    *,
    teacher: nn.Module | None = None,
    measure: Callable[[nn.Module], Mapping[str, Any]] = lambda network: {},
) -> QuantizedModel:
    """The integer graph of a prepared and trained network.

    labels: of the classes. stage: of the last training; its facts hold the network's name as
    "network". teacher: for the recipe's distillation. measure: called with the finished network,
    which then takes float32 images and computes in float64, so that every sum is exact; what it
    returns is recorded. Raises InputError as `fold`, `begin_words`, `fit` and `convert` do.
    """
    preprocess, device = data.train.preprocess, data.train.images.device
    frames = data.train.images[:_CALIBRATION].permute(0, 2, 3, 1).cpu().numpy()
    folded = fold(
        trained, preprocess, frames,
        name=stage.facts["network"], labels=labels, activation_bits=how.activation_bits,
    ).cpu()  # fmt: skip
    # Fails before the time is spent where a scheme has no integers.
    convert(folded)
    words, facts = None, dict(stage.facts)
    if how.planner is not None:
        words = begin_words(folded, how.planner, normalise(frames, preprocess))
        facts["array"] = dict(words.plan.array)
    if how.epochs:
        recipe = replace(
            how.tune, epochs=how.epochs, rate=how.tune.rate / 10, warmup=0.0, freeze_epochs=0
        )
        known = replace(stage, facts={**facts, "tune": asdict(how.tune)})
        hooks = scheme_hooks(folded)
        fit(folded, data, recipe, known, hooks=hooks, teacher=teacher if recipe.distil else None)
    folded.eval()
    if words is not None:
        end_words(folded)
    told = measure(_Double(folded.to(device).double()))
    model = convert(folded.cpu().float(), meta={**how.meta, **told})
    if words is not None:
        model = with_words(model, words, selected_counts(folded), frames)
    return model


class _Double(nn.Module):
    """A float64 network that takes float32 images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(x.double())
        return found
