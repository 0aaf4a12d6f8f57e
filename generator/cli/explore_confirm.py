"""Clocked runs of designs of an exploration: the counted cycles beside the modelled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError

if TYPE_CHECKING:
    from shiftforge.boards.types import Board
    from shiftforge.generator.exploring import Explores, FrontPoint

__all__ = ["Confirmed", "best_of", "confirm"]


@dataclass(frozen=True)
class Confirmed:
    """A point of the front, by its number, planned and run. cycles: counted; ratio: counted over
    modelled cycles. refused: why it was not run, in words; then the others are None."""

    number: int
    point: FrontPoint
    cycles: int | None
    ratio: float | None
    refused: str = ""


def best_of(front: Sequence[FrontPoint], count: int) -> list[int]:
    """Numbers of so many points of the front, spread evenly: of those that no other one of the
    front betters in rate and share of the ALMs together, from the fastest to the smallest."""
    order = sorted(range(len(front)), key=lambda k: (-front[k].fps, front[k].alm_fraction))
    best, least = [], float("inf")
    for k in order:
        if front[k].alm_fraction < least:
            best.append(k)
            least = front[k].alm_fraction
    rest = [k for k in order if k not in best]
    chosen = _spread(best, count)
    return sorted(chosen + rest[: count - len(chosen)], key=lambda k: order.index(k))


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    if len(numbers) <= count:
        return list(numbers)
    step = (len(numbers) - 1) / (count - 1)
    return [numbers[round(k * step)] for k in range(count)]


def confirm(
    target: Explores, network: Any, boards: Sequence[Board], front: Sequence[FrontPoint],
    numbers: Sequence[int], device: str, time_limit_s: float,
    advance: Callable[[str, int, int], None],
) -> Iterator[Confirmed]:  # fmt: skip
    """Plan and run points of the front. Raises what a clocked run raises."""
    from shiftforge.scratch import work_folder
    from shiftforge.sim.conv.clocked.confirm import count_cycles

    named = {board.name: board for board in boards}
    for done, number in enumerate(numbers):
        advance("clocked runs", done, len(numbers))
        point = front[number]
        try:
            design, planned = target.design(network, named[point.board], point)
        except InputError as error:
            yield Confirmed(number, point, None, None, str(error.problems[0].what))
            continue
        with work_folder("explore") as folder:
            design.write(folder / "design")
            found = count_cycles(folder / "design", device, time_limit_s=time_limit_s)
        yield Confirmed(number, planned, found.cycles, found.cycles / planned.cycles)
    advance("clocked runs", len(numbers), len(numbers))
