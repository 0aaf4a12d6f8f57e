"""Modelled energy of a sentence on the EdgeBERT unit, from its program and the unit's counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import Command, command_beats
from shiftforge.generator.edgebert.energy.dvfs import OperatingPoint
from shiftforge.generator.edgebert.energy.unit_energy import (
    EnergyModel,
    array_energy,
    buffer_read_bytes,
    command_traffic,
    function_energy,
    gated_energy,
)
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = [
    "NOMINAL_45",
    "Counters",
    "SentenceCost",
    "UnitPower",
    "Work",
    "cost_at",
    "layer_works",
    "planned_work",
    "unit_power",
]

_EMBEDDINGS = "embedding_norm"  # the command whose operands are the word and place codes
NOMINAL_45 = OperatingPoint(0.9, 1e9)
"""The voltage of the coefficients of 45 nm; the clock is assumed."""
_PJ_TO_NJ = 1e-3


class Counters(Protocol):
    """The unit's counters of one command: cycles from start to end, array cycles, gated ones."""

    @property
    def layer(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def busy(self) -> int: ...
    @property
    def gated(self) -> int: ...


@dataclass(frozen=True)
class Work:
    """What a part of a sentence takes: cycles, and nJ at the nominal voltage. Works add up."""

    cycles: int = 0
    array: float = 0.0
    buffers: float = 0.0
    functions: float = 0.0
    clock: float = 0.0
    embeddings: float = 0.0
    external: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class SentenceCost:
    """Modelled nJ by part, and us. Costs add up.

    array, buffers, functions, clock: dynamic. leakage. regulator: lost in a linear regulator.
    switching: between voltages. embeddings, external: memory outside, at a voltage of its own.
    """

    time_us: float = 0.0
    array: float = 0.0
    buffers: float = 0.0
    functions: float = 0.0
    clock: float = 0.0
    leakage: float = 0.0
    regulator: float = 0.0
    switching: float = 0.0
    embeddings: float = 0.0
    external: float = 0.0

    def __add__(self, other: SentenceCost) -> SentenceCost:
        return SentenceCost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def parts(self) -> dict[str, float]:
        """nJ by part."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "time_us"}

    @property
    def total(self) -> float:
        """nJ of all parts."""
        return sum(self.parts().values())

    @property
    def unit(self) -> float:
        """nJ of the unit itself: all but the memory outside."""
        return self.total - self.embeddings - self.external


@dataclass(frozen=True)
class UnitPower:
    """cycle_nj: a cycle with all multipliers busy, dense, at the nominal voltage. leakage_mw: at
    the nominal point. nominal: voltage. supply: of a linear regulator, None for a loss-free one."""

    cycle_nj: float
    leakage_mw: float
    nominal: float
    supply: float | None = None


def _full_cycle(config: UnitConfig, model: EnergyModel) -> float:
    """pJ of a cycle with all multipliers busy and a vector of both operands read."""
    read = buffer_read_bytes(config, {"b_codes": 1, "passes": 1})
    bank = model.buffer(config.a_buffer // config.lanes)
    return sum(array_energy(config, model).values()) + read * bank


def unit_power(
    config: UnitConfig, model: EnergyModel, nominal: OperatingPoint, supply: float | None = None
) -> UnitPower:
    """Of a unit. Raises InputError where the model does not cover it or the supply is too low."""
    if supply is not None and supply < nominal.voltage:
        what = f"a supply of {supply} V below {nominal.voltage} V"
        raise InputError(Problem(what, "use the nominal voltage or more", "supply"))
    cycle = _full_cycle(config, model) * _PJ_TO_NJ
    # nJ a cycle times cycles a second is nW; 1 mW is 1e6 nW.
    leakage = model.leakage_share * cycle * nominal.frequency * 1e-6
    return UnitPower(cycle, leakage, nominal.voltage, supply)


def _clock(config: UnitConfig, model: EnergyModel, cycles: int) -> float:
    """nJ of clock and control."""
    return model.clock_share * _full_cycle(config, model) * cycles * _PJ_TO_NJ


def _command_work(
    config: UnitConfig,
    model: EnergyModel,
    command: Command,
    cycles: int,
    busy: int,
    gated: int,
    scale: tuple[float, float],
) -> Work:
    """scale: of the dense traffic, read and written."""
    n, r = config.lanes, command.registers
    traffic = command_traffic(r, n)
    descriptor = command_beats(config) * n * scale[0]
    fetched, stored = traffic.fetched * scale[0], traffic.stored * scale[1]
    array = sum(array_energy(config, model).values())
    if not command.ideal_cycles:
        busy = gated = 0
    # What comes from outside is written to a buffer once, what leaves is written and read.
    moved = busy * buffer_read_bytes(config, r) + fetched + 2 * stored
    embeddings = fetched if command.name == _EMBEDDINGS else 0.0
    external = fetched - embeddings + stored + descriptor
    return Work(
        cycles,
        ((busy - gated) * array + gated * gated_energy(config, model, r)) * _PJ_TO_NJ,
        moved * model.buffer(config.a_buffer // n) * _PJ_TO_NJ,
        function_energy(config, r, model) * _PJ_TO_NJ,
        _clock(config, model, cycles),
        embeddings * model.embedding_byte * _PJ_TO_NJ,
        external * model.external_byte * _PJ_TO_NJ,
    )


def _dense_beats(config: UnitConfig, commands: Sequence[Command]) -> tuple[float, float]:
    """Beats read and written if every operand were dense."""
    n = config.lanes
    moved = [command_traffic(c.registers, n) for c in commands]
    own = len(commands) * command_beats(config)
    return sum(t.fetched for t in moved) / n + own, sum(t.stored for t in moved) / n


def _scale(
    config: UnitConfig, commands: Sequence[Command], beats: tuple[int, int] | None
) -> tuple[float, float]:
    if beats is None:
        return 1.0, 1.0
    reads, writes = _dense_beats(config, commands)
    return beats[0] / reads, beats[1] / writes if writes else 0.0


def layer_works(
    config: UnitConfig,
    model: EnergyModel,
    commands: Sequence[Command],
    counters: Sequence[Counters],
    beats: tuple[int, int] | None = None,
) -> tuple[Work, ...]:
    """A run's work layer by layer, the embeddings with the first, each off-ramp with its layer.

    counters: of the program's first commands, those that ran. beats: read and written on the
    external port in the run; each command then has its share by its dense traffic, which is also
    what counts without. Raises InputError where the counters are not of these commands.
    """
    problems = []
    if not 0 < len(counters) <= len(commands):
        what = f"counters of {len(counters)} commands for a program of {len(commands)}"
        problems.append(Problem(what, "give those of one run", "counters"))
    ran = commands[: len(counters)]
    for command, row in zip(ran, counters, strict=False):
        where = f"layer {command.layer}, {command.label}"
        if (row.layer, row.name) != (command.layer, command.label):
            what = f"counters of layer {row.layer}, {row.name}"
            problems.append(Problem(what, "give them in the program's order", where))
        elif not 0 <= row.gated <= row.busy <= row.end - row.start:
            what = f"{row.gated} gated, {row.busy} busy of {row.end - row.start} cycles"
            problems.append(Problem(what, "each is a part of the next", where))
    if problems:
        raise InputError(problems)
    scale = _scale(config, ran, beats)
    works = [Work() for _ in range(1 + max(command.layer for command in ran))]
    for command, row in zip(ran, counters, strict=True):
        cycles = row.end - row.start
        own = _command_work(config, model, command, cycles, row.busy, row.gated, scale)
        works[command.layer] = works[command.layer] + own
    return tuple(works)


def planned_work(
    config: UnitConfig,
    model: EnergyModel,
    commands: Sequence[Command],
    cycles: int,
    beats: tuple[int, int] | None = None,
) -> Work:
    """The work of commands of which only all cycles together (and beats) are measured: array cycles
    are the ideal ones, none gated."""
    scale = _scale(config, commands, beats)
    total = Work()
    for command in commands:
        total += _command_work(config, model, command, 0, command.ideal_cycles, 0, scale)
    return total + Work(cycles, clock=_clock(config, model, cycles))


def cost_at(work: Work, power: UnitPower, point: OperatingPoint) -> SentenceCost:
    """Energy and time of a work at a point.

    Dynamic parts times (V/V_n)^2; leakage power times V/V_n, over the time cycles/F; memory
    outside as it is. A linear regulator draws the unit's current from its supply: energy times
    supply/V, the difference is its loss.
    """
    ratio = point.voltage / power.nominal
    square = ratio * ratio
    time_us = work.cycles / point.frequency * 1e6
    own = SentenceCost(
        time_us=time_us,
        array=square * work.array,
        buffers=square * work.buffers,
        functions=square * work.functions,
        clock=square * work.clock,
        leakage=power.leakage_mw * ratio * time_us,  # mW times us is nJ
    )
    lost = 0.0
    if power.supply is not None:
        lost = own.total * (power.supply / point.voltage - 1)
    return replace(own, regulator=lost, embeddings=work.embeddings, external=work.external)
