"""What a training loop calls on a prepared model: the schemes' part of the loss and schedules.

A loop is ``at_epoch(model, epoch, epochs)`` before every epoch, and in every step
``loss + penalty(model)`` (where it is not None), backward, optimiser step, ``after_step(model)``.
A model without quantised layers passes through unchanged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from shiftforge.quant.schemes.base import ActivationQuantiser, Scheme, Site, WeightQuantiser
from shiftforge.quant.schemes.ewgs import GradientScale, hessian_deltas
from shiftforge.quant.schemes.shift import ShiftQuantiser

__all__ = ["adapt_deltas", "after_step", "at_epoch", "penalty", "sites"]


def sites(model: nn.Module) -> dict[str, Site]:
    """The quantised layers by module path, in the model's order."""
    found = {}
    for path, module in model.named_modules():
        held = getattr(module, "parametrizations", None)
        if not isinstance(held, nn.ModuleDict) or "weight" not in held:
            continue
        steps = held["weight"]
        if isinstance(steps, ParametrizationList) and isinstance(steps[0], WeightQuantiser):
            found[path] = Site(path, module, steps[0])
    return found


def _by_scheme(model: nn.Module) -> dict[Scheme, dict[str, Site]]:
    groups: dict[Scheme, dict[str, Site]] = defaultdict(dict)
    for name, site in sites(model).items():
        groups[site.quantiser.scheme][name] = site
    return groups


def penalty(model: nn.Module) -> torch.Tensor | None:
    """What all schemes in the model add to the loss, 0-d; None for nothing."""
    parts = [scheme.penalty(group) for scheme, group in _by_scheme(model).items()]
    parts += [m.penalty() for m in model.modules() if isinstance(m, ActivationQuantiser)]
    given = [part for part in parts if part is not None]
    return torch.stack(given).sum() if given else None


def adapt_deltas(
    model: nn.Module, loss: Callable[[], torch.Tensor], probes: int = 8
) -> dict[str, float]:
    """New EWGS deltas of the layers whose gradient is "hessian", by name; {} where there is none.

    loss: runs the model on a batch and returns its scalar task loss; call this every few epochs,
    also for several batches. probes: random vectors, from torch's global generator.
    """
    own = {
        name: site
        for name, site in sites(model).items()
        if isinstance(site.quantiser, ShiftQuantiser)
        and site.quantiser.gradient.adaptive == "hessian"
    }
    if not own:
        return {}
    spans = {n: s.quantiser.span(s.weight) for n, s in own.items()}  # type: ignore[operator]
    found = {}
    for name, (trace, deviation) in hessian_deltas(own, loss, spans, probes).items():
        gradient = own[name].quantiser.gradient
        if isinstance(gradient, GradientScale):
            gradient.assign(trace, deviation)
            found[name] = float(gradient.delta)
    return found


@torch.no_grad()
def after_step(model: nn.Module) -> None:
    """To be called after every optimiser step."""
    for scheme, group in _by_scheme(model).items():
        scheme.after_step(group)


@torch.no_grad()
def at_epoch(model: nn.Module, epoch: int, epochs: int) -> None:
    """To be called before epoch `epoch` (counted from 0) of `epochs`."""
    for scheme, group in _by_scheme(model).items():
        scheme.at_epoch(group, epoch, epochs)
