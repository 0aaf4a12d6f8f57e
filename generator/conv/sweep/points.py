"""Points of a design space, modelled: arrays of one value a point.

A point is an array (units, pixels, frames), weights of one share of second words, and depths of the
channels that run ahead. Cycles are those of the exact plan. Maps are not placed: RAM counts the
feature-map memory by its lower bound, the largest sum of maps alive at once, and says so. With less
of it layers run in strips, whose cycles are estimated by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.boards.types import Board
from shiftforge.generator.board_fit import device_uses
from shiftforge.generator.conv.array import ArrayShape
from shiftforge.generator.conv.depths import DEFAULT_DEPTHS, DEPTHS, Depths
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.options import PIXELS, UNITS
from shiftforge.generator.conv.plan import array_for
from shiftforge.generator.conv.sweep.rows import Row
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.graph.variants import own_share, shares, with_variant

__all__ = [
    "F_DIGITS", "Choice", "Points", "Space", "choices_of", "depth_columns", "option_text",
    "point_options", "point_text",
]  # fmt: skip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Choice:
    """Weights of a model. share: of second words, as the file has it, 0 where it says nothing.
    sqnr_db: of the output on calibration images; None where unknown."""

    network: Network
    share: float
    sqnr_db: float | None


def choices_of(model: QuantizedModel) -> tuple[Choice, ...]:
    """Every choice of weights that a model holds; the active one first."""
    own = own_share(model)
    if own is None:
        return (Choice(network_of(model), 0.0, None),)
    found = [Choice(network_of(model), own.second_terms, own.sqnr_db)]
    for share in shares(model):
        if share != own.second_terms:
            chosen = with_variant(model, share)
            told = own_share(chosen)
            sqnr = None if told is None else told.sqnr_db
            found.append(Choice(network_of(chosen), share, sqnr))
    return tuple(found)


F_DIGITS = 3
"""Of a share of second words as a user gives it."""


def point_options(
    points: Points, point: int, several: bool | None = None
) -> dict[str, int | float]:
    """The options of ``generate`` that give a point's design, by name.

    several: whether the file holds several choices of weights; None where the points are of all.
    """
    row, depths = points.rows[int(points.row[point])], points.depth(point)
    found: dict[str, int | float] = {"units": row.array.units, "pixels": row.array.pixels}
    if row.array.frames > 1:
        found["frames"] = row.array.frames
    if len(points.choices) > 1 if several is None else several:
        # The least that is not below f: the choice's own words on this array.
        found["second_terms"] = round(row.f, F_DIGITS)
    if row.strips is not None:
        found["map_bytes"] = int(points.map_bytes[point])
        found["max_ram"] = int(points.ram_blocks[point])
    usual = asdict(DEFAULT_DEPTHS)
    changed = {n: depth for n, depth in asdict(depths).items() if depth != usual[n]}
    return found | {f"{name}_depth": depth for name, depth in changed.items()}


def option_text(options: Mapping[str, int | float]) -> str:
    """Options as a command line has them."""
    return " ".join(f"--{n.replace('_', '-')} {value:.12g}" for n, value in options.items())


def point_text(points: Points, point: int) -> str:
    """A point's options and figures in words."""
    figures = f"{points.fps[point]:,.0f} fps, {points.alm[point]:,} ALMs"
    ram = f"at least {points.ram_blocks[point]:,} RAM blocks"
    return f"{option_text(point_options(points, point))} ({figures}, {ram})"


def depth_columns(most: int) -> tuple[Depths, ...]:
    """The default depths and so many others at most: small ones first, which take less memory."""
    others = [Depths(o, w, i) for o, w, i in product(DEPTHS, repeat=3)]
    others.sort(key=lambda d: (d.operand * 4 + d.weight + d.image, d.operand))
    rest = [own for own in others if own != DEFAULT_DEPTHS]
    return (DEFAULT_DEPTHS, *rest[: max(0, most - 1)])


@dataclass(frozen=True)
class Space:
    """What is searched: every combination. strips: each with less feature-map memory, too."""

    units: tuple[int, ...] = UNITS
    pixels: tuple[int, ...] = PIXELS
    frames: tuple[int, ...] = (1,)
    depths: tuple[Depths, ...] = (DEFAULT_DEPTHS,)
    strips: bool = False

    def arrays(self, network: Network) -> Iterator[ArrayShape]:
        """The arrays for a network."""
        for units, pixels, frames in product(self.units, self.pixels, self.frames):
            yield array_for(network, units, pixels, frames)


@dataclass(frozen=True, eq=False)
class Points:
    """Modelled points of a network on a board; arrays (points,).

    row, column: of a point, among rows and depths. cycles: of a batch of the array's frames. alm,
    dsp, ram_blocks: of the device, ram_blocks at least (see above). map_bytes: declared, of
    memories and channels with map data, at least. whole: no array of the space was left out because
    its lanes alone are more than the board has room for.
    """

    board: Board
    choices: tuple[Choice, ...]
    rows: tuple[Row, ...]
    depths: tuple[Depths, ...]
    row: Ints
    column: Ints
    cycles: Ints
    alm: Ints
    dsp: Ints
    ram_blocks: Ints
    map_bytes: Ints
    whole: bool = True

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: NDArray[Any]) -> Points:
        """Those of an index or a mask."""
        named = ("row", "column", "cycles", "alm", "dsp", "ram_blocks", "map_bytes")
        return replace(self, **{name: getattr(self, name)[index] for name in named})

    def by_row(self, value: Callable[[Row], float]) -> Floats:
        """A figure of the rows, of each point."""
        if not self.rows:
            return np.zeros(0)
        return np.array([value(row) for row in self.rows], np.float64)[self.row]

    @cached_property
    def frames(self) -> Floats:
        """In flight."""
        return self.by_row(lambda row: row.array.frames)

    @cached_property
    def fps(self) -> Floats:
        """Frames a second at the board's assumed clock."""
        return self.frames * self.board.clock_mhz_assumed * 1e6 / self.cycles

    @cached_property
    def latency_ms(self) -> Floats:
        """Milliseconds of a batch."""
        return np.asarray(self.cycles / (self.board.clock_mhz_assumed * 1e3), np.float64)

    @cached_property
    def f(self) -> Floats:
        """Second-term cycles over one-term cycles of the array."""
        return self.by_row(lambda row: row.f)

    @cached_property
    def sqnr_db(self) -> Floats:
        """Of the output; not a number where unknown."""
        known = [c.sqnr_db for c in self.choices]
        return self.by_row(lambda row: np.nan if (s := known[row.variant]) is None else s)

    @cached_property
    def utilisation(self) -> Floats:
        """MACs over cycles x lanes; second words are no MACs."""
        macs = sum(layer.macs for layer in self.choices[0].network.layers)
        lanes = self.by_row(lambda row: row.array.lanes)
        return np.asarray(self.frames * macs / (self.cycles * lanes), np.float64)

    @cached_property
    def fits(self) -> NDArray[np.bool_]:
        """Whether the board has room, as far as is known before maps are placed."""
        *_, ram = device_uses(self.board, 0, 0, 0, ("", "", ""))
        return np.asarray(self.fits_but_ram & (self.ram_blocks <= ram.free), np.bool_)

    @cached_property
    def fits_but_ram(self) -> NDArray[np.bool_]:
        """Whether the board has room for all but the memories: layers may run in strips."""
        alm, dsp, _ = device_uses(self.board, 0, 0, 0, ("", "", ""))
        return np.asarray((self.alm <= alm.free) & (self.dsp <= dsp.free), np.bool_)

    @cached_property
    def in_strips(self) -> NDArray[np.bool_]:
        """Whose layers run in strips."""
        return self.by_row(lambda row: row.strips is not None) > 0

    def array(self, point: int) -> ArrayShape:
        """Of a point."""
        return self.rows[int(self.row[point])].array

    def choice(self, point: int) -> Choice:
        """Of a point."""
        return self.choices[self.rows[int(self.row[point])].variant]

    def depth(self, point: int) -> Depths:
        """Of a point."""
        return self.depths[int(self.column[point])]
