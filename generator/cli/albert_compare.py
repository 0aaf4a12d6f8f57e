"""``shiftforge compare`` of a text classifier: the first divergence between two checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.cli.albert_run import (
    DEVICES,
    Job,
    check_devices,
    on_device,
    on_rtl,
    open_job,
    reference,
)
from shiftforge.errors import CheckFailed, InputError, Problem

if TYPE_CHECKING:
    from shiftforge.cli.output import Advance
    from shiftforge.sim.edgebert.compare import Comparison
    from shiftforge.sim.edgebert.sentence_golden import Sentence

__all__ = ["CHECKPOINTS", "compare_texts"]

FLOAT, GOLDEN, RTL = "float", "golden", "rtl"
CHECKPOINTS = (FLOAT, GOLDEN, *DEVICES, RTL)
"""What a text classifier can be compared between."""


def compare_texts(
    folder: Path,
    source: str,
    limit: int,
    pair: tuple[str, str] | None,
    threshold: float | None,
    layers: bool,
    classifier: Path | None,
    time_limit: float,
    refused: Iterable[Problem],
    as_json: bool,
) -> None:
    """Compare every stage of every sentence; without a pair the reference with each device.

    classifier: the folder that the integers were made from, for the checkpoint "float".
    """
    from shiftforge.cli.devices import split_usable, tell_skipped
    from shiftforge.cli.output import print_json, print_table, progress
    from shiftforge.sim.edgebert.compare import compare_sentences

    devices, skipped = ((), ()) if pair is not None else split_usable(DEVICES)
    tell_skipped(skipped, needed=pair is None and not devices)
    pairs = [(GOLDEN, device) for device in devices] if pair is None else [pair]
    names = list(dict.fromkeys(name for own in pairs for name in own))
    problems = [*refused, *_problems(names), *_classifier_problems(names, classifier)]
    job = open_job(folder, source, limit, threshold, problems)
    if pair is not None and classifier is not None:
        _measure(job, *pair, classifier, layers, as_json)
        return
    with progress() as advance:
        held = {name: _checkpoint(name, job, time_limit, advance) for name in names}
    # The first of a pair is what the second is expected to be.
    found = {
        (a, b): [compare_sentences(y, x) for x, y in zip(held[a], held[b], strict=True)]
        for a, b in pairs
    }
    told = {own: _first(job, *own, compared) for own, compared in found.items()}
    if as_json:
        print_json(
            {
                "passed": not any(told.values()),
                "sentences": len(job.texts),
                "skipped": skipped,
                "pairs": [
                    {
                        "from": a,
                        "to": b,
                        "values": sum(c.values for c in compared),
                        "mismatches": sum(c.mismatches for c in compared),
                        "divergence": told[a, b] or None,
                    }
                    for (a, b), compared in found.items()
                ],
            }
        )
    else:
        print_table(
            f"{len(job.texts)} sentences of {source}",
            ("from", "to", "integers", "mismatches", ""),
            [
                (
                    a,
                    b,
                    f"{sum(c.values for c in compared):,}",
                    f"{sum(c.mismatches for c in compared):,}",
                    "DIFFERENT" if told[a, b] else "equal",
                )
                for (a, b), compared in found.items()
            ],
        )
        for own, compared in found.items() if layers else ():
            _print_stages(*own, compared)
    failed = [text for text in told.values() if text]
    if failed:
        raise CheckFailed("\n".join(failed))


def _classifier_problems(names: Sequence[str], classifier: Path | None) -> list[Problem]:
    """The float network is in the classifier's folder alone."""
    if (FLOAT in names) == (classifier is not None):
        both = len(names) == 1 and FLOAT in names
        return [Problem("float against float", "name another checkpoint")] if both else []
    if FLOAT in names:
        remedy = "give --classifier, the folder that was quantised"
        return [Problem("the project holds no float weights", remedy, FLOAT)]
    return [Problem("--classifier without float", "leave it out, or --from float --to golden")]


def _measure(job: Job, a: str, b: str, classifier: Path, layers: bool, as_json: bool) -> None:
    """The float network against integers: what is equal, and the noise of each stage."""
    from shiftforge.cli.output import print_json, print_table
    from shiftforge.quant.albert.network.folder import float_network, load_classifier
    from shiftforge.sim.edgebert.compare import compare_checkpoints

    own = job.project
    report = compare_checkpoints(
        own.network,
        job.texts.ids,
        a,
        b,
        job.threshold,
        own.config.lanes,
        floats=float_network(*load_classifier(classifier)),
    )
    if as_json:
        print_json(report)
        return
    last = report.sqnr[-1]["logits"]
    print_table(
        f"{len(job.texts)} sentences of {job.texts.source}",
        ("from", "to", "same label", "same exit layer", "SQNR of the last logits", ""),
        [(a, b, f"{report.labels:.1%}", f"{report.exits:.1%}", f"{last:.1f} dB", "measured")],
    )
    for index, stages in enumerate(report.sqnr) if layers else ():
        print_table(
            "embeddings" if index == 0 else f"layer {index - 1}",
            ("stage", "SQNR, dB"),
            [(stage, f"{value:.1f}") for stage, value in stages.items()],
        )


def _problems(names: Sequence[str]) -> list[Problem]:
    unknown = [name for name in names if name not in CHECKPOINTS]
    remedy = "choose one of: " + ", ".join(CHECKPOINTS) + " (a text classifier's)"
    problems = [Problem(f"unknown checkpoint {name!r}", remedy) for name in unknown]
    problems += check_devices(name for name in names if name in DEVICES)
    if RTL in names:
        from shiftforge.sim.rtl.verilator import verilator_root

        try:
            verilator_root()
        except InputError as error:
            problems += error.problems
    return problems


def _checkpoint(name: str, job: Job, time_limit: float, advance: Advance) -> tuple[Sentence, ...]:
    if name == GOLDEN:
        return reference(job, advance)
    if name == RTL:
        return tuple(run.sentence for run in on_rtl(job, advance))
    done = on_device(job, name, time_limit).sentences
    advance(name, len(done), len(done))
    return done


def _first(job: Job, a: str, b: str, compared: Sequence[Comparison]) -> str:
    for index, own in enumerate(compared):
        if own.differences:
            name = job.texts.names[index]
            return (
                f"{a} and {b} first differ in sentence {index + 1} ({name}), {own.differences[0]}"
            )
    return ""


def _print_stages(a: str, b: str, compared: Sequence[Comparison]) -> None:
    """Every stage that differs, of the first sentence that does."""
    from shiftforge.cli.output import print_table

    for index, own in enumerate(compared, 1):
        if own.differences:
            print_table(
                f"{a} and {b}, sentence {index}",
                ("layer", "stage", "values that differ", "the first"),
                [
                    ("-" if d.layer is None else d.layer, d.stage, f"{d.values:,}", str(d))
                    for d in own.differences
                ],
            )
            return
