"""``shiftforge cosim DIR``: a text classifier's sentences on the RTL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.cli.albert_run import (
    announce,
    check_devices,
    on_device,
    on_rtl,
    open_job,
    reference,
    text_rows,
)
from shiftforge.errors import CheckFailed, InputError, Problem

if TYPE_CHECKING:
    from shiftforge.sim.edgebert.compare import Comparison
    from shiftforge.sim.edgebert.sentence_rtl import RtlSentence

__all__ = ["cosim_texts"]

RTL = "rtl"


def cosim_texts(
    folder: Path,
    source: str | None,
    limit: int | None,
    threshold: float | None,
    devices: Sequence[str],
    time_limit: float,
    refused: Iterable[Problem],
    as_json: bool,
) -> None:
    """Run the texts on the RTL and on devices, and hold every stage against the reference."""
    from shiftforge.cli.albert_emulate import print_sentences, right_labels
    from shiftforge.cli.output import print_json, print_table, progress
    from shiftforge.sim.edgebert.compare import compare_sentences
    from shiftforge.sim.rtl.verilator import verilator_root

    problems = [*refused, *check_devices(devices)]
    if source is None:
        problems.append(Problem("no texts to run", "give --input, such as random:0", "--input"))
    try:
        verilator_root()
    except InputError as error:
        problems += error.problems
    # The input's own problem is told above.
    job = open_job(folder, source or "random:0", limit, threshold, problems)
    lanes = job.project.config.lanes
    announce(job, f"the RTL, n = {lanes}")
    compared: dict[str, list[Comparison]] = {}
    with progress() as advance:
        golden = reference(job, advance)
        for device in dict.fromkeys(devices):
            done = on_device(job, device, time_limit)
            advance(device, len(golden), len(golden))
            pairs = zip(done.sentences, golden, strict=True)
            compared[device] = [compare_sentences(a, b) for a, b in pairs]
        runs = on_rtl(job, advance)
    pairs = zip((run.sentence for run in runs), golden, strict=True)
    compared[RTL] = [compare_sentences(a, b) for a, b in pairs]
    rows = text_rows(job, (run.sentence for run in runs))
    for row, run in zip(rows, runs, strict=True):
        row |= {"cycles": run.cycles, "ideal_cycles": run.ideal_cycles}
    cycles, ideal = (sum(row[name] for row in rows) for name in ("cycles", "ideal_cycles"))
    seconds = sum(run.seconds for run in runs)
    wrong = _first(compared)
    report: dict[str, Any] = {
        "n": lanes,
        "weights": job.project.network.weights,
        "threshold": threshold,
        "sentences": rows,
        "compared": list(compared),
        "elements": sum(c.values for own in compared.values() for c in own),
        "mismatches": {name: sum(c.mismatches for c in own) for name, own in compared.items()},
        "bit_exact": not wrong,
        "accuracy": right_labels(rows),
        "skipped_heads": list(job.project.network.skipped),
        "macs": sum(row["macs"] for row in rows),
        "average_exit_layer": sum(row["exit_layer"] for row in rows) / len(rows),
        "cycles": cycles,
        "ideal_cycles": ideal,
        "utilisation": ideal / cycles,
        "cycles_per_second": cycles / seconds if seconds else None,
        "commands": _commands(runs),
        "divergence": wrong or None,
    }
    if as_json:
        print_json(report)
    else:
        print_sentences(job, rows, ("cycles", "ideal_cycles"))
        print_table("", ("", str(folder)), _summary(report))
        print_table(
            "Commands of all sentences",
            ("command", "runs", "cycles", "array busy"),
            [
                (own["name"], own["runs"], f"{own['cycles']:,}", f"{own['busy']:,}")
                for own in report["commands"]
            ],
        )
    if wrong:
        raise CheckFailed(wrong)


def _first(compared: dict[str, list[Comparison]]) -> str:
    """The first difference of each that has one."""
    found = []
    for name, own in compared.items():
        for index, comparison in enumerate(own, 1):
            if comparison.differences:
                where = f"sentence {index}, {comparison.differences[0]}"
                found.append(f"golden and {name} first differ in {where}")
                break
    return "\n".join(found)


def _commands(runs: Sequence[RtlSentence]) -> list[dict[str, Any]]:
    """Cycles by kind of command, in the order of the program; heads together."""
    totals: dict[str, dict[str, Any]] = {}
    for run in runs:
        for command in run.commands:
            name = command.name.split(" ")[0]
            own = totals.setdefault(name, {"name": name, "runs": 0, "cycles": 0, "busy": 0})
            own["runs"] += 1
            own["cycles"] += command.end - command.start
            own["busy"] += command.busy
    return list(totals.values())


def _summary(report: dict[str, Any]) -> list[tuple[str, str]]:
    rate = report["cycles_per_second"]
    rows = [
        ("compared with golden", ", ".join(report["compared"])),
        ("integers", f"{report['elements']:,}"),
        ("mismatches", ", ".join(f"{k} {v:,}" for k, v in report["mismatches"].items())),
        ("average exit layer", f"{report['average_exit_layer']:.2f}"),
        ("heads not computed", ", ".join(map(str, report["skipped_heads"])) or "none"),
        ("multiply-accumulates", f"{report['macs']:,}"),
        ("cycles", f"{report['cycles']:,}"),
        ("ideal_cycles", f"{report['ideal_cycles']:,} (products of the commands that ran)"),
        ("utilisation", f"{report['utilisation']:.1%}"),
    ]
    if rate is not None:
        rows.append(("cycles_per_second", f"{rate:,.0f} (simulated)"))
    if report["accuracy"] is not None:
        rows.insert(3, ("labels right", f"{report['accuracy']:.2%}"))
    return rows
