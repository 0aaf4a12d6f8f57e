"""The ALBERT study's table in the paper's form: each optimisation alone, and all together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.albert_study.settings import LIMITS

__all__ = ["HEADER", "Chosen", "chosen_rows", "everything", "markdown"]

Record = Mapping[str, Any]
GROUPS = ("weights", "words", "spans", "movement", "magnitude", "distilled")
HEADER = (
    "Optimisation", "Setting", "Accuracy", "Change", "Average exit", "Spans (tokens)",
    "Encoder zeros", "Word zeros", "Memory (kB)", "MACs (M)", "RTL cycles",
    "Unit energy (µJ, modelled)", "With DRAM (µJ, modelled)",
)  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """A setting that keeps the validation accuracy. threshold: None where all layers run.
    accuracy, layer: on the held-out texts (on the validation texts in what ``energy`` of
    ``chosen_rows`` sees)."""

    label: str
    setting: str
    record: Record
    threshold: float | None
    accuracy: float
    layer: float


def _at(sweep: Sequence[Mapping[str, float]], threshold: float) -> Mapping[str, float]:
    return min(sweep, key=lambda p: abs(p["threshold"] - threshold))


def _threshold(record: Record, least: float) -> float | None:
    """The least depth that keeps the validation accuracy; None where no threshold does."""
    good = [p for p in record["validation"]["sweep"] if p["accuracy"] >= least]
    return min(good, key=lambda p: (p["layer"], p["threshold"]))["threshold"] if good else None


def _whole(label: str, record: Record) -> Chosen:
    accuracy = record["held_out"]["accuracy"][-1]
    return Chosen(label, record["job"]["name"], record, None, accuracy, float(record["layers"]))


def _with_exit(
    label: str, setting: str, record: Record, threshold: float, part: str = "held_out"
) -> Chosen:
    point = _at(record[part]["sweep"], threshold)
    words = f"{setting}, threshold {threshold:g}"
    return Chosen(label, words, record, threshold, point["accuracy"], point["layer"])


def chosen_rows(
    records: Sequence[Record], limit: float, energy: Callable[[Chosen], float]
) -> list[Chosen]:
    """The strongest setting of each group within ``limit`` points of validation accuracy.

    energy: of a row, by which the combinations are ordered, at their depth on validation texts.
    """
    base = next(r for r in records if r["job"]["group"] == "teacher")
    least = base["validation"]["accuracy"][-1] - limit / 100
    rows = []
    threshold = _threshold(base, least)
    if threshold is not None:
        rows.append(_with_exit("early exit", "entropy", base, threshold))
    for group in GROUPS:
        good = [
            r
            for r in records
            if r["job"]["group"] == group and r["validation"]["accuracy"][-1] >= least
        ]
        if good:
            rows.append(_whole(group, min(good, key=lambda r: r["job"]["cost"])))
    for group, label in (("together", "all together"), ("together shift", "all, SHIFT weights")):
        cheapest: tuple[float, Chosen] | None = None
        for record in (r for r in records if r["job"]["group"] == group):
            threshold = _threshold(record, least)
            if threshold is None:
                continue
            given = label, _movement(record), record, threshold
            cost = energy(_with_exit(*given, "validation"))
            if cheapest is None or cost < cheapest[0]:
                cheapest = cost, _with_exit(*given)
        if cheapest is not None:
            rows.append(cheapest[1])
    return rows


def _movement(record: Record) -> str:
    options = record["job"]["options"]
    return f"{options['prune']} {100 * options['sparsity']:g} %, {options['weights']}"


def _spans(record: Record) -> str:
    found = record["spans"]
    return "all" if found is None else " ".join(f"{s:.0f}" for s in found["reach"])


def cells(row: Chosen, base: Record, costs: Mapping[str, float]) -> list[str]:
    """A row of HEADER. costs: macs, cycles, unit_uj, energy_uj of an average sentence."""
    record = row.record
    change = 100 * (row.accuracy - base["held_out"]["accuracy"][-1])
    return [
        row.label,
        row.setting,
        f"{100 * row.accuracy:.2f} %",
        f"{change:+.2f}",
        f"{row.layer:.2f}",
        _spans(record),
        f"{100 * record['encoder_zeros']:.1f} %",
        f"{100 * record['word_zeros']:.1f} %",
        f"{record['memory_bytes'] / 1000:,.0f}",
        f"{costs['macs'] / 1e6:.1f}",
        f"{costs['cycles']:,.0f}",
        f"{costs['unit_uj']:.1f}",
        f"{costs['energy_uj']:.0f}",
    ]


def markdown(
    records: Sequence[Record], costs_of: Callable[[Chosen], Mapping[str, float]]
) -> dict[float, str]:
    """A table for each of LIMITS."""
    base = next(r for r in records if r["job"]["group"] == "teacher")
    out = {}
    for limit in LIMITS:
        rows = [_whole("none", base)]
        rows += chosen_rows(records, limit, lambda row: costs_of(row)["energy_uj"])
        lines = [" | ".join(HEADER), " | ".join("---" for _ in HEADER)]
        lines += [" | ".join(cells(row, base, costs_of(row))) for row in rows]
        out[limit] = "\n".join(f"| {line} |" for line in lines)
    return out


def everything(records: Sequence[Record]) -> str:
    """A line a record: all layers run, accuracy of the last off-ramp."""
    header = ("Setting", "Validation", "Held out", "Encoder zeros", "Word zeros", "Spans (tokens)")
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    for record in records:
        cells = (
            record["job"]["name"],
            f"{100 * record['validation']['accuracy'][-1]:.2f} %",
            f"{100 * record['held_out']['accuracy'][-1]:.2f} %",
            f"{100 * record['encoder_zeros']:.1f} %",
            f"{100 * record['word_zeros']:.1f} %",
            _spans(record),
        )
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)
