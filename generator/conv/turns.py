"""How many units post takes at once for what it does rarely.

The sums of a global pool become codes once a channel group, and only the network's output leaves in
32 bits. What these need a unit (a product; a rounding of 32 bits) is there for some units alone: an
iteration takes them, then the others move up, turn by turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shiftforge.generator.conv.array import ArrayShape, Tiling, power_of_two
from shiftforge.generator.conv.depths import SHORT
from shiftforge.generator.conv.schedule import Layer
from shiftforge.generator.conv.slices import Slice, direct_columns, is_sliced
from shiftforge.generator.render import MAX_VECTOR

__all__ = ["TURN_LOSS", "Turns", "choose_turns", "post_delay", "tile_iterations"]

TURN_LOSS = 0.001
"""Share of the array's cycles that turns may add, those of pools and those of the output each."""


@dataclass(frozen=True)
class Turns:
    """pool: iterations in which a channel group's sums become codes, ``pool_units`` of all frames'
    at once. output: iterations of a pixel of the 32-bit output, ``output_units`` at once.

    units: of 1, 2, 4 or vectors of 8; those of the output a power of two, or all.
    """

    pool: int
    pool_units: int
    output: int
    output_units: int


def tile_iterations(layer: Layer, array: ArrayShape, part: Slice, turns: Turns) -> int:
    """Iterations of post for a tile of a layer."""
    if layer.direct:
        return array.frames * direct_columns(layer, array) * turns.output
    return part.count if is_sliced(layer) else 1


def post_delay(layer: Layer, array: ArrayShape, part: Slice, turns: Turns) -> int:
    """Iterations of post, after the first one, until a tile's line leaves it."""
    every = tile_iterations(layer, array, part, turns)
    return every - 1 + (turns.pool if layer.pool is not None else 0)


def choose_turns(
    layers: Sequence[Layer], tilings: Sequence[Tiling], iterations: Sequence[int],
    array: ArrayShape, part: Slice, folded: bool,
) -> Turns:  # fmt: skip
    """The fewest units at once that add no more than ``TURN_LOSS`` to all layers' cycles.

    iterations: of the array, of each layer. folded: biases hold half of the last place; else sums
    of the output are rounded with what a channel has of its own, and all units leave at once.
    """
    room = TURN_LOSS * sum(iterations)
    own = list(zip(layers, tilings, iterations, strict=True))
    pools = [(tiling, busy) for layer, tiling, busy in own if layer.pool is not None]
    outputs = [(tiling.out_groups * tiling.tiles * array.frames * direct_columns(layer, array),
                busy) for layer, tiling, busy in own if layer.direct]  # fmt: skip
    units, sums = array.units, array.frames * array.units

    def pooled(at_once: int) -> int:
        turns = sums // at_once
        return sum(_pool_loss(tiling, busy, part.count, turns) for tiling, busy in pools)

    def left(at_once: int) -> int:
        turns = units // at_once
        return sum(max(0, pixels * turns - busy) + turns for pixels, busy in outputs)

    pool = next(n for n in _sizes(sums) if pooled(n) - pooled(sums) <= room)
    output = units
    if folded:
        # A store is a power of two.
        stores = [n for n in _sizes(units) if n == power_of_two(n) or n == units]
        output = next(n for n in stores if left(n) - left(units) <= room)
    return Turns(sums // pool, pool, units // output, output)


def _pool_loss(tiling: Tiling, busy: int, count: int, turns: int) -> int:
    """Iterations that a pool's layer takes more than the array's. While sums turn, tiles come on,
    and a channel holds some."""
    groups, tiles = tiling.out_groups, tiling.tiles
    over = groups * (tiles * count + turns) - busy
    waits = groups * (turns - SHORT * (busy // (groups * tiles)))
    return max(0, over, waits) + turns


def _sizes(units: int) -> Iterator[int]:
    """Units at once that so many, a multiple of a vector, divide by: parts of a vector and vectors,
    the fewest first."""
    for n in range(1, units + 1):
        if units % n == 0 and (MAX_VECTOR % n == 0 or n % MAX_VECTOR == 0):
            yield n
