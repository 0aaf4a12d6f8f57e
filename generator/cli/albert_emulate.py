"""``shiftforge emulate`` of a text classifier: sentences on an OpenCL device."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shiftforge.cli.albert_run import (
    Job,
    announce,
    check_devices,
    on_device,
    open_job,
    outputs_only,
    reference,
    text_rows,
)
from shiftforge.errors import CheckFailed, Problem

__all__ = ["emulate_texts", "print_sentences", "right_labels"]

_SHOWN = 40


def emulate_texts(
    folder: Path,
    device: str,
    source: str,
    *,
    limit: int | None,
    threshold: float | None,
    check: bool,
    time_limit: float,
    problems: Iterable[Problem],
    as_json: bool,
) -> None:
    """Run the texts on the device, hold them against the reference and print labels.

    problems: of the command's other arguments. Raises InputError with those and everything else,
    CheckFailed where an integer differs.
    """
    from shiftforge.cli.output import print_json, print_table, progress
    from shiftforge.sim.edgebert.compare import compare_sentences

    job = open_job(folder, source, limit, threshold, [*problems, *check_devices([device])])
    announce(job, device)
    with progress() as advance:
        done = on_device(job, device, time_limit)
        advance(device, len(job.texts), len(job.texts))
        golden = reference(job, advance)
    compare = compare_sentences if check else outputs_only
    compared = [compare(a, b) for a, b in zip(done.sentences, golden, strict=True)]
    rows = text_rows(job, done.sentences)
    wrong = [(i, own) for i, own in enumerate(compared) if own.differences]
    report = {
        "device": device,
        "sentences": rows,
        "threshold": threshold,
        "checked": "every stage" if check else "output",
        "elements": sum(own.values for own in compared),
        "mismatches": sum(own.mismatches for own in compared),
        "bit_exact": not wrong,
        "accuracy": right_labels(rows),
        "skipped_heads": list(job.project.network.skipped),
        "macs": sum(row["macs"] for row in rows),
        "average_exit_layer": sum(row["exit_layer"] for row in rows) / len(rows),
        "seconds_per_sentence": done.seconds / len(rows),
        "divergence": None if not wrong else {"sentence": wrong[0][0] + 1,
                                              "what": str(wrong[0][1].differences[0])},
    }  # fmt: skip
    if as_json:
        print_json(report)
    else:
        print_sentences(job, rows)
        told = [
            ("device", device),
            ("compared", f"{report['checked']}: {report['elements']:,} integers"),
            ("mismatches", f"{report['mismatches']:,}"),
            ("average exit layer", f"{report['average_exit_layer']:.2f}"),
            ("heads not computed", ", ".join(map(str, report["skipped_heads"])) or "none"),
            ("multiply-accumulates", f"{report['macs']:,}"),
            ("seconds a sentence", f"{report['seconds_per_sentence']:.4f} (emulated, not the "
             "FPGA's)"),
        ]  # fmt: skip
        if report["accuracy"] is not None:
            told.insert(1, ("labels right", f"{report['accuracy']:.2%}"))
        print_table("", ("", str(folder)), told)
    if wrong:
        index, own = wrong[0]
        raise CheckFailed(
            f"golden and {device} first differ in sentence {index + 1}, {own.differences[0]}"
        )


def right_labels(rows: list[dict[str, Any]]) -> float | None:
    """Share of labels that are the wanted ones, where these are known."""
    if "wanted" not in rows[0]:
        return None
    right = [row["label"] == row["wanted"] for row in rows]
    return float(sum(right) / len(right))


def print_sentences(job: Job, rows: list[dict[str, Any]], extra: tuple[str, ...] = ()) -> None:
    """A table of labelled sentences. extra: further fields of the rows, whole numbers."""
    from shiftforge.cli.output import print_table

    wanted = job.texts.wanted is not None
    layers = job.project.network.layers
    columns = ("label", *(("wanted",) if wanted else ()), "probability", "margin",
               f"exit layer of {layers}", "entropy there", "tokens", *extra, "text")  # fmt: skip
    print_table(
        "",
        columns,
        [
            (
                row["label"],
                *((row["wanted"],) if wanted else ()),
                f"{row['probability']:.3f}",
                f"{row['margin']:.3f}",
                row["exit_layer"],
                f"{row['entropies'][-1]:.3f}",
                row["tokens"],
                *(f"{row[name]:,}" for name in extra),
                _short(row["text"]),
            )
            for row in rows
        ],
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
