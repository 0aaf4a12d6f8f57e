"""Sentences through the reference, the OpenCL devices and the RTL: every integer compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.network.macs import sentence_macs
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.sim.edgebert.checkpoints import RTL
from shiftforge.sim.edgebert.opencl.sentence_run import run_sentences
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import golden_sentence, threshold_of
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl
from shiftforge.sim.edgebert.sentence_trace import compare_sentences
from shiftforge.sim.trace import Comparison

__all__ = ["CheckReport", "SentenceCheck", "check_sentences", "macs_of"]


@dataclass(frozen=True)
class SentenceCheck:
    """mismatches: integers that differ from the reference, by device. values: compared ones, of
    one device. cycles, ideal_cycles: of the RTL, None where it did not run. first: the first
    difference of each device that has one. skipped: heads that are not computed. macs: of the
    products up to the exit. commands: that the RTL ran, None where it did not run."""

    tokens: int
    label: str
    exit_layer: int
    entropies: tuple[float, ...]
    values: int
    mismatches: dict[str, int]
    cycles: int | None
    ideal_cycles: int | None
    first: dict[str, str]
    skipped: tuple[int, ...] = ()
    macs: int = 0
    commands: int | None = None


@dataclass(frozen=True)
class CheckReport:
    """cycles, ideal_cycles: of all sentences on the RTL. rtl_seconds: of its simulations; seconds:
    of each OpenCL device's kernels."""

    n: int
    weights: str
    threshold: float | None
    sentences: tuple[SentenceCheck, ...]
    values: int
    mismatches: int
    cycles: int
    ideal_cycles: int
    rtl_seconds: float
    seconds: dict[str, float]


def macs_of(network: IntegerAlbert, tokens: int, layers: int) -> int:
    """Multiply-accumulates of a sentence's products through so many layers, without padding."""
    shape = Shape(
        network.hidden, network.heads, network.ffn, network.layers, network.length,
        network.words.columns, network.words.shape[0],
    )  # fmt: skip
    return int(sentence_macs(shape, tokens, layers, len(network.classes), len(network.skipped)))


def check_sentences(
    network: IntegerAlbert,
    sentences: Sequence[NDArray[np.int64]],
    threshold: float | None = None,
    *,
    devices: Sequence[str] = (),
    rtl: bool = True,
    lanes: int = 16,
    say: Callable[[str], None] | None = None,
    cache: Path | None = None,
) -> CheckReport:
    """Run sentences of token identities everywhere and compare every stage.

    threshold: entropy of the exit in nats; None runs all layers. devices: OpenCL devices.
    Raises InputError where something does not fit, CheckFailed where something does not run.
    """
    design = choose_unit(network, lanes)
    unit = golden_unit(design)
    limit = None if threshold is None else threshold_of(threshold)
    tell = say or (lambda text: None)
    golden = [golden_sentence(network, ids, unit, limit) for ids in sentences]
    tell(f"reference: {len(golden)} sentences")
    compared: list[dict[str, Comparison]] = [{} for _ in golden]
    seconds = {}
    for device in devices:
        done = run_sentences(design, device, network, unit, sentences, limit)
        seconds[device] = done.seconds
        for own, got, want in zip(compared, done.sentences, golden, strict=True):
            own[device] = compare_sentences(got, want)
        tell(f"{device}: {sum(own[device].mismatches for own in compared)} mismatches")
    cycles: list[tuple[int, int, int] | None] = [None] * len(golden)
    spent = 0.0
    if rtl:
        longest = max(len(ids) for ids in sentences)
        unit_rtl = ClassifierRtl(design, network, limit, longest=longest, cache=cache)
        for i, (ids, want) in enumerate(zip(sentences, golden, strict=True)):
            run = unit_rtl.run(ids)
            spent += run.seconds
            cycles[i] = run.cycles, run.ideal_cycles, len(run.commands)
            compared[i][RTL] = compare_sentences(run.sentence, want)
            tell(
                f"rtl: sentence {i + 1} of {len(golden)}, exit after layer "
                f"{run.sentence.exit_layer}, {run.cycles:,} cycles, "
                f"{compared[i][RTL].mismatches} mismatches"
            )
    rows = tuple(
        SentenceCheck(
            len(ids),
            network.classes[want.label],
            want.exit_layer,
            tuple(layer.entropy / 65536 for layer in want.layers),
            max((c.values for c in own.values()), default=0),
            {name: c.mismatches for name, c in own.items()},
            None if took is None else took[0],
            None if took is None else took[1],
            {name: str(c.differences[0]) for name, c in own.items() if c.differences},
            want.skipped,
            macs_of(network, len(ids), want.exit_layer),
            None if took is None else took[2],
        )
        for ids, want, own, took in zip(sentences, golden, compared, cycles, strict=True)
    )
    return CheckReport(
        lanes,
        network.weights,
        threshold,
        rows,
        sum(row.values * len(row.mismatches) for row in rows),
        sum(sum(row.mismatches.values()) for row in rows),
        sum(took[0] for took in cycles if took is not None),
        sum(took[1] for took in cycles if took is not None),
        spent,
        seconds,
    )
