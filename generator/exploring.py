"""What a target tells of the designs that a network may have on boards, whatever the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from shiftforge.boards.types import Board
from shiftforge.generator.design import Design
from shiftforge.shown import table_html

__all__ = ["Exploration", "Explores", "FrontPoint"]


@dataclass(frozen=True)
class FrontPoint:
    """A design that no other one betters in everything. All figures are modelled.

    options: of ``generate``, by name. fps: frames a second; latency_ms: of a frame, among those
    that are in flight with it. alm, ram_blocks: of the device, without the board's own logic;
    ram_planned: RAM as planned, else a lower bound. sqnr_db: of the output; None where unknown.
    cycles: from one batch of frames to the next. facts: more of the target's own.
    """

    board: str
    options: Mapping[str, int | float]
    fps: float
    latency_ms: float
    alm: int
    alm_fraction: float
    ram_blocks: int
    ram_fraction: float
    ram_planned: bool
    sqnr_db: float | None
    cycles: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def option_text(self) -> str:
        """The options as a command line has them."""
        given = (f"--{n.replace('_', '-')} {v:.12g}" for n, v in self.options.items())
        return " ".join(given)

    def command(self, model: str, output: str = "DIR") -> str:
        """The command that generates the design. model: the file, as a shell takes it."""
        return f"shiftforge generate {model} --board {self.board} {self.option_text} -o {output}"


@dataclass(frozen=True)
class Exploration:
    """points: how many distinct designs were modelled; fitting: how many of them the boards have
    room for. front: by board in their order, the fastest first."""

    points: int
    fitting: int
    front: tuple[FrontPoint, ...]

    def _repr_html_(self) -> str:
        """The front, in a notebook."""
        columns = ("board", "fps, modelled", "ALMs", "RAM blocks, at least", "options")
        rows = [
            (p.board, p.fps, f"{p.alm_fraction:.1%}", f"{p.ram_fraction:.1%}", p.option_text)
            for p in self.front
        ]
        return table_html(f"{self.points:,} designs modelled", columns, rows)


@runtime_checkable
class Explores(Protocol):
    """A target that models many designs of a network; a target need not."""

    def explore(
        self, network: Any, boards: tuple[Board, ...], options: Any, points: int
    ) -> Exploration:
        """The front over about so many points. options: limits alone. Raises InputError where no
        design is within the limits."""

    def design(self, network: Any, board: Board, point: FrontPoint) -> tuple[Design, FrontPoint]:
        """A point's design, and the point as planned. Raises InputError where it does not fit."""
