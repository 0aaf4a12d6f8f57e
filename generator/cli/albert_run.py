"""Sentences in the reference, on OpenCL devices and on the RTL, for the commands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftforge.cli.albert_project import (
    AlbertProject,
    load_project,
    threshold_problems,
)
from shiftforge.errors import InputError, Problem
from shiftforge.quant.text.inputs import Texts, load_texts, source_problems

if TYPE_CHECKING:
    from pathlib import Path

    from shiftforge.cli.output import Advance
    from shiftforge.sim.edgebert.compare import Comparison
    from shiftforge.sim.edgebert.sentence_golden import Sentence
    from shiftforge.sim.edgebert.sentence_rtl import RtlSentence

__all__ = [
    "DEVICES",
    "DeviceSentences",
    "Job",
    "announce",
    "check_devices",
    "on_device",
    "on_rtl",
    "open_job",
    "outputs_only",
    "probabilities",
    "reference",
    "text_rows",
]

DEVICES = ("pocl", "intel-cpu", "intel-fpga-emu")
_OUTPUTS = ("logits", "entropy", "exit", "exit layer", "label")


@dataclass(frozen=True)
class Job:
    """threshold: of the exit, in nats; limit: the same with 16 fraction bits, as the unit has it;
    None for all layers."""

    project: AlbertProject
    texts: Texts
    threshold: float | None
    limit: int | None


@dataclass(frozen=True, eq=False)
class DeviceSentences:
    """sentences: what a device made of the texts. seconds: of its kernels."""

    sentences: tuple[Sentence, ...]
    seconds: float


def check_devices(devices: Iterable[str]) -> list[Problem]:
    """Devices that are unknown or not usable."""
    from shiftforge.sim.opencl.probe import require_device

    problems: list[Problem] = []
    for device in devices:
        try:
            require_device(device)
        except InputError as error:
            problems += error.problems
    return problems


def open_job(
    folder: Path,
    source: str,
    limit: int | None,
    threshold: float | None,
    problems: Iterable[Problem] = (),
) -> Job:
    """Project and texts of a command.

    problems: of the command's other arguments. Raises InputError with all of them and its own.
    """
    from shiftforge.sim.edgebert.sentence_golden import threshold_of

    found = [*problems, *threshold_problems(threshold)]
    project = texts = None
    try:
        project = load_project(folder)
    except InputError as error:
        found += [*error.problems, *source_problems(source)]
    if project is not None:
        try:
            texts = load_texts(source, project.package, limit)
        except InputError as error:
            found += error.problems
    if found or project is None or texts is None:
        raise InputError(found)
    return Job(project, texts, threshold, None if threshold is None else threshold_of(threshold))


def announce(job: Job, where: str) -> None:
    """Tell how many sentences are about to run, and of how many only the beginning."""
    from shiftforge.cli.output import note, warn

    length, cut = job.project.network.length, job.texts.cut
    if cut:
        warn(f"{cut} of {len(job.texts)} texts are longer: their first {length} tokens are taken")
    source = "standard input" if job.texts.source == "-" else job.texts.source
    count = "1 sentence" if len(job.texts) == 1 else f"{len(job.texts)} sentences"
    note(f"{count} of {source} on {where}")


def reference(job: Job, advance: Advance | None = None) -> tuple[Sentence, ...]:
    """Every sentence in the numpy reference."""
    from shiftforge.sim.edgebert.sentence_golden import golden_sentence

    found = []
    unit = job.project.unit
    for ids in job.texts.ids:
        found.append(golden_sentence(job.project.network, ids, unit, job.limit))
        if advance is not None:
            advance("reference", len(found), len(job.texts))
    return tuple(found)


def on_device(job: Job, device: str, time_limit_s: float = 600.0) -> DeviceSentences:
    """Every sentence on an OpenCL device, by the project's own device text."""
    from shiftforge.sim.edgebert.opencl.sentence_run import run_sentences

    own = job.project
    done = run_sentences(
        own.design,
        device,
        own.network,
        own.unit,
        job.texts.ids,
        job.limit,
        text=own.text,
        time_limit_s=time_limit_s,
    )
    return DeviceSentences(done.sentences, done.seconds)


def on_rtl(job: Job, advance: Advance | None = None) -> tuple[RtlSentence, ...]:
    """Every sentence on the project's own RTL in simulation, one program each."""
    from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl

    own = job.project
    longest = max(len(ids) for ids in job.texts.ids)
    unit = ClassifierRtl(own.design, own.network, job.limit, longest=longest, replace=dict(own.rtl))
    found = []
    for ids in job.texts.ids:
        found.append(unit.run(ids))
        if advance is not None:
            advance("rtl", len(found), len(job.texts))
    return tuple(found)


def outputs_only(got: Sentence, want: Sentence) -> Comparison:
    """Logits, entropies, exits and label, without the stages of the layers."""
    from shiftforge.sim.edgebert.compare import Comparison, compare_sentences

    whole = compare_sentences(got, want)
    values = sum(len(layer.logits) + 2 for layer in want.layers) + 2
    return Comparison(values, tuple(d for d in whole.differences if d.stage in _OUTPUTS))


def probabilities(job: Job, sentence: Sentence) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Softmax (classes,) of the logit codes at the exit, computed by the host in floating point."""
    from shiftforge.sim.golden.edgebert.afcode import af_values

    network = job.project.network
    bias = network.biases[sentence.exit_layer - 1]["logits"]
    logits = np.asarray(af_values(sentence.layers[-1].logits, bias), dtype=np.float64)
    e = np.exp(logits - logits.max())
    shares: np.ndarray[Any, np.dtype[np.float64]] = e / e.sum()
    return shares


def text_rows(job: Job, sentences: Iterable[Sentence]) -> list[dict[str, Any]]:
    """One row a sentence: text, tokens, label, exit layer, entropies in nats, probability of the
    label, margin (its distance to the next one's), and multiply-accumulates up to the exit."""
    from shiftforge.sim.edgebert.check import macs_of

    classes = job.project.network.classes
    rows = []
    for index, sentence in enumerate(sentences):
        shares = np.sort(probabilities(job, sentence))[::-1]
        row = {
            "text": job.texts.names[index],
            "tokens": len(job.texts.ids[index]),
            "label": classes[sentence.label],
            "exit_layer": sentence.exit_layer,
            "entropies": [layer.entropy / (1 << 16) for layer in sentence.layers],
            "probability": float(shares[0]),
            "margin": float(shares[0] - shares[1]),
            "macs": macs_of(job.project.network, len(job.texts.ids[index]), sentence.exit_layer),
        }
        if job.texts.wanted is not None:
            row["wanted"] = job.texts.wanted[index]
        rows.append(row)
    return rows
