"""The study's records as a table: means and spreads over seeds, differences seed by seed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from bench.common.machine import command_line, machine
from bench.common.machine import print_table as print_aligned
from bench.schemes import runs
from bench.schemes.runs import Folders, Job
from bench.schemes.settings import Study

__all__ = ["PAIRS", "paired", "print_paired", "print_summary", "summarise"]

# What is claimed of DTSSQ: nothing lost against float, better than its rivals at equal additions
# (FLightNN at 25 %) and at equal bits (INT6).
PAIRS = (
    ("DTSSQ 25%", "float"),
    ("DTSSQ 50%", "float"),
    ("DTSSQ 10%", "shift one-term"),
    ("DTSSQ 25%", "shift one-term"),
    ("DTSSQ 25%", "FLightNN 25%"),
    ("DTSSQ 25%", "INT6"),
    ("DTSSQ 25%", "shift two-term"),
)


def _spread(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _records(jobs: list[Job], folders: Folders) -> dict[str, dict[int, dict[str, Any]]]:
    """Finished runs by row and seed, rows in the jobs' order."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for job in jobs:
        held = runs.record(job, folders)
        if held is not None and job.row is not None:
            found.setdefault(job.row.label, {})[job.seed] = held
    return found


def paired(jobs: list[Job], folders: Folders) -> list[dict[str, Any]]:
    """Differences in test accuracy, in points, between the rows of PAIRS on the same seeds."""
    found = _records(jobs, folders)
    made = []
    for one, other in PAIRS:
        both = sorted(set(found.get(one, {})) & set(found.get(other, {})))
        if both:
            gaps = [100 * (found[one][s]["test"] - found[other][s]["test"]) for s in both]
            entry = {"row": one, "against": other, "mean": statistics.mean(gaps)}
            made.append({**entry, "spread": _spread(gaps), "seeds": [round(g, 2) for g in gaps]})
    return made


def print_paired(found: Sequence[dict[str, Any]]) -> None:
    """The differences, seed by seed."""
    lines = [
        (
            f"{entry['row']} − {entry['against']}",
            f"{entry['mean']:+.2f} ± {entry['spread']:.2f}",
            ", ".join(f"{gap:+.2f}" for gap in entry["seeds"]),
        )
        for entry in found
    ]
    if lines:
        print()
        print_aligned(("points of test accuracy", "mean ± spread", "seeds"), lines)


def summarise(study: Study, jobs: list[Job], folders: Folders) -> list[dict[str, Any]]:
    """One entry a row, in the jobs' order: accuracies in percent, costs as means over seeds.

    "over": mean and spread of the difference to the first row with the same seed's network.
    """
    found = _records(jobs, folders)
    family = {job.row.label: job.row.family for job in jobs if job.row is not None}
    first = next(iter(found.values()))
    summary = []
    for label, by_seed in found.items():
        test = [100 * r["test"] for r in by_seed.values()]
        validation = [100 * r["validation"] for r in by_seed.values()]
        over = [
            100 * (by_seed[seed]["test"] - first[seed]["test"]) for seed in by_seed if seed in first
        ]
        costs = [r["costs"] for r in by_seed.values() if r.get("costs")]
        entry: dict[str, Any] = {
            "label": label,
            "family": family[label],
            "seeds": sorted(by_seed),
            "rate": next(iter(by_seed.values()))["rate"],
            "test": statistics.mean(test),
            "test_spread": _spread(test),
            "validation": statistics.mean(validation),
            "over": statistics.mean(over) if over else 0.0,
            "over_spread": _spread(over),
            "cpu_seconds": statistics.mean(r["cpu_seconds"] for r in by_seed.values()),
        }
        if costs:
            keys = ("bits", "shifts", "adds", "adds_mac", "zero", "two", "terms_most")
            entry |= {key: statistics.mean(c[key] for c in costs) for key in keys}
        summary.append(entry)
    return summary


def _cost(entry: dict[str, Any], key: str, form: str) -> str:
    return format(entry[key], form) if key in entry else "–"


def print_summary(study: Study, summary: list[dict[str, Any]], *, ablation: bool) -> None:
    """A Markdown table and what it stands for."""
    facts = machine()
    whole = "all" if study.images is None else f"the first {study.images:,}"
    print(f"`{command_line()}`; {facts['cores']} cores, {facts['processor']}\n")
    print(
        f"{study.network} on {study.name}: {whole} training images, {study.validation:,} of them "
        f"for validation; {study.tune.epochs} epochs a row "
        f"({study.tune_images or 'all other'} images each) from the same float network; "
        f"{len(study.seeds)} seeds, mean ± sample standard deviation; first and last layer "
        f"{study.ends}, activations 8 bits; bits, shifts and adds are means over the weights "
        "(adds/MAC: over the multiplications of a frame) of the layers between.\n"
    )
    against = "against DTSSQ 25%" if ablation else "against float"
    head = (
        "weights", "test %", against, "validation %", "bits", "shifts", "adds/MAC", "zero", "2+",
        "rate",
    )  # fmt: skip
    lines = []
    for entry in summary:
        bits = "32" if entry["family"] == "float" else _cost(entry, "bits", ".2f")
        lines.append(
            (
                entry["label"],
                f"{entry['test']:.2f} ± {entry['test_spread']:.2f}",
                f"{entry['over']:+.2f} ± {entry['over_spread']:.2f}",
                f"{entry['validation']:.2f}",
                bits,
                _cost(entry, "shifts", ".2f"),
                _cost(entry, "adds_mac", ".2f"),
                _cost(entry, "zero", ".0%"),
                _cost(entry, "two", ".0%"),
                f"{entry['rate']:g}",
            )
        )
    print_aligned(head, lines)
    minutes = sum(e["cpu_seconds"] * len(e["seeds"]) for e in summary) / 60
    print(f"\n{minutes:.0f} processor minutes in the runs of this table.")
