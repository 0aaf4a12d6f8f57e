"""A whole integer ALBERT on a unit: the unit it needs, and the program of a sentence."""

from __future__ import annotations

from dataclasses import replace

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.encoder import BIASED, LayerNumbers, LayerShape
from shiftforge.generator.edgebert.encoder_program import tiles_needed
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.sentence_program import (
    ClassifierNumbers,
    ClassifierPlan,
    plan_classifier,
)
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import LANES, UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.integer import IntegerAlbert

__all__ = ["albert_units", "plan_albert"]

_LEAST_TILES, _MOST_TILES = 256, 4096


def _shape(network: IntegerAlbert, length: int) -> LayerShape:
    return LayerShape(length, network.hidden, network.heads, network.ffn)


def _lane_problems(network: IntegerAlbert, lanes: int) -> list[Problem]:
    """Lanes that the unit does not offer, or that do not divide the heads."""
    if lanes not in LANES:
        what = f"{lanes} lanes are not offered"
        return [Problem(what, f"choose one of {', '.join(map(str, LANES))}", "lanes")]
    found = _shape(network, network.length).problems(lanes)
    fitting = [n for n in LANES if not _shape(network, network.length).problems(n)]
    remedy = f"use --lanes {max(fitting)}" if fitting else "use heads of 16, 64 or 256 columns"
    return [replace(problem, remedy=remedy) for problem in found]


def albert_units(network: IntegerAlbert, lanes: int = 16) -> UnitDesign:
    """A unit for the network's weights, with room for the descriptors of its longest sentence.

    Raises InputError where the lanes do not suit the heads.
    """
    problems = _lane_problems(network, lanes)
    if problems:
        raise InputError(problems)
    most = _LEAST_TILES
    while most < _MOST_TILES and tiles_needed(lanes, _shape(network, network.length)) > most:
        most *= 2
    if network.weights == "af":
        config = UnitConfig(lanes=lanes, max_tiles=most)
    else:
        terms = 1 if network.weights == "shift1" else 2
        config = UnitConfig(lanes=lanes, max_tiles=most, weights="shift", terms=terms)
    sfu = SfuConfig(
        lanes=lanes,
        af_bits=config.af_bits,
        exp_bits=config.exp_bits,
        fraction=network.fraction,
    )
    return UnitDesign(config, sfu)


def plan_albert(
    design: UnitDesign, network: IntegerAlbert, length: int, *, skip: bool = True
) -> ClassifierPlan:
    """The program of sentences of ``length`` tokens through all layers, without early exit.

    skip: heads whose span mask is 0 throughout get no commands. Layers share their memory.
    Raises InputError with everything that does not fit the unit.
    """
    norms = {
        name: NormNumbers(norm.gamma_fraction, network.epsilon)
        for name, norm in network.norms.items()
    }
    layers = [
        LayerNumbers(
            {name: own[name] for name in BIASED},
            norms["norm1"],
            norms["norm2"],
            spans=network.spans is not None,
            skipped=frozenset(network.skipped if skip else ()),
        )
        for own in network.biases
    ]
    numbers = ClassifierNumbers(
        network.words.columns,
        len(network.classes),
        network.embedding_biases,
        [own["logits"] for own in network.biases],
        norms["embedding_norm"],
    )
    return plan_classifier(design, _shape(network, length), layers, numbers, apart=False)
