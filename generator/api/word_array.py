"""The array whose cycles second words are counted on, from what a caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

from shiftforge.errors import Problem, Problems

if TYPE_CHECKING:
    from shiftforge.boards.types import Board

__all__ = ["BOARD", "PIXELS", "UNITS", "array_of", "selects"]

BOARD, UNITS, PIXELS = "a10gx1150", 16, 7
"""The array where none is given."""


def selects(options: Mapping[str, Any]) -> bool:
    """Whether options of ``quantize`` choose the weights of two terms one by one."""
    return any(options.get(name) is not None for name in ("second_terms", "min_sqnr"))


def array_of(
    board: Any, units: Any, pixels: Any, wanted: bool = True
) -> tuple[Board, int, int] | None:
    """The board, units and pixels of an array; None where none is wanted.

    board: a name, a file or a ``Board``. Raises InputError with everything that is wrong with the
    array, and where one is given and not wanted.
    """
    from shiftforge.arguments import path_of
    from shiftforge.boards.load import load_board
    from shiftforge.boards.types import Board
    from shiftforge.generator.conv.options import shape_problems

    given = {"board": board, "units": units, "pixels": pixels}
    problems = Problems()
    if not wanted:
        remedy = "leave it out, or give second_terms or min_sqnr"
        for name, value in given.items():
            if value is not None:
                what = f"{name} given, and no weights of two terms are chosen for an array"
                problems.append(Problem(what, remedy, name))
        problems.stop()
        return None
    shape = []
    for name, usual in (("units", UNITS), ("pixels", PIXELS)):
        value = usual if given[name] is None else given[name]
        if isinstance(value, bool) or not isinstance(value, Integral):
            problems.append(Problem(f"{name} is {value!r:.80}", "use a whole number", name))
        else:
            shape.append(int(value))
    if len(shape) == 2:
        problems += shape_problems(*shape)
    found: Board | None = board if isinstance(board, Board) else None
    if found is None:
        path = BOARD if board is None else board
        remedy = "give a name of shiftforge boards, or a .toml file"
        if problems.check(path_of, path, "the board", remedy) is not None:
            found = problems.check(load_board, path)
    problems.stop()
    assert found is not None
    return found, shape[0], shape[1]
