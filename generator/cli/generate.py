"""``shiftforge generate``: a quantised model and a board to a project folder, for any target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from shiftforge.cli.dynamic import DynamicCommand
from shiftforge.cli.options import json_option, overwrite_option
from shiftforge.errors import Problem

__all__ = ["command", "figure_text"]


def _places(model: Path, output: Path, **values: Any) -> list[Problem]:
    from shiftforge.cli.dynamic import foreign_options, target_options
    from shiftforge.errors import Problems
    from shiftforge.generator.design import check_folder
    from shiftforge.generator.target import target_of_file

    problems = Problems()
    problems.check(check_folder, output)
    target = problems.check(target_of_file, model) if model.is_file() else None
    if target is not None:
        problems += foreign_options(target.kind, target_options)
    return problems


@click.command(
    "generate",
    cls=DynamicCommand,
    places=_places,
    short_help="Generate the OpenCL project of a model for a board.",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, metavar="NAME", help="A name from `boards`, or a .toml.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Project folder."
)
@overwrite_option
@json_option
def command(
    model: Path, board: str, output: Path, overwrite: bool, as_json: bool, **values: Any
) -> None:
    """Generate the OpenCL project of MODEL (a .safetensors file of `quantize`) for a board.

    A text classifier's project has the EdgeBERT unit's RTL as well. Only files that changed are
    written. A folder that holds anything else is refused, and so are files that were edited since
    they were generated. Interrupted, the same command finishes the folder.
    """
    import time

    from shiftforge.boards.load import load_board
    from shiftforge.cli.dynamic import chosen_options, foreign_options, target_options
    from shiftforge.cli.output import note, print_json, print_table
    from shiftforge.cli.why import print_why, with_commands
    from shiftforge.errors import Problems
    from shiftforge.generator.design import check_folder
    from shiftforge.generator.kept_design import kept_build
    from shiftforge.generator.target import target_of_file

    started = time.monotonic()
    problems = Problems()
    # Everything wrong with all arguments is told at once.
    problems.check(check_folder, output)
    target = problems.check(target_of_file, model)
    wanted = problems.check(load_board, board)
    network = options = None
    if target is not None:
        problems += foreign_options(target.kind, target_options)
        network = problems.check(target.load, model)
        options = chosen_options(target.options, values)
    problems.stop()
    assert target is not None and wanted is not None
    note(f"planning {model} for {wanted.name}")
    design = kept_build(target, model, network, wanted, options)
    design.write(output, overwrite=overwrite)
    seconds = time.monotonic() - started
    report = dict(design.report)
    if "why" in report:
        report["why"] = with_commands(report["why"], model, board)
    if as_json:
        print_json({**report, "output": output, "seconds": round(seconds, 3)})
        return
    print_table(f"{output}, generated in {seconds:.1f} s", ("figure", "value"), list(_rows(report)))
    if items := report.get("area"):
        rows = [[i["name"], *(f"{i[k]:,}" for k in ("alm", "ram_blocks", "dsp")),
                 i["source"].split(":")[0].split(" (")[0]] for i in items]  # fmt: skip
        columns = ["item", "ALMs", "RAM blocks", "DSP blocks", "from"]
        print_table("area by item, modelled, without the board's own logic", columns, rows)
    others = report.get("alternatives") or []
    if others:
        columns = [key.replace("_", " ") for key in others[0]]
        rows = [[figure_text(k, "" if v is None else v) for k, v in o.items()] for o in others]
        print_table("alternatives on the same lanes, all modelled", columns, rows)
    if "why" in report:
        print_why(report["why"])


def _rows(report: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Figures as a table shows them; those of a group that are numbers follow with its name."""
    found = []
    for key, value in report.items():
        if isinstance(value, dict):
            numbers = {k: v for k, v in value.items() if isinstance(v, int | float)}
            found += _rows(numbers, f"{key} ")
        elif not isinstance(value, list | tuple):
            found.append((f"{prefix}{key}", figure_text(key, value)))
    return found


def figure_text(key: str, value: object) -> str:
    """A figure as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and key.endswith(("utilisation", "fraction")):
        return f"{value:.1%}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
