"""What ``train albert`` prints of the classifiers it made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftforge.cli.output import print_json, print_table

__all__ = ["print_notes", "print_summary"]


def print_notes(output: Path, notes: Mapping[str, Any], as_json: bool) -> None:
    """The accuracies of one classifier, and what a compression took away.

    output: its folder. notes: those of its classifier.json, with accuracies as shares, 0 to 1.
    """
    if as_json:
        print_json({"output": output, **notes})
        return
    validation = notes.get("validation") or [None] * len(notes["accuracy"])
    print_table(
        f"{notes['corpus']}, fold {notes['fold']}, saved as {output}",
        ("off-ramp", "validation", "held out"),
        [
            (index, "-" if own is None else f"{own:.2%}", f"{held:.2%}")
            for index, (own, held) in enumerate(
                zip(validation, notes["accuracy"], strict=True), start=1
            )
        ],
    )
    rows = [("TF-IDF and a linear classifier, held out", f"{notes['tfidf']:.2%}")]
    for name in ("heads_off", "average_reach", "zeros", "sparsity"):
        if notes.get(name) is not None:
            rows.append((name.replace("_", " "), _text(notes[name])))
    print_table("", ("", ""), rows)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_summary(output: Path, found: Mapping[str, Any]) -> None:
    """The means over the folds, with their intervals.

    found: as ``quant.albert.training.run.train_folds`` returns it.
    """

    def row(name: str, own: Mapping[str, Any]) -> tuple[str, str, str]:
        low, high = own["interval"] or (None, None)
        return (
            name,
            f"{own['mean']:.2%}",
            "-" if low is None else f"{low:.2%} to {high:.2%}",
        )

    rows = [row(f"off-ramp {i}", own) for i, own in enumerate(found["accuracy"], start=1)]
    rows.append(row("TF-IDF and a linear classifier", found["tfidf"]))
    print_table(
        f"{found['corpus']}, {len(found['folds'])} folds, saved as {output}",
        ("held out", "mean", "95 % interval (Student's t over the folds)"),
        rows,
    )
