"""Quantise a model's convolutions and linear layers for training, whatever the model is.

`prepare` copies the model; weights become parametrised (``torch.nn.utils.parametrize``), inputs of
quantised layers pass an activation quantiser where the scheme has one. Everything else, batch norm
included, stays what it was. The copy is an ordinary module: it trains, saves and loads as such.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.schemes.base import ActivationQuantiser, Scheme, Site
from shiftforge.quant.schemes.training import sites
from shiftforge.quant.schemes.uniform import Uniform

__all__ = ["EndPolicy", "INPUT_QUANTISER", "layers_of", "prepare", "strip"]

EndPolicy: TypeAlias = Scheme | Literal["float", "same", "wide"]

# Name of the child module of a layer that quantises its input.
INPUT_QUANTISER = "input_quantiser"


def layers_of(model: nn.Module, example: torch.Tensor | None = None) -> list[str]:
    """Module paths of the Conv2d and Linear layers: those an example reaches, in that order.

    Without an example: all, in the order they were registered. A module that the model holds twice
    is named once.
    """
    paths = {m: path for path, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    if example is None:
        return list(paths.values())
    order: dict[str, None] = {}
    hooks = [
        m.register_forward_pre_hook(lambda m, _: order.setdefault(paths[m])) for m in paths
    ]  # fmt: skip
    modes = [(m, m.training) for m in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
        for m, mode in modes:
            m.training = mode
    return list(order)


def _quantise_input(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (layer.get_submodule(INPUT_QUANTISER)(args[0]), *args[1:])


def _end(policy: EndPolicy, scheme: Scheme) -> Scheme | None:
    if isinstance(policy, Scheme):
        return policy
    if policy == "wide":
        return scheme.wide() or Uniform(8, activations=scheme.activations)
    return scheme if policy == "same" else None


def _chosen(
    names: list[str],
    scheme: Scheme,
    overrides: Mapping[str, Scheme | None],
    first: EndPolicy,
    last: EndPolicy,
) -> dict[str, Scheme | None]:
    chosen: dict[str, Scheme | None] = dict.fromkeys(names, scheme)
    problems = [
        Problem(f"{what} layer policy {policy!r}", 'use "float", "same", "wide" or a scheme')
        for what, policy in (("first", first), ("last", last))
        if not isinstance(policy, Scheme) and policy not in ("float", "same", "wide")
    ]
    if not names:
        problems.append(Problem("the model has no Conv2d or Linear layer", "give a network"))
    for pattern in overrides:
        if not any(fnmatchcase(name, pattern) for name in names):
            problems.append(
                Problem(f"override {pattern!r} matches no layer", "use one of: " + ", ".join(names))
            )
    if problems:
        raise InputError(problems)
    # A network of one layer takes the last one's policy.
    chosen[names[0]] = _end(first, scheme)
    chosen[names[-1]] = _end(last, scheme)
    for pattern, other in overrides.items():
        chosen.update({name: other for name in names if fnmatchcase(name, pattern)})
    return chosen


def prepare(
    model: nn.Module,
    scheme: Scheme,
    overrides: Mapping[str, Scheme | None] | None = None,
    *,
    first: EndPolicy = "wide",
    last: EndPolicy = "wide",
    example: torch.Tensor | None = None,
) -> nn.Module:
    """A copy of model to train under a scheme.

    overrides: scheme (None: float) by module path or fnmatch pattern; a later pattern wins over an
    earlier one, and any over first and last. first, last: the policy of the first and the last
    layer: "float" (not quantised, as in most papers' tables), "same" (the scheme itself), "wide"
    (``scheme.wide()``: more bits of the same kind, or 8) or another scheme. example: one input
    batch; it finds the execution order, which decides what first and last mean, and which layers
    run at all. Activation quantisers find their range in the first batch they see.
    The first layer's input stays as it is: the image has 8 bits already.
    Raises InputError for an unknown policy, an override that matches nothing, a model that is
    prepared already, and weights that are not finite.
    """
    if sites(model):
        raise InputError(Problem("the model is prepared already", "prepare the float model"))
    names = layers_of(model, example)
    chosen = _chosen(names, scheme, overrides or {}, first, last)
    result = copy.deepcopy(model)
    _refuse(result, names)
    for name, own in chosen.items():
        if own is None:
            continue
        layer = result.get_submodule(name)
        weight = layer.get_parameter("weight")
        quantiser = own.weight_quantiser(weight.detach(), name).to(weight.device)
        quantiser.train(layer.training)
        parametrize.register_parametrization(layer, "weight", quantiser)
        inputs = None if name == names[0] else own.activation_quantiser(name)
        if inputs is not None:
            layer.add_module(INPUT_QUANTISER, inputs.to(weight.device).train(layer.training))
            layer.register_forward_pre_hook(_quantise_input)
    return result


def _refuse(model: nn.Module, names: list[str]) -> None:
    problems = Problems()
    for name in names:
        layer = model.get_submodule(name)
        if parametrize.is_parametrized(layer):
            problems.append(
                Problem(
                    "the layer has parametrizations of its own",
                    "remove them first (torch.nn.utils.parametrize.remove_parametrizations)",
                    name,
                )
            )
        elif not bool(torch.isfinite(layer.get_parameter("weight")).all()):
            problems.append(
                Problem("weights hold NaN or infinity", "train or load the network again", name)
            )
    problems.stop()


def strip(model: nn.Module) -> nn.Module:
    """A copy of a prepared model as a float network again, with the masters as its weights."""
    result = copy.deepcopy(model)
    for site in sites(result).values():
        _unparametrise(site)
    for layer in list(result.modules()):
        if isinstance(getattr(layer, INPUT_QUANTISER, None), ActivationQuantiser):
            delattr(layer, INPUT_QUANTISER)
            for key, hook in list(layer._forward_pre_hooks.items()):
                if hook is _quantise_input:
                    del layer._forward_pre_hooks[key]
    return result


def _unparametrise(site: Site) -> None:
    """Make the layer plain again.

    Not by ``parametrize.remove_parametrizations``: that takes the property off the layer's class,
    which a deep copy shares with its original.
    """
    masters = site.quantiser.masters(site.weight).detach().clone()
    layer = site.module
    layer.__class__ = type(layer).__mro__[1]
    del layer.parametrizations
    layer.register_parameter("weight", nn.Parameter(masters))
