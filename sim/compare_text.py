"""Comparisons as text for people: a sentence for a divergence, a table for the layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from shiftforge.sim.compare import Divergence, LayerComparison

__all__ = ["comparison_table", "divergence_text"]


def divergence_text(found: Divergence | None, a: str, b: str) -> str:
    """Return one sentence on what ``first_divergence`` found between the checkpoints a and b."""
    if found is None:
        return f"{a} and {b} agree in every element compared"
    return (
        f"{a} and {b} first differ in {found.layer}: frame {found.frame}, "
        f"channel {found.channel}, row {found.row}, column {found.column}: "
        f"{a} has {found.value_a}, {b} has {found.value_b} "
        f"({found.differing:,} of {found.total:,} elements of this tensor differ)"
    )


def comparison_table(layers: Sequence[LayerComparison], a: str, b: str) -> Table:
    """Return a table with one row a tensor; print it with a ``rich`` console."""
    table = Table(title=escape(f"{a} against {b}"))
    table.add_column("tensor")
    table.add_column("node")
    table.add_column("source")
    for heading in ("elements", "mismatches", "max |diff|", "SQNR dB"):
        table.add_column(heading, justify="right")
    for layer in layers:
        sqnr = f"{layer.sqnr_db:.1f}" if math.isfinite(layer.sqnr_db) else str(layer.sqnr_db)
        table.add_row(
            escape(layer.tensor),
            escape(layer.node),
            escape(layer.source),
            f"{layer.total:,}",
            f"{layer.mismatches:,}",
            f"{layer.max_abs_diff:.6g}",
            sqnr,
            style="" if layer.exact else "yellow",
        )
    return table
