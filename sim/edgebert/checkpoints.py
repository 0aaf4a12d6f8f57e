"""Where a classifier can be run: the reference, the OpenCL devices, the RTL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.opencl.sentence_run import run_sentences
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import Sentence, golden_sentence, threshold_of
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl
from shiftforge.sim.opencl.devices import DEVICES

__all__ = ["CHECKPOINTS", "GOLDEN", "RTL", "run_checkpoint"]

GOLDEN, RTL = "golden", "rtl"
CHECKPOINTS = (GOLDEN, *(spec.name for spec in DEVICES), RTL)
"""Where the integers can be computed."""


def run_checkpoint(
    network: IntegerAlbert,
    sentences: Sequence[NDArray[np.int64]],
    name: str,
    threshold: float | None = None,
    lanes: int = 16,
    cache: Path | None = None,
) -> tuple[Sentence, ...]:
    """Sentences of token identities at one of CHECKPOINTS, each up to its exit.

    threshold: entropy of the exit in nats; None runs all layers. cache: folder of built RTL
    simulations. Raises InputError where name, network or sentences do not suit, CheckFailed where
    something does not run.
    """
    if name not in CHECKPOINTS:
        remedy = f"one of {', '.join(CHECKPOINTS)}"
        raise InputError(Problem(f"no checkpoint {name!r} of integers", remedy, "checkpoint"))
    if not len(sentences):
        raise InputError(Problem("no sentences", "give at least one"))
    design = choose_unit(network, lanes)
    unit = golden_unit(design)
    limit = None if threshold is None else threshold_of(threshold)
    if name == GOLDEN:
        return tuple(golden_sentence(network, ids, unit, limit) for ids in sentences)
    if name == RTL:
        longest = max(len(ids) for ids in sentences)
        model = ClassifierRtl(design, network, limit, longest=longest, cache=cache)
        return tuple(model.run(ids).sentence for ids in sentences)
    return run_sentences(design, name, network, unit, sentences, limit).sentences
