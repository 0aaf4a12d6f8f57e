"""Runs sentences on the EdgeBERT unit's kernels in a child process with a time limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.sim.edgebert.host import check_threshold
from shiftforge.sim.edgebert.sentence_golden import Sentence
from shiftforge.sim.edgebert.sentence_opencl import ClassifierKernels
from shiftforge.sim.golden.edgebert.encoder import Unit
from shiftforge.sim.opencl.child import in_child
from shiftforge.sim.opencl.probe import require_device

__all__ = ["KernelRun", "do_job", "run_sentences"]


@dataclass(frozen=True, eq=False)
class KernelRun:
    """sentences: in the order given. seconds: of all kernels."""

    sentences: tuple[Sentence, ...]
    seconds: float


def run_sentences(
    design: UnitDesign,
    device: str,
    network: IntegerAlbert,
    unit: Unit,
    sentences: Sequence[NDArray[np.int64]],
    threshold: int | None = None,
    *,
    text: str | None = None,
    time_limit_s: float = 600.0,
) -> KernelRun:
    """Sentences of token identities on a device, each up to its exit.

    threshold: of the exit, 16 fraction bits, unsigned 32 bits; None runs all layers. text: the
    device text, if it is not to be the rendered one.
    Raises InputError where network, unit or threshold do not suit or the device is not usable,
    CheckFailed for a hang, ToolFailed for a crash or a run past the limit.
    """
    require_device(device)
    check_threshold(threshold)
    job = (design, device, network, unit, list(sentences), threshold, text)
    remedy = "raise the time limit, or take fewer sentences"
    function = "shiftforge.sim.edgebert.opencl.sentence_run:do_job"
    found: KernelRun = in_child(function, job, device, time_limit_s, remedy)
    return found


def do_job(job: tuple[Any, ...]) -> KernelRun:
    """The child's part."""
    design, device, network, unit, sentences, threshold, text = job
    kernels = ClassifierKernels(design, device, network, unit, text=text)
    found = tuple(kernels.run(ids, threshold) for ids in sentences)
    return KernelRun(found, kernels.seconds)
