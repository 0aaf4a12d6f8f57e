"""A whole integer ALBERT on a unit: the unit it needs, and the program of a sentence.

The one chooser and the one planner: what a project reports is what the simulation runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import PARAM_BEATS, TABLE_BEATS, command_beats, tiles
from shiftforge.generator.edgebert.encoder import BIASED, LayerNumbers, LayerShape
from shiftforge.generator.edgebert.encoder_program import tiles_needed
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.options import Options
from shiftforge.generator.edgebert.sentence_program import (
    SentenceNumbers,
    SentencePlan,
    plan_commands,
)
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import LANES, UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.integer import IntegerAlbert

__all__ = [
    "Region",
    "choose_layer_unit",
    "choose_unit",
    "lane_problems",
    "memory_map",
    "plan_sentence",
]

_LEAST_TILES, _MOST_TILES = 256, 4096


def _shape(network: IntegerAlbert, length: int) -> LayerShape:
    return LayerShape(length, network.hidden, network.heads, network.ffn)


def lane_problems(shape: LayerShape, lanes: int) -> list[Problem]:
    """Lanes that the unit does not offer, or that do not divide the heads."""
    if unknown := Options(lanes).problems():
        return unknown
    found = shape.problems(lanes)
    fitting = [n for n in LANES if not shape.problems(n)]
    remedy = f"use --lanes {max(fitting)}" if fitting else "use heads of 16, 64 or 256 columns"
    return [replace(problem, remedy=remedy) for problem in found]


def choose_layer_unit(
    lanes: int, shape: LayerShape, *, fraction: int = SfuConfig.fraction, **changes: Any
) -> UnitDesign:
    """A unit with room for the descriptors of a layer, and its special functions.

    fraction: fraction bits of the fixed point. changes: fields of UnitConfig. Raises InputError.
    """
    most = _LEAST_TILES
    while lanes > 0 and min(asdict(shape).values()) > 0 and most < _MOST_TILES:
        if tiles_needed(lanes, shape) <= most:
            break
        most *= 2
    config = UnitConfig(lanes=lanes, max_tiles=most, **changes)
    formats = {"af_bits": config.af_bits, "exp_bits": config.exp_bits}
    return UnitDesign(config, SfuConfig(lanes=lanes, fraction=fraction, **formats))


def choose_unit(network: IntegerAlbert, lanes: int = 16) -> UnitDesign:
    """A unit for the network's weights, with room for the descriptors of its longest sentence.

    Raises InputError where the lanes do not suit the heads.
    """
    shape = _shape(network, network.length)
    if problems := lane_problems(shape, lanes):
        raise InputError(problems)
    weights: dict[str, Any] = {"weights": "af"}
    if network.weights != "af":
        weights = {"weights": "shift", "terms": 1 if network.weights == "shift1" else 2}
    return choose_layer_unit(lanes, shape, fraction=network.fraction, **weights)


def _check_unit(design: UnitDesign, network: IntegerAlbert) -> None:
    config, sfu = design.config, design.functions
    kind = "af" if config.weights == "af" else f"shift{config.terms}"
    if network.weights != kind:
        what = f"a network of {network.weights} weights on a unit of {kind}"
        raise InputError(Problem(what, "convert it for this unit"))
    if network.fraction != sfu.fraction:
        what = f"{network.fraction} fraction bits, the unit has {sfu.fraction}"
        raise InputError(Problem(what, "use one fixed point"))


def _skipped(network: IntegerAlbert, length: int) -> frozenset[int]:
    """Heads whose span mask is 0 as far as ``length`` tokens reach."""
    if network.spans is None:
        return frozenset()
    return frozenset(h for h, table in enumerate(network.spans[:, :length]) if not table.any())


def plan_sentence(
    design: UnitDesign,
    network: IntegerAlbert,
    length: int,
    threshold: int | None = None,
    *,
    apart: bool = True,
    skip: bool = True,
) -> SentencePlan:
    """The program of sentences of ``length`` tokens through all layers, or up to their exit.

    threshold: entropy of the exit, 16 fraction bits; None runs all layers. apart: every layer's
    stages have memory of their own, as comparisons with the reference need; see ``plan_layers``.
    skip: heads whose span mask is 0 throughout get no commands.
    Raises InputError with everything that does not fit the unit.
    """
    _check_unit(design, network)
    norms = {
        name: NormNumbers(norm.gamma_fraction, network.epsilon)
        for name, norm in network.norms.items()
    }
    skipped = _skipped(network, length) if skip else frozenset()
    layers = [
        LayerNumbers(
            {name: own[name] for name in BIASED},
            norms["norm1"],
            norms["norm2"],
            spans=network.spans is not None,
            skipped=skipped,
        )
        for own in network.biases
    ]
    numbers = SentenceNumbers(
        network.words.columns,
        len(network.classes),
        network.embedding_biases,
        [own["logits"] for own in network.biases],
        norms["embedding_norm"],
        threshold,
    )
    return plan_commands(design, _shape(network, length), layers, numbers, apart=apart)


@dataclass(frozen=True)
class Region:
    """Beats of the external memory: ``first`` to before ``first + beats``."""

    name: str
    first: int
    beats: int


def memory_map(plan: SentencePlan) -> tuple[Region, ...]:
    """What lies where in the external memory of a sentence's program, by address.

    Names: weights, parameters and tables of the products and norms, ``layer i`` with a stage's
    tensor, the embeddings' tensors, and ``program``. Memory that layers share is named once.
    """
    found = {region.first: region for region in _regions(plan)}
    return tuple(found[first] for first in sorted(found))


def _regions(plan: SentencePlan) -> Iterator[Region]:
    """All of them; of layers that share memory, the first one's last."""
    whole, n = plan.program, plan.program.config.lanes
    shape = whole.shape
    hidden, length = tiles(shape.hidden, n), tiles(shape.length, n)
    for index, at in reversed(list(enumerate(whole.layers))):
        for name, tensor in at.tensors.items():
            beats = tensor.strips * (1 + tensor.pitch)
            yield Region(f"layer {index} {name}", tensor.desc, beats)
        for name, first in at.params.items():
            columns = {"scores": length, "context": tiles(shape.width, n)}
            columns["ffn1"] = tiles(shape.ffn, n)
            beats = PARAM_BEATS * columns.get(name, hidden)
            yield Region(f"layer {index} parameters {name}", first, beats)
    for name, first in whole.place.tables.items():
        yield Region(f"table {name}", first, TABLE_BEATS * (length if "span" in name else hidden))
    for name, tensor in {**whole.place.weights, **plan.weights}.items():
        yield Region(f"weights {name}", tensor.desc, tensor.strips * (1 + tensor.pitch))
    for name, tensor in plan.tensors.items():
        yield Region(name, tensor.desc, tensor.strips * (1 + tensor.pitch))
    for name, first in plan.params.items():
        yield Region(f"parameters {name}", first, PARAM_BEATS * plan.weights[name].row_tiles)
    rows = tiles(plan.numbers.embedding, n)
    yield Region("table embedding_norm", plan.table, TABLE_BEATS * rows)
    beats = len(whole.commands) * command_beats(whole.config)
    yield Region("program", whole.program, beats)
