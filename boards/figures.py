"""A board's figures by the path of their field, as board files and commands name them."""

from __future__ import annotations

from dataclasses import asdict

from shiftforge.boards.types import Board

__all__ = ["board_figures", "flat"]


def board_figures(board: Board) -> dict[str, object]:
    """Every figure and text of a board but the sources, by path ("memory.size_gb"), in JSON's
    types."""
    own = asdict(board)
    del own["sources"]
    return dict(flat(own))


def flat(tree: object, path: str = "") -> list[tuple[str, object]]:
    """The leaves of nested mappings with their paths, the parts of a path joined by points."""
    if isinstance(tree, tuple):
        return [(path, list(tree))]
    if not isinstance(tree, dict):
        return [(path, tree)]
    return [
        leaf
        for key, item in tree.items()
        for leaf in flat(item, f"{path}.{key}" if path else str(key))
    ]
