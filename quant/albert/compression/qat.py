"""Training of an ALBERT classifier on the levels of the unit's formats.

:func:`attach` puts fake quantisation around transformers' unmodified model, :func:`fold` makes it a
plain one whose weights are exactly on the levels, so that ``convert.convert`` finds their codes and
nothing but their codes. Gradients are straight-through (EWGS and a learned threshold for DTSSQ).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.compression.qat_activations import StageRounding
from shiftforge.quant.albert.compression.qat_weights import (
    MaskedSite,
    fold_weights,
    quantised_linears,
    register,
)
from shiftforge.quant.albert.network.convert import Biases
from shiftforge.quant.albert.network.folder import float_network
from shiftforge.quant.albert.network.model import OffRampAlbert, attach_spans
from shiftforge.quant.albert.network.stages import FloatNetwork
from shiftforge.quant.albert.network.weights import WeightChoice, af_format, weight_choice
from shiftforge.quant.schemes.base import Scheme
from shiftforge.quant.schemes.dtssq import DTSSQ, DtssqQuantiser

__all__ = ["QuantisedTraining", "attach", "fold", "float_network_of"]

Texts = Sequence[NDArray[np.int64]]
_HANDLE = "quantised_training"
_PERIODS = 20  # of the schemes' schedules, which count epochs
_RECALIBRATED = (0.35, 0.75)  # of the training; a pruning schedule ends before the second
_THRESHOLD_RATE = 1e-3


class QuantisedTraining:
    """What :func:`attach` returns: an addition of ``loop.fit_network``, or for any other loop.

    A loop calls ``on_step(progress)`` (0..1) before a step, adds ``penalty()`` to the loss where it
    is not None, calls ``after_step()`` behind the optimiser's, and ``on_step(1.0)`` at the end.
    ``groups()`` are parameters with a rate of their own (DTSSQ's thresholds). Layers share their
    weights: run a step within ``parametrize.cached()``.
    """

    def __init__(
        self,
        model: OffRampAlbert,
        choice: WeightChoice,
        texts: Texts,
        rounding: StageRounding | None,
        groups: Mapping[Scheme, Mapping[str, MaskedSite]],
        word_bias: int | None,
    ) -> None:
        self.model, self.choice, self.rounding = model, choice, rounding
        self._texts, self._groups, self._word_bias = texts, groups, word_bias
        self._period = -1
        self._recalibrated = 0

    @property
    def biases(self) -> Biases | None:
        """Exponent biases of the activations; None where they stay float."""
        return None if self.rounding is None else self.rounding.biases

    def groups(self) -> list[dict[str, Any]]:
        """DTSSQ's thresholds: their gradients, a hundredfold, are to stay out of the clipping."""
        thresholds = [
            site.quantiser.theta
            for sites in self._groups.values()
            for site in sites.values()
            if isinstance(site.quantiser, DtssqQuantiser)
            and isinstance(site.quantiser.theta, nn.Parameter)
        ]
        if not thresholds:
            return []
        return [{"params": thresholds, "lr": _THRESHOLD_RATE, "weight_decay": 0.0}]

    @torch.no_grad()
    def on_step(self, progress: float) -> None:
        """Scales, limits and, twice, the activations' exponent biases for this step."""
        period = min(int(progress * _PERIODS), _PERIODS - 1)
        if period != self._period:
            self._period = period
            for scheme, sites in self._groups.items():
                scheme.at_epoch(sites, period, _PERIODS)
        if progress >= 1:
            self.limit()
        due = sum(progress >= at for at in _RECALIBRATED)
        if due > self._recalibrated:
            self._recalibrated = due
            self.recalibrate()

    before = on_step

    def penalty(self) -> torch.Tensor | None:
        """What the schemes add to the loss, 0-d, or None."""
        given = [scheme.penalty(sites) for scheme, sites in self._groups.items()]
        parts = [part for part in given if part is not None]
        return torch.stack(parts).sum() if parts else None

    loss = penalty

    @torch.no_grad()
    def after_step(self) -> None:
        """The schemes' part behind the optimiser's step."""
        for scheme, sites in self._groups.items():
            scheme.after_step(sites)

    after = after_step

    @torch.no_grad()
    def limit(self) -> None:
        """Bring DTSSQ's second terms down to their limit, without waiting for its next check."""
        for scheme, sites in self._groups.items():
            if isinstance(scheme, DTSSQ):
                for site in sites.values():
                    if isinstance(site.quantiser, DtssqQuantiser):
                        site.quantiser.steps = scheme.every - 1
                scheme.after_step(sites)

    def recalibrate(self) -> None:
        """Choose the activations' exponent biases again, for the weights as they stand."""
        if self.rounding is not None:
            self.rounding.calibrate(self._texts, float_network_of(self.model), self._word_bias)

    @torch.no_grad()
    def second_share(self) -> float | None:
        """Share of weights with a second term in the matrices of DTSSQ; None for other weights."""
        own = [
            (site.quantiser.second_fraction(site.weight), site.weight.numel())
            for sites in self._groups.values()
            for site in sites.values()
            if isinstance(site.quantiser, DtssqQuantiser)
        ]
        return sum(f * n for f, n in own) / sum(n for _, n in own) if own else None


@torch.no_grad()
def float_network_of(model: OffRampAlbert) -> FloatNetwork:
    """The formulas' arrays of a network, its parametrised weights as it computes with them."""
    state = {n: t for n, t in model.state_dict().items() if ".parametrizations." not in n}
    for path, module in model.named_modules():
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            state[f"{path}.weight"] = module.weight
    classes = len(model.ramps[0].get_parameter("bias"))
    with torch.random.fork_rng(devices=[]):  # the copy's random start is nobody's
        plain = OffRampAlbert(copy.deepcopy(model.config), classes)
    if model.spans is not None:
        attach_spans(plain, model.spans.ramp)
    plain.load_state_dict(state)
    return float_network(plain, tuple(str(i) for i in range(classes)))


def attach(
    model: OffRampAlbert,
    weights: str,
    calibration: Texts,
    activations: bool = True,
    *,
    activation_bits: int = 8,
    word_bias: int | None = None,
) -> QuantisedTraining:
    """Fake-quantise a network in place, behind its pruning masks.

    weights: as ``weights.weight_choice`` reads it, of q, k, v, output, ffn1, ffn2, the embedding
    mapping and the off-ramps. calibration: token identities (L,) of texts that choose the
    activations' exponent biases, layer by layer, of the network with quantised weights.
    activations: round every stage to AF<activation_bits,3> as well. word_bias: exponent bias of a
    frozen word table. Raises InputError.
    """
    if hasattr(model, _HANDLE):
        raise InputError(Problem("the network is quantised already", "fold it first"))
    choice, fmt = weight_choice(weights), af_format(activation_bits)
    groups = register(model, choice)
    rounding = StageRounding(model, fmt) if activations else None
    handle = QuantisedTraining(model, choice, calibration, rounding, groups, word_bias)
    try:
        handle.recalibrate()
    except InputError:
        _strip(model, handle)
        raise
    # Not a module: nothing of it is part of a saved network.
    object.__setattr__(model, _HANDLE, handle)
    return handle


def fold(model: OffRampAlbert) -> OffRampAlbert:
    """The same model, plain again: weights on their levels, zeros of masks kept, no hooks.

    DTSSQ's second terms are within their limit. A network that is not attached stays as it is.
    """
    handle: QuantisedTraining | None = getattr(model, _HANDLE, None)
    if handle is None:
        return model
    handle.limit()
    _strip(model, handle)
    object.__delattr__(model, _HANDLE)
    return model


def _strip(model: OffRampAlbert, handle: QuantisedTraining) -> None:
    fold_weights(quantised_linears(model))
    if handle.rounding is not None:
        handle.rounding.remove()
