"""Tables of 256 entries in post: functions of a code, looked up by the byte that holds it.

They are memories that the compiler initialises, as many copies as there are codes looked up at
once, and nothing loads them at run time. Tables with the same entries are one.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftforge.quant.graph.types import Grid, Table

__all__ = ["ENTRIES", "table_bytes", "table_number"]

ENTRIES = 256
"""Of a table: one for each value of a byte, also where codes have fewer bits."""


def table_bytes(table: Table, grid: Grid) -> tuple[int, ...]:
    """The bytes of a table's codes, by the byte of a code of the grid that it reads; 0 for bytes
    that are no code."""
    found = [0] * ENTRIES
    for n, code in enumerate(table.codes):
        found[(grid.qmin + n) % ENTRIES] = code % ENTRIES
    return tuple(found)


def table_number(table: Table | None, grid: Grid, tables: Sequence[tuple[int, ...]]) -> int:
    """Of a table that reads codes of a grid, among all of a network, from 1; 0 for none."""
    return 0 if table is None else 1 + tables.index(table_bytes(table, grid))
