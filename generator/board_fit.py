"""A design's modelled use of a device, held against a board once for every target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt

from shiftforge.boards.types import Board
from shiftforge.errors import Problem

__all__ = ["Estimate", "BoardFacts", "Use", "board_facts", "device_uses", "fit_problems",
           "use_rows"]  # fmt: skip


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


@dataclass(frozen=True)
class BoardFacts:
    """What a reader of a design must know of the board that it was made for; see ``Board``."""

    title: str
    family: str
    device: str
    alm: Annotated[int, Ge(1)]
    dsp: Annotated[int, Ge(0)]
    ram_blocks: Annotated[int, Ge(1)]
    ram_block_kind: str
    memory: str
    bandwidth_gb_s: Annotated[float, Gt(0)]
    assumptions: tuple[str, ...]


def board_facts(board: Board) -> BoardFacts:
    """Of a board."""
    return BoardFacts(
        title=board.title,
        family=board.family,
        device=board.device,
        alm=board.alm,
        dsp=board.dsp,
        ram_blocks=board.ram_blocks,
        ram_block_kind=board.ram_block_kind,
        memory=board.memory.kind,
        bandwidth_gb_s=board.memory.bandwidth_gb_s,
        assumptions=board.assumptions,
    )


def use_rows(uses: Iterable[Use], device: BoardFacts) -> list[dict[str, Any]]:
    """What a design takes against the whole device, for JSON. share: of all that it has."""
    whole = {"ALMs": device.alm, "DSP blocks": device.dsp, "RAM blocks": device.ram_blocks}
    return [
        {
            "name": use.name,
            "amount": use.amount,
            "free": use.free,
            "device": whole[use.name],
            "share": use.amount / whole[use.name] if whole[use.name] else 0.0,
        }
        for use in uses
    ]
