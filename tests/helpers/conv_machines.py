"""Kernels of the convolution accelerator that do nothing but count: what each iteration touches.

They read records as the kernels' text does, with names of lines and weights in the places of
values. A machine that wants what is not there raises Stuck.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conv_walks import Fire, Line

from shiftforge.generator.conv.records import ControllerPass, ConvPass, Pace, PostPass, Run


class Stuck(Exception):
    """Something is wanted that never comes, or comes and is not wanted."""


@dataclass
class PaceState:
    """A pace while it runs."""

    pace: Pace
    left: int = 0
    tile: int = 0
    inner: int = 0
    row: int = 0

    def __post_init__(self) -> None:
        self.left = self.pace.first

    @property
    def ends(self) -> int:
        """What ends with the next one: 0 a tile, 1 a group, 2 a row, 3 the rows."""
        own = self.pace
        last = (self.tile == own.tiles - 1, self.inner == own.inner - 1, self.row == own.rows - 1)
        return next((i for i, is_last in enumerate(last) if not is_last), 3)

    def step(self) -> None:
        """One iteration further."""
        own, ends = self.pace, self.ends
        if self.left:
            self.left -= 1
            return
        self.left = (own.every_tile, own.every_inner, own.every_row, own.every_outer)[ends] - 1
        self.tile = self.tile + 1 if ends == 0 else 0
        if ends:
            self.inner = self.inner + 1 if ends == 1 else 0
        if ends > 1:
            self.row = self.row + 1 if ends == 2 else 0


@dataclass(frozen=True)
class Event:
    """kind: send, zero (a line of zeros), skip or store. address: in the memory of maps."""

    iteration: int
    kind: str
    address: int


def controller_events(own: ControllerPass, pixels: int = 1, counters: int = 6) -> Iterator[Event]:
    """What the controller does, iteration by iteration. counters: that the text has."""
    counts, sizes = [0] * counters, [getattr(own, f"n{k}") for k in range(counters)]
    column = own.column
    at = [own.base, own.first_y, own.first_t]
    skips, results = PaceState(own.skips), PaceState(own.results)
    skip_address, out_address, stored = own.skip_base, own.out_base, 0
    for i in range(own.iterations):
        sending = i < own.sends
        inside = 0 <= at[1] < own.in_rows and 0 <= at[2] < own.in_tiles and counts[1] < own.groups
        skip = bool(own.residual) and sending and skips.left == 0
        if skip:
            yield Event(i, "skip", skip_address)
            skip_address += (own.skip_tile, own.skip_inner, own.skip_row, own.skip_outer)[
                skips.ends
            ]
        elif sending and (own.zero_outside or inside):
            yield Event(i, "send" if inside else "zero", at[0])
        if results.left == 0 and stored < own.stores:
            yield Event(i, "store", out_address)
            steps = (own.store_tile, own.store_inner, own.store_row, own.store_outer)
            out_address += steps[results.ends]
            stored += 1
        results.step()
        if i + 1 >= own.sends:
            results.left = 0
        skips.step()
        if not skip:
            k = next((k for k in range(counters) if counts[k] != sizes[k] - 1), counters)
            for axis, name in enumerate("ayt"):
                at[axis] += getattr(own, f"{name}{min(k, counters - 1)}")
            if k == 4:
                column += own.column_step
                if column >= pixels:
                    column, at[0], at[2] = column - pixels, at[0] + 1, at[2] + 1
            elif k > 4:
                column = own.column
            counts = [0 if j < k else c + (j == k) for j, c in enumerate(counts)]


@dataclass(frozen=True)
class Cycle:
    """An array cycle with the iterations up to it. weight: what the memory held. lines: that were
    taken up to it, or to the window's first use; steps: iterations of the walk of lines before it.
    """

    fire: Fire
    iteration: int
    lines: int
    steps: int


@dataclass
class ConvMachine:
    """The convolution unit; its weights' banks and its line buffer last from layer to layer."""

    units: int
    half: int
    pixels: int = 1
    bank: int = 1
    memory: dict[int, Any] = field(default_factory=dict)
    touched: list[tuple[int, int, int]] = field(default_factory=list)
    busy: int = 0
    rows: dict[int, tuple[Line, Line]] = field(default_factory=dict)

    def run(
        self, own: ConvPass, lines: list[Line], weights: Iterator[Any], last: bool
    ) -> list[Cycle]:
        """One layer. weights: names of the words to come. Afterwards ``touched`` has (iteration,
        word, 0 read or 1 written) of the weight memory, and ``busy`` the iterations of all groups
        up to the last one that takes a line or is an array cycle; not those of the first window."""
        self.touched, self.busy = [], 0
        unit = {0: _Pointwise, 1: _Depthwise, 2: _Standard}.get(own.mode, _Nothing)(own, self.units)
        unit.pixels = self.pixels
        if isinstance(unit, _Depthwise):
            unit.rows = self.rows
        left, at, found = list(lines), 0, []
        taken = steps = 0
        groups = [run for run in own.runs for _ in range(run.groups)]
        if len(groups) != own.groups:
            raise Stuck(f"runs of {len(groups)} groups in a layer of {own.groups}")
        for number, run in enumerate(groups):
            final = number == len(groups) - 1
            length = run.iterations + (0 if number else own.fill)
            words = (0 if last else own.last_words) if final else groups[number + 1].words
            first = own.last_first if final else run.take_first
            every = own.last_every if final else run.take_every
            unit.begin(run, length)
            start = last_busy = at + (0 if number else own.fill)
            if words and every < 1:
                raise Stuck("weights are read at no interval")
            for i in range(length):
                if i >= first and (i - first) % every == 0 and (i - first) // every < words:
                    slot = (1 - self.bank) * self.half + (i - first) // every
                    self.memory[slot] = next(weights)
                    self.touched.append((at, slot, 1))
                    self._within((i - first) // every)
                line, wants = None, unit.wants()
                if wants:
                    if not left:
                        raise Stuck(f"iteration {at} wants a line and none is left")
                    line = left.pop(0)
                second = unit.again
                operands, word, completes = unit.step(line)
                if wants or word is not None:
                    last_busy = at + 1
                if not second:
                    taken, steps = len(lines) - len(left), unit.steps
                if word is not None:
                    slot = self.bank * self.half + word
                    self._within(word)
                    self.touched.append((at, slot, 0))
                    if slot not in self.memory:
                        raise Stuck(f"iteration {at} takes a weight that was never read")
                    held = self.memory[slot]
                    found.append(Cycle(Fire(operands, held, completes), at, taken, steps))
                at += 1
            if words and first + (words - 1) * every >= length:
                raise Stuck(f"a group of {length} iterations ends before its reads of weights")
            self.bank = 1 - self.bank
            self.busy += last_busy - start
        if at != own.iterations:
            raise Stuck(f"groups have {at} iterations and the layer {own.iterations}")
        if left:
            raise Stuck(f"{len(left)} lines are sent and not wanted")
        return found

    def _within(self, word: int) -> None:
        if not 0 <= word < self.half:
            raise Stuck(f"weight word {word} is outside its bank")


Step = tuple[tuple[object, ...], int | None, bool]
_IDLE: Step = ((), None, False)


class _Nothing:
    """The first weights are read."""

    pixels = 1

    def __init__(self, own: ConvPass, units: int) -> None:
        self.own, self.units = own, units
        self.again, self.steps = False, 0
        self.words = self.twice = self.length = self.left = 0

    def begin(self, run: Run, length: int) -> None:
        """A group begins; its iterations."""
        self.words, self.twice, self.length = run.words, run.twice, run.tile
        self.left = length

    def wants(self) -> bool:
        return False

    def step(self, line: Line) -> Step:
        return _IDLE


class _Pointwise(_Nothing):
    """Channels of lines queue up; nine leave a cycle, or stay for a second word. A line of eight
    units leaves whole."""

    def __init__(self, own: ConvPass, units: int) -> None:
        super().__init__(own, units)
        self.taken = min(9, units)
        self.queue: list[object] = []
        self.lines = self.cycle = 0
        self.tile = own.tiles

    def wants(self) -> bool:
        behind = self.cycle >= self.words  # lines of zero words are taken all the same
        return (len(self.queue) < self.taken or behind) and self.lines < self.own.lines

    def step(self, line: Line) -> Step:
        if line is not None:
            self.queue += [(line, c) for c in range(self.units)]
            self.lines += 1
        result, last_word = _IDLE, self.words - 1
        if self.cycle <= last_word:
            taps = (self.queue + [None] * self.taken)[: self.taken]
            if not (self.cycle < 2 * self.twice and self.cycle % 2 == 0):
                self.queue = self.queue[self.taken :]
            result = (tuple(taps), self.cycle, self.cycle == last_word)
        if self.cycle >= last_word:
            self.queue = []
        self.left -= 1
        end = self.left == 0 if self.tile == 1 else self.cycle == self.length - 1
        if end:
            self.cycle = self.lines = 0
            self.tile = self.own.tiles if self.tile == 1 else self.tile - 1
        else:
            self.cycle += 1
        return result


class _Standard(_Nothing):
    """Nine lines are loaded ahead while the window before them is used, channel by channel."""

    def __init__(self, own: ConvPass, units: int) -> None:
        super().__init__(own, units)
        self.ahead: list[Line] = [None] * 9
        self.window: tuple[Line, ...] = ()
        self.cycle = self.part = self.word = self.window_row = self.window_column = 0
        self.column = own.column
        self.loads, self.tile, self.computes = own.loads, own.tiles, False

    def wants(self) -> bool:
        return self.loads != 0 and self.cycle < 9

    def _channels(self) -> list[tuple[int, bool]]:
        """Channels of the window in order of use, each with whether it is its last word's."""
        own, before = self.own, self.window_column * (self.own.more_rows + 1) + self.window_row
        whole = before * ((own.lines - 1) * self.units + own.last_lanes) + self.part * self.units
        lanes = own.last_lanes if self.part == own.lines - 1 else self.units
        found = []
        for channel in range(min(lanes, self.words - self.twice - whole)):
            if whole + channel < self.twice:
                found.append((channel, False))
            found.append((channel, True))
        return found

    def step(self, line: Line) -> Step:
        own, order = self.own, self._channels()
        if self.cycle == 0:
            self.window = tuple(self.ahead)
        if self.wants():
            self.ahead[self.cycle] = line
        last_group = self.part == own.lines - 1
        last_row = last_group and self.window_row == own.more_rows
        last_part = last_row and self.window_column == own.more_columns
        result, complete = _IDLE, False
        if self.computes and self.cycle < len(order):
            complete = self.word == self.words - 1
            origin = (self.column,) if own.more_columns else ()
            operands = (*self.window, order[self.cycle][0], *origin)
            result = (operands, self.word, complete)
            self.word = 0 if complete else self.word + 1
        self.left -= 1
        end = self.cycle == max(9, len(order)) - 1 if self.computes else self.cycle == 8
        if self.computes and last_part and self.tile == 1:
            end = self.left == 0
        if end:
            self.loads -= self.loads != 0
            if self.computes:
                self.part = 0 if last_group else self.part + 1
                if last_group:
                    self.window_row = 0 if last_row else self.window_row + 1
                if last_row:
                    self.window_column = 0 if last_part else self.window_column + 1
                    step = self.column + own.column_step
                    self.column = own.column if last_part else step % self.pixels
                if last_part:
                    self.tile = own.tiles if self.tile == 1 else self.tile - 1
            self.computes, self.cycle = True, 0
        else:
            self.cycle += 1
        return result


class _Depthwise(_Nothing):
    """Every line meets those one and two rows above it; three in a row are a window. A second word
    takes it once more, while lines wait."""

    def __init__(self, own: ConvPass, units: int) -> None:
        super().__init__(own, units)
        self.rows: dict[int, tuple[Line, Line]] = {}
        self.shift: list[list[Line]] = [[None] * 3 for _ in range(3)]
        self.group = 0
        self.line, self.y = own.first_line, own.first_y
        self.t, self.tile, self.loads = own.first_t, own.tiles, own.loads
        self.fires = PaceState(own.fires)
        self.held: Step = _IDLE

    def wants(self) -> bool:
        inside = self.line < self.own.row_lines and self.y < self.own.in_rows
        more = self.loads != 0 or bool(self.own.keeps)
        return inside and more and not self.again

    def step(self, line: Line) -> Step:
        if not self.again:
            return self._move(line)
        held, self.again = self.held, False
        return held

    def _move(self, line: Line) -> Step:
        own = self.own
        one, two = self.rows.get(self.line, (None, None))
        one, two = one if self.y >= 1 else None, two if self.y >= 2 else None
        for row, new in zip(self.shift, (two, one, line), strict=True):
            row.append(new)
            row.pop(0)
        if self.tile:
            self.rows[self.line] = (line, one)
        result = _IDLE
        fires = self.fires.left == 0 and self.loads != 0
        if fires:
            keep = [0 <= self.t + j < own.in_tiles for j in range(3)]
            window = [
                x if k else None for row in self.shift for x, k in zip(row, keep, strict=True)
            ]
            twice = self.group < self.twice
            word = self.group + min(self.group, self.twice)
            result = ((*window, None), word, not twice)
            if twice:
                self.held, self.again = ((*window, None), word + 1, True), True
            ends = self.fires.ends
            inner = own.fires.inner
            self.group += (0, 1, 1 - inner, 1)[ends]
            self.t = self.t + own.stride if ends == 0 else own.first_t
            self.loads -= 1
        self.fires.step()
        self.line += 1
        self.steps += 1
        if self.line == own.row_length:
            self.line, self.y = own.first_line, self.y + 1
            if self.y == own.all_rows:
                self.y = own.in_rows if self.tile == 1 else 0
                self.tile -= 1
        return result


@dataclass(frozen=True)
class Tile:
    """A tile in post. record: of the parameters; beats: iterations that it takes."""

    record: int
    writes: bool
    pixels: int
    iteration: int


def post_tiles(own: PostPass, pixels: int, frames: int = 1, part: int = 1) -> list[Tile]:
    """Tiles of a layer in the order of their sums. frames: in flight; part: of a slice."""
    found: list[Tile] = []
    record = tile = inner = row = 0
    at, read = own.before, min(own.before, own.groups)
    while len(found) < own.tiles_all:
        last_tile = tile == own.tiles - 1
        if record >= read:
            raise Stuck(f"tile {len(found)} takes record {record} of {read}")
        valid = own.last_pixels if last_tile else pixels
        complete = last_tile and row == own.rows - 1
        writes = not own.direct and (not own.pool or complete)
        found.append(Tile(record, bool(writes), valid, at))
        at_once = 1 if own.direct else part if own.sliced else frames
        turns = own.output_turns if own.direct else 1
        if own.every * own.columns * at_once != pixels * frames * turns:
            raise Stuck(f"{own.every} iterations of {own.columns} pixels take tile {len(found)}")
        # The codes of a pool's sums follow their last tile.
        at += own.every + (own.pool_turns if own.pool and complete else 0)
        if at > own.iterations:
            raise Stuck(f"{own.iterations} iterations end before tile {len(found)} of all")
        tile = 0 if last_tile else tile + 1
        if last_tile:
            last_inner, last_row = inner == own.inner - 1, row == own.rows - 1
            record += 1 if not last_inner or last_row else 1 - own.inner
            inner = 0 if last_inner else inner + 1
            if last_inner:
                row = 0 if last_row else row + 1
    return found
