"""A design's modelled use of a device, held against a board once for every target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shiftforge.boards.types import Board
from shiftforge.errors import Problem

__all__ = ["Estimate", "Use", "device_uses", "fit_problems"]


@dataclass(frozen=True)
class Use:
    """One resource. amount: what is needed (modelled); free: what can be planned with.

    name: in words, such as "ALMs". remedy: what lowers it. note: what it consists of.
    """

    name: str
    amount: int
    free: int
    remedy: str
    note: str = ""


@dataclass(frozen=True)
class Estimate:
    """Every resource that a design takes on a board."""

    board: Board
    uses: tuple[Use, ...]


def fit_problems(estimate: Estimate) -> list[Problem]:
    """A problem for each resource of which the board has not enough."""
    return [
        Problem(
            f"needs {use.amount:,} {use.name} (modelled); {use.free:,} can be planned with"
            + (f" ({use.note})" if use.note else ""),
            use.remedy,
            estimate.board.name,
        )
        for use in estimate.uses
        if use.amount > use.free
    ]


def device_uses(
    board: Board, alm: int, dsp: int, ram_blocks: int, remedies: Iterable[str], note: str = ""
) -> tuple[Use, ...]:
    """ALMs, DSP blocks and RAM blocks. remedies: for each of the three; note: of the memory."""
    less_alm, less_dsp, less_ram = remedies
    return (
        Use("ALMs", alm, int(board.alm * board.limits.alm), less_alm),
        Use("DSP blocks", dsp, board.dsp, less_dsp),
        Use("RAM blocks", ram_blocks, int(board.ram_blocks * board.limits.ram), less_ram, note),
    )
