"""The figures of encoder layers that ran on the RTL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from shiftforge.generator.edgebert.encoder import LayerPlan
from shiftforge.sim.edgebert.rtl.encoder_compare import StageCheck
from shiftforge.sim.edgebert.rtl.encoder_run import CommandRun, UnitRun

__all__ = ["CommandTotal", "LayerFigures", "LayerReport", "by_layer", "command_totals", "joined"]


@dataclass(frozen=True)
class CommandTotal:
    """The commands of one name, those of all heads and layers together.

    cycles: from the fetch of each to its end. ideal_cycles: of their products. busy: cycles in
    which the array worked; gated: those with a zero row of A; wait_a, wait_b: cycles without a row
    of A, without an operand tile of B.
    """

    name: str
    commands: int
    cycles: int
    ideal_cycles: int
    busy: int
    gated: int
    wait_a: int
    wait_b: int


@dataclass(frozen=True)
class LayerFigures:
    """One layer of a program: values that differ from golden in RTL and kernels; cycles from the
    fetch of its first command to the end of its last."""

    layer: int
    values: int
    mismatches: int
    cycles: int
    ideal_cycles: int


@dataclass(frozen=True)
class LayerReport:
    """The figures of a program of one or more layers.

    buffers: bytes of A, B and C. shape: length, hidden, heads, ffn. opencl: the device whose
    kernels were compared, or None. vectors: compared vectors of up to n values; codes: those
    values. mismatches: values of the RTL, and of the kernels, that differ from golden.
    ideal_cycles: of all products; utilisation: ideal_cycles over cycles; ratio: the inverse.
    cycles_per_second: simulated cycles a second of wall-clock, files included. opencl_seconds:
    wall-clock of the kernels. divergence: the first difference, from ``RtlDivergence.to_dict``;
    first: the same as text, empty where there is none. by_layer, stages, commands: of each layer;
    of each stage and of each command, over all layers.
    wall: seconds by part; ``golden`` and ``opencl`` run beside ``build`` and ``simulate``, ``wait``
    is what they took longer.
    """

    unit: str
    n: int
    weights: str
    terms: int
    accumulator: str
    buffers: tuple[int, int, int]
    shape: tuple[int, int, int, int]
    layers: int
    seed: int
    opencl: str | None
    vectors: int
    codes: int
    mismatches: int
    cycles: int
    ideal_cycles: int
    utilisation: float
    ratio: float
    cycles_per_second: float
    seconds: float
    reads: int
    writes: int
    by_layer: tuple[LayerFigures, ...]
    stages: tuple[StageCheck, ...]
    commands: tuple[CommandTotal, ...]
    opencl_seconds: float | None
    wall: dict[str, float]
    divergence: dict[str, Any] | None
    first: str


def _total(name: str, runs: Sequence[CommandRun]) -> CommandTotal:
    return CommandTotal(
        name,
        len(runs),
        cycles=sum(r.cycles for r in runs),
        ideal_cycles=sum(r.command.ideal_cycles for r in runs),
        busy=sum(r.busy for r in runs),
        gated=sum(r.gated for r in runs),
        wait_a=sum(r.wait_a for r in runs),
        wait_b=sum(r.wait_b for r in runs),
    )


def command_totals(run: UnitRun) -> tuple[CommandTotal, ...]:
    """In the order in which the names come first."""
    names = dict.fromkeys(r.command.name for r in run.commands)
    return tuple(_total(n, [r for r in run.commands if r.command.name == n]) for n in names)


def by_layer(
    plan: LayerPlan, run: UnitRun, checks: Sequence[Sequence[StageCheck]]
) -> tuple[LayerFigures, ...]:
    """checks: of the stages, by layer."""
    found = []
    for layer, own in enumerate(checks):
        runs = [r for r in run.commands if r.command.layer == layer]
        found.append(
            LayerFigures(
                layer,
                sum(check.values for check in own),
                sum(check.mismatches for check in own),
                runs[-1].end - runs[0].start,
                sum(c.ideal_cycles for c in plan.commands if c.layer == layer),
            )
        )
    return tuple(found)


def joined(checks: Sequence[Sequence[StageCheck]]) -> tuple[StageCheck, ...]:
    """The checks of each stage, those of all layers together. A tensor that could not be read is
    told with its layer."""
    found = []
    for stages in zip(*checks, strict=True):
        told = [
            check.malformed if len(checks) == 1 else f"layer {layer}: {check.malformed}"
            for layer, check in enumerate(stages)
            if check.malformed
        ]
        kernels = [check.opencl for check in stages if check.opencl is not None]
        found.append(
            replace(
                stages[0],
                values=sum(check.values for check in stages),
                vectors=sum(check.vectors for check in stages),
                rtl=sum(check.rtl for check in stages),
                opencl=sum(kernels) if kernels else None,
                malformed="; ".join(told),
            )
        )
    return tuple(found)
