"""Checkpoints of texts side by side: integers stage by stage, the float network measured."""

from __future__ import annotations

from typing import Any

from shiftforge.sim.edgebert.samples import TextSamples
from shiftforge.sim.results import Pair, Run, Table
from shiftforge.sim.trace import Comparison
from shiftforge.sim.trace import compare as compare_traces

__all__ = ["FLOAT", "compared", "float_of", "measured_pair"]

FLOAT = "float"


def compared(a: Run, b: Run) -> Comparison:
    """Stages, and the faults of the second; the first sample that differs comes first."""
    found = Comparison(0, ())
    if b.trace or not b.faults:
        found = compare_traces(a.trace, b.trace)
    # Of one sample its stages come first: they were computed before.
    both = sorted((*found.differences, *b.faults), key=lambda d: d.sample or 0)
    return Comparison(found.values + len(b.faults), tuple(both))


def float_of(samples: TextSamples) -> Any:
    """The float network of the classifier that the options name."""
    from shiftforge.quant.albert.network.folder import float_network, load_classifier

    assert samples.options.classifier is not None  # checked before anything ran
    return float_network(*load_classifier(samples.options.classifier))


def measured_pair(samples: TextSamples, a: Run, b: Run) -> Pair:
    """The float network against integers: what is equal, and the noise of each stage."""
    from shiftforge.sim.edgebert.compare import measured

    floats, ran = (a, b) if a.at == FLOAT else (b, a)
    found = measured(
        samples.own.network, floats.result, samples.texts.ids, ran.result,
        samples.options.threshold, (a.at, b.at),
    )  # fmt: skip
    tables = tuple(
        Table(
            "embeddings" if index == 0 else f"layer {index - 1}",
            ("stage", "SQNR, dB"),
            tuple((stage, f"{value:.1f}") for stage, value in stages.items()),
        )
        for index, stages in enumerate(found.sqnr)
    )
    figures = {
        "labels": found.labels,
        "exits": found.exits,
        "sqnr": found.sqnr,
        "output_sqnr_db": found.sqnr[-1]["logits"],
        "top1_agreement": found.labels,
    }
    return Pair(a.at, b.at, len(samples), False, 0, 0, None, figures, tables)
