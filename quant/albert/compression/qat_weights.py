"""Fake-quantised weights of ALBERT's matrices, as parametrizations behind pruning masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList

from shiftforge.errors import Problem, Problems
from shiftforge.quant.albert.compression.pruning import encoder_linears
from shiftforge.quant.albert.network.model import OffRampAlbert
from shiftforge.quant.albert.network.weights import LEAST_BIAS, WeightChoice, af_format
from shiftforge.quant.formats.adaptivfloat import BiasRegister
from shiftforge.quant.schemes.adaptivfloat import AdaptivFloatWeight
from shiftforge.quant.schemes.base import Scheme, Site, WeightQuantiser
from shiftforge.quant.schemes.catalogue import by_name

__all__ = ["MaskedSite", "fold_weights", "quantised_linears", "register", "scheme_of"]

_SCHEMES = {"shift1": "shift", "shift2": "shift2"}


@dataclass(frozen=True, eq=False)
class MaskedSite(Site):
    """A quantised matrix whose quantiser is the last of its parametrizations."""

    @property
    def weight(self) -> torch.Tensor:
        """The masters as the quantiser sees them: with the zeros of the masks before it."""
        steps = self.module.get_submodule("parametrizations.weight")
        if not isinstance(steps, ParametrizationList):
            raise TypeError(f"{self.name} has no quantised weight")
        held = steps.original
        if not isinstance(held, torch.Tensor):
            raise TypeError(f"{self.name} has no master weights")
        for step in list(steps)[:-1]:
            held = step(held)
        return held


def scheme_of(choice: WeightChoice) -> Scheme | None:
    """The training scheme of SHIFT weights; None for AF.

    One scale a channel, chosen again at every call of the scheme's ``at_epoch``.
    """
    if choice.kind == "af":
        return None
    if choice.share is not None:
        return by_name("dtssq", target=choice.share)
    return by_name(_SCHEMES[choice.kind])


def quantised_linears(model: OffRampAlbert) -> dict[str, nn.Linear]:
    """By the formulas' names: q to ffn2, mapping, ``ramp i``."""
    found = encoder_linears(model, mapping=True)
    for index, ramp in enumerate(model.ramps):
        if isinstance(ramp, nn.Linear):
            found[f"ramp {index}"] = ramp
    return found


def register(model: OffRampAlbert, choice: WeightChoice) -> dict[Scheme, dict[str, MaskedSite]]:
    """Quantise all matrices; returns the sites of every scheme, none for AF.

    Under DTSSQ the off-ramps, the last layers, are of two terms without a limit (the scheme's
    ``wide``), and its share is that of the other seven matrices together, pruned weights counted.
    Raises InputError where weights are not finite or already quantised.
    """
    linears = quantised_linears(model)
    problems = Problems()
    for name, linear in linears.items():
        if not bool(torch.isfinite(linear.weight).all()):
            problems.append(Problem("weights hold NaN or infinity", "train again", name))
        steps = getattr(linear, "parametrizations", {})
        if "weight" in steps and isinstance(
            steps["weight"][-1], (WeightQuantiser, AdaptivFloatWeight)
        ):
            problems.append(Problem("the weights are quantised already", "fold them first", name))
    problems.stop()
    scheme = scheme_of(choice)
    groups: dict[Scheme, dict[str, MaskedSite]] = {}
    for name, linear in linears.items():
        if scheme is None:
            af = AdaptivFloatWeight(af_format(choice.bits), BiasRegister(LEAST_BIAS, 6))
            parametrize.register_parametrization(linear, "weight", af)
            continue
        wide = scheme.wide() if choice.share is not None and name.startswith("ramp") else None
        own = wide or scheme
        quantiser = own.weight_quantiser(linear.weight.detach(), name)
        quantiser.train(linear.training)
        parametrize.register_parametrization(linear, "weight", quantiser)
        groups.setdefault(own, {})[name] = MaskedSite(name, linear, quantiser)
    return groups


@torch.no_grad()
def fold_weights(linears: Mapping[str, nn.Linear]) -> None:
    """Write the quantised weights over the masters; all parametrizations go, masks included."""
    for linear in linears.values():
        if parametrize.is_parametrized(linear, "weight"):
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)
