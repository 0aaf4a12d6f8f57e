"""Options of ``quantize`` that choose the weights of two terms, and what it prints of a choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shiftforge.cli.command import FiniteRange
from shiftforge.cli.source_options import Numbers

if TYPE_CHECKING:
    from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["choice_options", "print_choice"]

F = TypeVar("F", bound=Callable[..., Any])


def choice_options(command: F) -> F:
    """``--second-terms``, ``--min-sqnr``, ``--board``, ``--units`` and ``--pixels``."""
    for option in reversed(
        (
            click.option(
                "--second-terms",
                type=Numbers("shares between commas"),
                metavar="F[,F...]",
                help="Weights of two terms that add at most this share of array cycles, 0 to 1.",
            ),
            click.option(
                "--min-sqnr",
                type=FiniteRange(min=0, min_open=True),
                metavar="DB",
                help="As few of them as reach this ratio of the logits, on frames held out.",
            ),
            click.option(
                "--board",
                metavar="NAME",
                help="Of the array that --second-terms and --min-sqnr count on (a10gx1150).",
            ),
            click.option(
                "--units", type=int, metavar="N", help="Of that array: 8, 16, 24, 32, 48 (16)."
            ),
            click.option("--pixels", type=int, metavar="N", help="Of that array: 1 to 16 (7)."),
        )
    ):
        command = option(command)
    return command


def print_choice(model: QuantizedModel) -> None:
    """Shares and SQNRs of a model whose weights of two terms were chosen; nothing of others."""
    from shiftforge.cli.output import print_table

    told = model.meta.get("second_terms")
    if told is None:
        return
    array, base = told["array"], told["one_term_cycles"]
    where = ""
    if (frames := told.get("measured_on")) is not None:  # a trained network's record has none
        kind = "held out" if frames["held_out"] else "of calibration"
        where = f"; SQNR on {frames['images']} frames {kind}"
    print_table(
        f"Second words on {array['board']}, {array['units']} units x {array['pixels']} pixels: "
        f"{base:,} array cycles a frame without any{where}",
        ("asked", "f", "array cycles added", "logit SQNR", ""),
        [
            (
                f"{own['asked']:.3f}",
                f"{own['f']:.4f}",
                f"{own['second_term_cycles']:,}",
                f"{own['sqnr_db']:.2f} dB",
                "active" if own["f"] == told["f"] else "",
            )
            for own in told["choices"]
        ],
    )
    kept = {own["asked"] for own in told["choices"]}
    same = [f"{share:g}" for share in told["asked"] if share not in kept]
    if same:
        click.echo(
            f"no weights of their own for {', '.join(same)}: no second word more gains than in the "
            "next share"
        )
