"""What a prepared network's weights cost: bits, terms, shifts and additions, by weight and by MAC.

"Inner" layers are those between the first and the last, which have 8-bit weights in every row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.models.batches import normalised
from shiftforge.quant.schemes.prepare import layers_of
from shiftforge.quant.schemes.training import sites

__all__ = ["costs"]


def _positions(network: nn.Module, example: torch.Tensor) -> dict[str, int]:
    """Output positions of every layer: how often a frame uses each of its weights."""
    found: dict[str, int] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):

            def count(_: nn.Module, __: Any, result: torch.Tensor, name: str = name) -> None:
                found[name] = int(result[0].numel() // result.shape[1])

            hooks.append(module.register_forward_hook(count))
    try:
        with torch.no_grad():
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@torch.no_grad()
def costs(network: nn.Module, pixels: torch.Tensor, preprocess: Preprocess) -> dict[str, Any]:
    """Means over the inner layers' weights, "adds_mac" over their MACs; empty for a float network.

    pixels: uint8 (N, C, H, W).
    """
    held = sites(network)
    if not held:
        return {}
    example = normalised(pixels, preprocess)
    positions = _positions(network, example)
    order = layers_of(network, example)
    inner = [name for name in order[1:-1] if name in held]
    weights = sum(held[n].weight.numel() for n in inner)
    macs = sum(held[n].weight.numel() * positions[n] for n in inner)
    total: dict[str, float] = dict.fromkeys(
        ("bits", "shifts", "adds", "adds_mac", "zero", "two", "terms_most"), 0.0
    )
    for name in inner:
        site = held[name]
        quantiser, master = site.quantiser, site.weight
        share = master.numel() / weights
        terms = quantiser.terms(master)
        adds = quantiser.adds_per_weight(master)
        total["bits"] += share * quantiser.bits_per_weight(master)
        total["shifts"] += share * quantiser.shifts_per_weight(master)
        total["adds"] += share * adds
        total["adds_mac"] += adds * master.numel() * positions[name] / macs
        total["zero"] += share * float((terms == 0).double().mean())
        total["two"] += share * float((terms >= 2).double().mean())
        total["terms_most"] = max(total["terms_most"], float(terms.max()))
    return {
        "inner_weights": weights,
        "inner_macs": macs,
        "layers": len(inner),
        **{name: round(value, 5) for name, value in total.items()},
    }
