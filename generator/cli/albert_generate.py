"""``shiftforge generate`` of a text classifier: kernels, RTL and network in one folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shiftforge.errors import InputError, Problem

__all__ = ["generate_texts"]


def generate_texts(
    model: Path, board: str, output: Path, lanes: int, refused: Iterable[Problem], as_json: bool
) -> None:
    """Write the project of an integer ALBERT's file for a board and print its figures."""
    import time

    from shiftforge.boards.load import load_board
    from shiftforge.cli.generate import figure_text, is_nested
    from shiftforge.cli.output import print_json, print_table
    from shiftforge.generator.edgebert.target import albert_design
    from shiftforge.generator.project import output_folder_problems
    from shiftforge.quant.albert.network.file import load_package

    started = time.monotonic()
    problems = [*refused, *output_folder_problems(output)]
    target = package = design = None
    try:
        target = load_board(board)
    except InputError as error:
        problems += error.problems
    try:
        package = load_package(model)
    except InputError as error:
        problems += error.problems
    if package is not None and target is not None:
        try:
            design = albert_design(
                package.network,
                model.read_bytes(),
                target,
                lanes=lanes,
                tokeniser=package.tokeniser,
            )
        except InputError as error:
            problems += error.problems
    if problems or design is None:
        raise InputError(problems)
    design.write(output)
    seconds = time.monotonic() - started
    if as_json:
        print_json({**design.report, "output": output, "seconds": round(seconds, 3)})
        return
    rows = [(key, figure_text(key, value)) for key, value in design.report.items()
            if not is_nested(value)]  # fmt: skip
    stored = dict(design.report["storage_bytes"])
    rows += [(f"{part} bytes", f"{stored[key]:,.0f}") for part, key in _STORED if key in stored]
    print_table(f"{output}, generated in {seconds:.1f} s", ("figure", "value"), rows)


_STORED = (
    ("word table", "embedding_mask"),
    ("word values", "embedding_values"),
    ("layer masks", "encoder_mask"),
    ("layer weights", "encoder_values"),
    ("network", "total"),
)
