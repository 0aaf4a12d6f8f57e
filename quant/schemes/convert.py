"""The folded network as the integer graph, with no difference in any value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shiftforge.errors import Problems, collect
from shiftforge.quant.calibrate.convert import Requant
from shiftforge.quant.calibrate.convert import convert as integer_graph
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.schemes.base import Codes
from shiftforge.quant.schemes.folded import ParametrisedWeight
from shiftforge.quant.schemes.network import QuantNetwork

__all__ = ["convert"]


def convert(
    network: QuantNetwork, *, requant: Requant = "shift", meta: Mapping[str, Any] | None = None
) -> QuantizedModel:
    """The verified integer graph of a folded network.

    meta: JSON-serialisable facts to record beside each layer's scheme. The float checkpoint in the
    model is the folded network before training went on.
    Raises InputError listing every layer whose scheme does not fit the integer graph, with the
    reason, and what the conversion itself refuses.
    """
    codes: dict[str, Codes] = {}
    schemes: dict[str, str] = {}
    problems = Problems()
    for name, quantiser in network.quantisers().items():
        if not isinstance(quantiser, ParametrisedWeight):
            raise TypeError(f"{name} is quantised by no scheme of this interface")
        schemes[name] = quantiser.site.quantiser.scheme.name
        with collect(problems):
            codes[name] = quantiser.found()
    problems.stop()
    biases = {n: network.conv(n).bias.detach().cpu().double().numpy() for n in codes}
    model = integer_graph(
        network.graph,
        network.grids,
        {n: (c.weight, c.exponent) for n, c in codes.items()},
        {n: c.format for n, c in codes.items()},
        biases=biases,
        requant=requant,
        meta={"schemes": schemes, **(meta or {})},
    )
    verify(model)
    return model
