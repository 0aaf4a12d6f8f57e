"""What quantisation made of each layer, and what it costs: a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import Grid
from shiftforge.quant.schemes.activations import sensed_range
from shiftforge.quant.schemes.base import Codes, Site
from shiftforge.quant.schemes.prepare import INPUT_QUANTISER
from shiftforge.quant.schemes.training import sites

__all__ = ["LayerSummary", "Totals", "summary", "table", "totals"]

# Most terms counted apart; more fall into the last bin.
_BINS = 4


@dataclass(frozen=True)
class LayerSummary:
    """One quantised layer.

    term_histogram: shares of weights with 0, 1, 2, 3 and 4 or more signed powers of two.
    sqnr_db: of the quantised weights against the masters. accumulator_bits: exact for these weights
    and any 8-bit input (or what the layer's input quantiser gives), without bias; None where the
    weights do not fit the integer graph, `reason` saying why. shifts, adds: a weight, mean.
    """

    layer: str
    scheme: str
    shape: tuple[int, ...]
    bits_per_weight: float
    zero_fraction: float
    term_histogram: tuple[float, ...]
    sqnr_db: float
    accumulator_bits: int | None
    shifts_per_weight: float
    adds_per_weight: float
    reason: str = ""

    @property
    def weights(self) -> int:
        """Number of weights."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Totals:
    """Means over all weights of the layers summed up, and the widest accumulator."""

    weights: int
    bits_per_weight: float
    zero_fraction: float
    shifts_per_weight: float
    adds_per_weight: float
    accumulator_bits: int | None


def _input_grid(site: Site) -> Grid:
    inputs = getattr(site.module, INPUT_QUANTISER, None)
    bits, signed = sensed_range(inputs)
    return Grid(bits, signed, 0)


def _accumulator(site: Site) -> tuple[int | None, str]:
    codes = site.quantiser.codes(site.weight)
    if not isinstance(codes, Codes):
        return None, codes
    w = codes.weight.reshape(codes.weight.shape[0], -1)
    return int(accumulator_bits(w, np.zeros(len(w)), _input_grid(site)).max(initial=1)), ""


@torch.no_grad()
def _row(site: Site) -> LayerSummary:
    masters = site.quantiser.masters(site.weight).double()
    was = site.quantiser.training
    site.quantiser.eval()
    quantised = site.quantiser(site.weight).double()
    site.quantiser.train(was)
    terms = site.quantiser.terms(site.weight).clamp(max=_BINS).flatten()
    histogram = torch.bincount(terms, minlength=_BINS + 1).double() / terms.numel()
    noise, power = (quantised - masters).square().sum(), masters.square().sum()
    width, reason = _accumulator(site)
    return LayerSummary(
        site.name,
        site.quantiser.scheme.name,
        tuple(site.weight.shape),
        site.quantiser.bits_per_weight(site.weight),
        float((quantised == 0).double().mean()),
        tuple(float(h) for h in histogram),
        float(10 * torch.log10(power / noise)),
        width,
        site.quantiser.shifts_per_weight(site.weight),
        site.quantiser.adds_per_weight(site.weight),
        reason,
    )


def summary(model: nn.Module) -> list[LayerSummary]:
    """The quantised layers of a prepared or folded model, in its order."""
    return [_row(site) for site in sites(model).values()]


def totals(rows: Sequence[LayerSummary]) -> Totals:
    """Weighted by the number of weights. Raises ValueError without rows."""
    if not rows:
        raise ValueError("no quantised layer")
    size = np.array([row.weights for row in rows], dtype=np.float64)

    def mean(values: list[float]) -> float:
        return float((np.array(values) * size).sum() / size.sum())

    widths = [row.accumulator_bits for row in rows]
    known = [width for width in widths if width is not None]
    return Totals(
        int(size.sum()),
        mean([row.bits_per_weight for row in rows]),
        mean([row.zero_fraction for row in rows]),
        mean([row.shifts_per_weight for row in rows]),
        mean([row.adds_per_weight for row in rows]),
        max(known) if len(known) == len(widths) else None,
    )


def table(rows: Sequence[LayerSummary]) -> str:
    """The rows and their totals as aligned text."""
    head = ("layer", "scheme", "shape", "bits/w", "zero", "terms 0/1/2/3/4+", "SQNR dB", "acc",
            "shifts", "adds")  # fmt: skip
    body = [
        (
            row.layer,
            row.scheme,
            "x".join(map(str, row.shape)),
            f"{row.bits_per_weight:.2f}",
            f"{100 * row.zero_fraction:.1f} %",
            "/".join(f"{100 * share:.0f}" for share in row.term_histogram),
            f"{row.sqnr_db:.1f}",
            "-" if row.accumulator_bits is None else str(row.accumulator_bits),
            f"{row.shifts_per_weight:.2f}",
            f"{row.adds_per_weight:.2f}",
        )
        for row in rows
    ]
    if rows:
        whole = totals(rows)
        acc = "-" if whole.accumulator_bits is None else str(whole.accumulator_bits)
        body.append(
            ("all", "", str(whole.weights), f"{whole.bits_per_weight:.2f}",
             f"{100 * whole.zero_fraction:.1f} %", "", "", acc,
             f"{whole.shifts_per_weight:.2f}", f"{whole.adds_per_weight:.2f}")
        )  # fmt: skip
    lines = [head, *body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
