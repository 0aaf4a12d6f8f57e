"""Pictures of a trained network's weights, layers and thresholds; matplotlib is optional."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from shiftforge.atomic import replacing
from shiftforge.quant.models.folder import SOFTWARE
from shiftforge.quant.models.history import Record
from shiftforge.quant.schemes.summary import LayerSummary
from shiftforge.quant.schemes.training import sites

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_pictures"]

_ACROSS = 4
_BINS = 81


def write_pictures(
    folder: Path, network: nn.Module, layers: Sequence[LayerSummary], records: Sequence[Record]
) -> list[Path]:
    """weights.png (histograms before and after quantisation), layers.png (SQNR a layer) and, where
    there are thresholds, thresholds.png; the files written, none without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None or not layers:
        return []
    written = [_weights(folder / "weights.png", network), _layers(folder / "layers.png", layers)]
    if records:
        written.append(_thresholds(folder / "thresholds.png", records))
    return written


def _save(figure: Figure, path: Path) -> Path:
    """The picture, which names this program: a later run may replace it."""
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": SOFTWARE})
    return path


@torch.no_grad()
def _weights(path: Path, network: nn.Module) -> Path:
    from matplotlib.figure import Figure

    found = sites(network)
    rows = -(-len(found) // _ACROSS)
    figure = Figure(figsize=(3 * _ACROSS, 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, _ACROSS, squeeze=False).reshape(-1)
    for axis in axes[len(found) :]:
        axis.set_visible(False)
    for axis, (name, site) in zip(axes, found.items(), strict=False):
        w = site.weight.detach().cpu().flatten().numpy()
        q = site.quantiser(site.weight).detach().cpu().flatten().numpy()
        top = float(np.percentile(np.abs(w), 99.9)) or 1.0
        edges = np.linspace(-top, top, _BINS)
        axis.hist(q, edges, color="#0072b2", alpha=0.6, label="quantised")
        axis.hist(w, edges, histtype="step", color="black", label="float")
        axis.set_title(name, fontsize=8)
        axis.set_yscale("log")
        axis.tick_params(labelsize=6)
    axes[0].legend(fontsize=7)
    figure.supxlabel("weight", fontsize=9)
    figure.supylabel("weights in a bin", fontsize=9)
    return _save(figure, path)


def _layers(path: Path, layers: Sequence[LayerSummary]) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.2 * len(layers)), layout="constrained")
    axis = figure.subplots()
    names = [row.layer for row in layers]
    axis.barh(names, [row.sqnr_db for row in layers], color="#0072b2")
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlabel("SQNR of the weights, dB")
    return _save(figure, path)


def _thresholds(path: Path, records: Sequence[Record]) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    names = list(dict.fromkeys(r.layer for r in records))
    for name in names:
        own = [r for r in records if r.layer == name]
        epochs = [r.epoch for r in own]
        label = name if len(names) <= 12 else None
        axes[0].plot(epochs, [r.threshold for r in own], marker=".", label=label)
        axes[1].plot(epochs, [100 * r.second for r in own], marker=".")
    axes[0].set_ylabel("threshold t, squared units of the smallest magnitude")
    axes[1].set_ylabel("weights with two terms, %")
    for axis in axes:
        axis.set_xlabel("epochs trained")
    if len(names) <= 12:
        figure.legend(loc="outside right center", fontsize=7)
    return _save(figure, path)
