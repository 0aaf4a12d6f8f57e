"""Element-wise gradient scaling (EWGS): the paper's Eq. 11, after Lee, Kim and Ham, CVPR 2021.

    g_W = g_Wq * (1 + delta * sign(g_Wq) * (W - Wq)),   W and Wq normalised to [0, 1].

A weight whose gradient pushes it on towards the next level gets more of it, one that is pushed back
to the middle of its cell less. delta = 0 is the straight-through estimator.

delta is fixed (1e-3, the public code's default) or adaptive:

    delta = max(0, (Tr(H) / N) / (3 std(g))),

H the Hessian of the loss and g the gradient at the normalised quantised weights of a layer, N their
number. Tr(H) comes from Hutchinson's estimate E[v' H v] over random signs v (`hessian_deltas`, a
few double backward passes now and then), or from its cheap form: near a minimum the Hessian of a
log-likelihood is the Fisher matrix, whose trace is the summed mean square of single samples'
gradients, that is `samples` times the mean square of a mini-batch's mean gradient. That one needs
nothing beyond the gradients that training computes anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from shiftforge.quant.schemes.base import Sites

__all__ = ["GradientScale", "ewgs", "hessian_deltas"]

# Weight of a step in the running means of the cheap form.
_MEMORY = 0.05


class _Ewgs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, master: torch.Tensor, value: torch.Tensor, delta: torch.Tensor, span: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward((master - value) / span, delta)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        difference, delta = ctx.saved_tensors
        grad = grads[0]
        return grad * (1 + delta * torch.sign(grad) * difference), None, None, None


def ewgs(
    master: torch.Tensor, value: torch.Tensor, delta: torch.Tensor, span: torch.Tensor
) -> torch.Tensor:
    """The quantised value, whose gradient reaches the master by Eq. 11.

    delta: 0-d. span: distance of the outermost levels in real values, broadcastable: (W - Wq)/span
    is the difference on weights normalised to [0, 1].
    """
    found: torch.Tensor = _Ewgs.apply(master, value, delta, span)  # type: ignore[no-untyped-call]
    return found


class GradientScale(nn.Module):
    """One layer's delta, fixed or adapted; the state dictionary holds it and its running means.

    delta: the value at the start. adaptive: "no", "fisher" or "hessian". samples: the batch
    size, for the cheap form.
    """

    delta: torch.Tensor
    square: torch.Tensor
    deviation: torch.Tensor
    seen: torch.Tensor

    def __init__(self, delta: float, adaptive: str = "no", samples: int = 128) -> None:
        super().__init__()
        self.adaptive = adaptive
        self.samples = samples
        self.register_buffer("delta", torch.tensor(float(delta)))
        self.register_buffer("square", torch.zeros(()))
        self.register_buffer("deviation", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(
        self, master: torch.Tensor, value: torch.Tensor, span: torch.Tensor
    ) -> torch.Tensor:
        """`ewgs` with the layer's delta; watches the gradient where the cheap form needs it."""
        # A copy: the buffer may be updated before this step's backward pass.
        result = ewgs(master, value, self.delta.clone(), span)
        if self.adaptive == "fisher" and self.training and result.requires_grad:
            result.register_hook(  # type: ignore[no-untyped-call]
                lambda grad: self._watch(grad * span)
            )
        return result

    @torch.no_grad()
    def _watch(self, grad: torch.Tensor) -> None:
        weight = _MEMORY if int(self.seen) else 1.0
        self.square.lerp_(grad.square().mean(), weight)
        self.deviation.lerp_(grad.std(correction=0), weight)
        self.seen += 1

    @torch.no_grad()
    def adapt(self) -> None:
        """The cheap form's delta, from the gradients seen so far; nothing before the first one."""
        if self.adaptive == "fisher" and int(self.seen):
            self.assign(self.samples * self.square, self.deviation)

    @torch.no_grad()
    def assign(self, mean_trace: torch.Tensor, deviation: torch.Tensor) -> None:
        """delta from Tr(H)/N and std(g), both of the normalised weights; 0 without a gradient."""
        found = torch.where(deviation > 0, mean_trace / (3 * deviation), 0.0)
        self.delta.copy_(found.clamp(min=0))


def hessian_deltas(
    sites: Sites,
    loss: Callable[[], torch.Tensor],
    spans: Mapping[str, torch.Tensor],
    probes: int = 8,
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(Tr(H)/N, std(g)) of every layer's normalised quantised weights, by Hutchinson's estimate.

    loss: runs the model on a batch and returns its scalar loss. spans: of each layer, as in `ewgs`.
    probes: vectors of random signs from torch's global generator; one probe serves all layers, the
    cross terms between layers having mean 0.
    """
    names = list(sites)
    with parametrize.cached():
        value = loss()
        # Within the cache these are the very tensors that the loss was computed from.
        cached = [sites[name].quantised for name in names]
        grads = torch.autograd.grad(
            value, cached, create_graph=True, allow_unused=True, materialize_grads=True
        )
        traces = [torch.zeros((), device=w.device) for w in cached]
        for _ in range(probes):
            signs = [torch.randint_like(w, 2) * 2 - 1 for w in cached]
            # On w = x * span the Hessian of x is H scaled by the spans on both sides.
            scaled = [v * spans[name] for v, name in zip(signs, names, strict=True)]
            products = torch.autograd.grad(
                grads, cached, scaled, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for trace, v, product in zip(traces, scaled, products, strict=True):
                trace += (v * product).mean().detach() / probes
    return {
        name: (trace, (grad.detach() * spans[name]).std(correction=0))
        for name, trace, grad in zip(names, traces, grads, strict=True)
    }
