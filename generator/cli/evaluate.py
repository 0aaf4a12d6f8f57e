"""``shiftforge evaluate``: accuracy of a project on labelled samples, from float to a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.options import (
    RunCommand,
    checkpoint_problems,
    edited_option,
    json_option,
    output_file_problems,
    project_problems,
    time_limit_option,
)
from shiftforge.errors import CheckFailed, Problem

if TYPE_CHECKING:
    from shiftforge.sim.accuracy import Evaluation

__all__ = ["command"]


def _early(plot: Path | None, logits: Path | None, **values: Any) -> list[Problem]:
    from shiftforge.cli.confusion_plot import is_confusion
    from shiftforge.cli.plots import plot_problems

    found = checkpoint_problems(values.get("at") or ())
    if plot is not None:
        found += [*output_file_problems(plot, ".png", is_confusion), *plot_problems()]
    if logits is not None:
        found += output_file_problems(logits, ".npz", _is_logits)
    return found


def _is_logits(path: Path) -> bool:
    from shiftforge.cli.logits_file import is_logits

    return is_logits(path)


@click.command(
    "evaluate",
    cls=RunCommand,
    early=_early,
    places=project_problems,
    short_help="Accuracy on your own labelled samples, from float to a device.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--data", "spec", required=True, metavar="TREE", help="Labelled samples: see below.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N samples.")
@click.option(
    "--at",
    multiple=True,
    metavar="CHECKPOINT",
    help="Several times: float, golden, a device, rtl. By default float, golden and the first "
    "usable device.",
)
@click.option(
    "--with-calibration",
    "calibrated",
    is_flag=True,
    help="Count the pictures that calibrated the network, too.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Of the confusion matrix."
)
@click.option(
    "--save-logits",
    "logits",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Logits at every checkpoint, labels and names.",
)
@time_limit_option()
@edited_option
@json_option
def command(
    folder: Path,
    spec: str,
    limit: int | None,
    at: tuple[str, ...],
    calibrated: bool,
    plot: Path | None,
    logits: Path | None,
    time_limit: float,
    edited: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Top-1, top-5 and a table by class of the project in DIR, on labelled samples.

    TREE is a folder of class folders of pictures, a .csv of path,class, or fashion-mnist:test; for
    a text classifier a .tsv with the columns text and label, or held-out texts such as
    bbc:held-out:60. A class is one of the network's labels, or its number. Pictures that
    calibrated the network are left out, as far as it knows them.

    Integers are held against the reference: exit code 1 when any differs. A text classifier's
    float network needs --classifier.
    """
    from shiftforge.cli.dynamic import chosen_options, runner_options
    from shiftforge.cli.output import note, print_json, progress
    from shiftforge.evaluating import evaluate

    options = {
        name: value
        for _, kind in runner_options().values()
        for name, value in vars(chosen_options(kind, values)).items()
        if name in values and value is not None
    }
    with progress() as advance:
        found = evaluate(
            folder, spec, at=at or None, limit=limit, calibrated=calibrated,
            time_limit_s=time_limit, progress=advance, edited=edited, **options,
        )  # fmt: skip
    for text in found.notes:
        note(f"note: {text}")
    if plot is not None:
        from shiftforge.cli.confusion_plot import plot_confusion

        plot_confusion(plot, found)
    if logits is not None:
        from shiftforge.cli.logits_file import save_logits

        save_logits(logits, found)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, folder)
    if not found.bit_exact:
        wrong = [f"{n:,} at {name}" for name, n in found.mismatches.items() if n]
        raise CheckFailed(f"integers differ from the reference: {', '.join(wrong)}")


def _print(found: Evaluation, folder: Path) -> None:
    from shiftforge.cli.output import print_table

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    accuracies = found.accuracies
    exits = bool(found.exits)
    rows = [
        (
            at, share(own.top1), share(own.top5), found.mismatches.get(at, ""),
            *((f"{found.exits[at].mean():.2f}",) if at in found.exits else ("",) * exits),
        )
        for at, own in accuracies.items()
    ]  # fmt: skip
    columns = ("checkpoint", "top-1", "top-5", "mismatches")
    title = f"{folder}: {len(found.labels):,} samples"
    print_table(title, (*columns, *(("mean exit layer",) if exits else ())), rows)
    last = list(accuracies)[-1]
    by_class = [
        (row.name, f"{row.count:,}", share(row.recall), share(row.precision))
        for row in accuracies[last].by_class
        if row.count
    ]
    print_table(f"by class, {last}", ("class", "samples", "found", "right when told"), by_class)
    if exits:
        layers = sorted({int(n) for own in found.exits.values() for n in own})
        table = [(n, *(int((own == n).sum()) for own in found.exits.values())) for n in layers]
        print_table("texts by the layer they leave at", ("layer", *found.exits), table)
