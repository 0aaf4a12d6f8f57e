"""``shiftforge generate``: a quantised model and a board to an OpenCL project folder."""

from __future__ import annotations

from pathlib import Path

import click

from shiftforge.cli.options import json_option

__all__ = ["command", "figure_text", "is_nested"]


@click.command("generate", short_help="Generate the OpenCL project of a model for a board.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--board", required=True, metavar="NAME", help="A name from `boards`, or a .toml.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Project folder."
)
@click.option("--units", type=click.IntRange(1), help="Convolution units; the search chooses else.")
@click.option("--pixels", type=click.IntRange(1), help="Outputs a row at a time; as above.")
@click.option(
    "--target-fps",
    type=click.FloatRange(min=0, min_open=True),
    help="Modelled frames a second to reach with the fewest lanes.",
)
@click.option(
    "--lanes",
    type=int,
    default=16,
    show_default=True,
    help="A text classifier's: n of the n x n unit.",
)
@json_option
def command(
    model: Path,
    board: str,
    output: Path,
    units: int | None,
    pixels: int | None,
    target_fps: float | None,
    lanes: int,
    as_json: bool,
) -> None:
    """Generate the OpenCL project of MODEL (a .safetensors file of `quantize`) for a board.

    A text classifier's project has the EdgeBERT unit's RTL as well. Only files that changed are
    written. A folder that holds anything else is refused.
    """
    import time

    from shiftforge.boards.load import load_board
    from shiftforge.cli.albert_project import is_albert_file, refuse_options
    from shiftforge.cli.output import print_json, print_table
    from shiftforge.errors import InputError
    from shiftforge.generator.project import output_folder_problems
    from shiftforge.quant.graph.file import load_model

    if target_fps is not None and (units is not None or pixels is not None):
        raise click.UsageError("--target-fps searches the array; --units and --pixels fix it")
    if is_albert_file(model):
        from shiftforge.cli.albert_generate import generate_texts

        refused = refuse_options(["units", "pixels", "target_fps"], "is for convolutions")
        generate_texts(model, board, output, lanes, refused, as_json)
        return
    problems = output_folder_problems(output)
    problems += refuse_options(["lanes"], "is for text classifiers")
    network = target = None
    # Everything wrong with all three arguments is told at once.
    try:
        target = load_board(board)
    except InputError as error:
        problems += error.problems
    try:
        network = load_model(model)
    except InputError as error:
        problems += error.problems
    if problems or network is None or target is None:
        raise InputError(problems)

    from shiftforge.generator.conv.target import generate

    started = time.monotonic()
    design = generate(network, target, units=units, pixels=pixels, target_fps=target_fps)
    design.write(output)
    seconds = time.monotonic() - started
    report = dict(design.report)
    if as_json:
        print_json({**report, "output": output, "seconds": round(seconds, 3)})
        return
    rows = [(key, figure_text(key, value)) for key, value in report.items() if not is_nested(value)]
    print_table(f"{output}, generated in {seconds:.1f} s", ("figure", "value"), rows)


def is_nested(value: object) -> bool:
    """Whether a figure of a report is more than one value."""
    return isinstance(value, dict | list | tuple)


def figure_text(key: str, value: object) -> str:
    """A figure as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and key.endswith(("utilisation", "fraction")):
        return f"{value:.1%}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
