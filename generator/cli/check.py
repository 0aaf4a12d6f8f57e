"""``shiftforge check``: in seconds, before any calibration, what of a network maps where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.dynamic import DynamicCommand
from shiftforge.cli.options import json_option
from shiftforge.cli.source_options import OVERRIDES, given_options, source_options
from shiftforge.errors import Problem

if TYPE_CHECKING:
    from shiftforge.generator.checking import CheckReport

__all__ = ["command"]

_FORMAT = ("scheme", "bits", "terms", "first_last")


def _early(source: str, **values: Any) -> list[Problem]:
    from shiftforge.cli.options import refuse_options
    from shiftforge.cli.text_source import is_text_source
    from shiftforge.errors import Problems
    from shiftforge.generator.target import options_from
    from shiftforge.quant.capture.overrides import Overrides
    from shiftforge.quant.quantisation import Quantisation

    problems = Problems()
    if is_text_source(source):
        return problems + refuse_options((*OVERRIDES, *_FORMAT), "is for images")
    problems.check(Overrides.of, given_options(values, OVERRIDES))
    problems.check(options_from, Quantisation, given_options(values, _FORMAT))
    return problems


@click.command(
    "check",
    cls=DynamicCommand,
    early=_early,
    short_help="Say in seconds what of a network maps where, and what does not.",
)
@click.argument("source")
@click.option("--board", metavar="NAME", help="Plan on it too: a name from `boards`, or a .toml.")
@click.option(
    "--scheme",
    type=click.Choice(["shift", "int"]),
    default="shift",
    show_default=True,
    help="Of the weights, as `quantize` has it.",
)
@click.option("--bits", type=int, help="As `quantize` has it.")
@click.option("--terms", type=int, help="As `quantize` has it: 1 or 2 (2).")
@click.option(
    "--first-last",
    type=click.Choice(["wide", "same"]),
    help="As `quantize` has it: wide, but same with --terms 1.",
)
@source_options
@json_option
def command(source: str, board: str | None, as_json: bool, **values: Any) -> int:
    """Check SOURCE (as `quantize` takes it) before any calibration.

    The table has every node with its module path and where it runs: a mode of the convolution unit
    (pointwise, depthwise, standard), the classifier, or a residual addition or pool in the pass of
    a convolution; batch norm, activations, padding and dropout are folded already. What does not
    map is listed with the reason and a remedy, and the exit code is 2. With --board the array is
    planned as `generate` would; its figures are modelled. Of a text classifier the sizes are
    checked against the unit.
    """
    from shiftforge.checking import check
    from shiftforge.cli.dynamic import chosen_options, foreign_options, target_options
    from shiftforge.cli.output import note, print_json, print_problems
    from shiftforge.cli.text_source import is_text_source
    from shiftforge.errors import Problems
    from shiftforge.generator.target import target_of

    texts = is_text_source(source)
    kind = "edgebert" if texts else "conv"
    problems = Problems(foreign_options(kind, target_options))
    problems.stop()
    chosen = vars(chosen_options(target_of(kind).options, values))
    own = {} if texts else given_options(values, (*OVERRIDES, *_FORMAT))
    options = {name: value for name, value in chosen.items() if value is not None}
    report = check(source, board, say=note, **options, **own)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)
    if not report.maps:
        print_problems(report.problems, as_json=False)
        return 2
    return 0


def _print(report: CheckReport) -> None:
    from shiftforge.cli.generate import figure_text
    from shiftforge.cli.output import note, print_table

    whole = "all of it maps" if report.maps else f"{len(report.problems)} problems"
    print_table(
        f"{report.network}: {whole}",
        ("node", "module", "operator", "shape", "maps to", ""),
        [
            (
                row.node,
                row.source,
                row.operator,
                "x".join(map(str, row.shape)),
                row.maps or ("NOTHING" if row.problems else "-"),
                row.detail or "; ".join(problem.what for problem in row.problems),
            )
            for row in report.rows
        ],
    )
    kinds = report.kinds()
    if kinds:
        print_table(
            "By operator (docs/OPERATORS.md)",
            ("operator", "nodes", "that map"),
            [(kind, str(count), str(mapped)) for kind, count, mapped in kinds],
        )
    if report.figures:
        rows = [(name, figure_text(name, value)) for name, value in report.figures.items()]
        print_table(f"On {report.board}, all modelled", ("figure", "value"), rows)
    for text in report.notes:
        note(f"note: {text}")
