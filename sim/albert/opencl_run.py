"""Runs sentences on the EdgeBERT unit's kernels in a child process with a time limit.

A child, because an OpenCL runtime can abort or hang the process it lives in.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.plan.sfu import SfuConfig
from shiftforge.generator.plan.unit import UnitConfig
from shiftforge.quant.albert.network import IntegerAlbert
from shiftforge.sim.albert.golden import Sentence
from shiftforge.sim.albert.host import check_threshold
from shiftforge.sim.albert.opencl import ClassifierKernels
from shiftforge.sim.golden.edgebert.encoder import Unit
from shiftforge.sim.opencl.emulate import run_child
from shiftforge.sim.opencl.probe import require_device

__all__ = ["KernelRun", "do_job", "run_sentences"]

_JOB, _RESULT = "job.pickle", "result.pickle"


@dataclass(frozen=True, eq=False)
class KernelRun:
    """sentences: in the order given. seconds: of all kernels."""

    sentences: tuple[Sentence, ...]
    seconds: float


def run_sentences(
    config: UnitConfig,
    sfu: SfuConfig,
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
    job = (config, sfu, device, network, unit, list(sentences), threshold, text)
    with tempfile.TemporaryDirectory(prefix="shiftforge-unit-") as name:
        work = Path(name)
        (work / _JOB).write_bytes(pickle.dumps(job))
        remedy = "raise the time limit, or take fewer sentences"
        run_child("shiftforge.sim.albert.opencl_child", work, device, time_limit_s, remedy)
        found: KernelRun = pickle.loads((work / _RESULT).read_bytes())
    return found


def do_job(work: Path) -> None:
    """The child's part."""
    job: tuple[Any, ...] = pickle.loads((work / _JOB).read_bytes())
    config, sfu, device, network, unit, sentences, threshold, text = job
    kernels = ClassifierKernels(config, sfu, device, network, unit, text=text)
    found = tuple(kernels.run(ids, threshold) for ids in sentences)
    (work / _RESULT).write_bytes(pickle.dumps(KernelRun(found, kernels.seconds)))
