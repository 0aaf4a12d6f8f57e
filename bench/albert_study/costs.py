"""What an average sentence of a network costs on the unit: counters of its RTL, modelled energy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.common.records import write_json
from shiftforge.generator.edgebert.energy.energy import (
    NOMINAL_45,
    cost_at,
    layer_works,
    unit_power,
)
from shiftforge.generator.edgebert.energy.unit_energy import HOROWITZ_45
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl

__all__ = ["LayerCosts", "at_depth", "layer_costs", "load_costs", "save_costs"]


@dataclass(frozen=True)
class LayerCosts:
    """Means over sentences, of the first 1, 2, .. layers with the embeddings before them.

    cycles: the RTL's. energy_uj: modelled from the RTL's counters, at NOMINAL_45, with the memory
    outside; unit_uj: without it."""

    sentences: int
    tokens: float
    cycles: tuple[float, ...]
    energy_uj: tuple[float, ...]
    unit_uj: tuple[float, ...]


def layer_costs(
    network: IntegerAlbert, sentences: Sequence[NDArray[np.int64]], lanes: int = 16
) -> LayerCosts:
    """Run sentences of token identities through all layers on the RTL."""
    design = choose_unit(network, lanes)
    longest = max(len(ids) for ids in sentences)
    unit = ClassifierRtl(design, network, None, longest=longest)
    power = unit_power(design.config, HOROWITZ_45, NOMINAL_45)
    cycles, energy, own = [], [], []
    for ids in sentences:
        run = unit.run(ids)
        plan = plan_sentence(design, network, len(ids), None)
        beats = run.reads, run.writes
        works = layer_works(design.config, HOROWITZ_45, plan.program.commands, run.commands, beats)
        cycles.append(np.cumsum([work.cycles for work in works]))
        costs = [cost_at(work, power, NOMINAL_45) for work in works]
        energy.append(np.cumsum([cost.total / 1000 for cost in costs]))
        own.append(np.cumsum([cost.unit / 1000 for cost in costs]))
    return LayerCosts(
        len(sentences),
        float(np.mean([len(ids) for ids in sentences])),
        tuple(np.mean(cycles, axis=0).tolist()),
        tuple(np.mean(energy, axis=0).tolist()),
        tuple(np.mean(own, axis=0).tolist()),
    )


def at_depth(values: Sequence[float], depth: float) -> float:
    """Of an average exit layer, 1 or more: between the whole layers around it."""
    below = min(max(floor(depth), 1), len(values))
    above = min(below + 1, len(values))
    part = depth - below
    return values[below - 1] * (1 - part) + values[above - 1] * part


def save_costs(costs: LayerCosts, path: Path) -> None:
    """Keep what a simulation found."""
    write_json(path, costs.__dict__)


def load_costs(path: Path) -> LayerCosts | None:
    """What was kept, or None."""
    if not path.is_file():
        return None
    held: Mapping[str, Any] = json.loads(path.read_text())
    rows = (tuple(held[name]) for name in ("cycles", "energy_uj", "unit_uj"))
    return LayerCosts(held["sentences"], held["tokens"], *rows)
