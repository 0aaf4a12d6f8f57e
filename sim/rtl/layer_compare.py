"""Compares the stages of a layer: RTL against golden, and OpenCL's kernels where they ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.plan.layer import LayerPlan
from shiftforge.sim.golden.edgebert.encoder import STAGES
from shiftforge.sim.rtl.layer import CommandRun
from shiftforge.sim.rtl.layer_stages import LayerStages

__all__ = ["Divergence", "StageCheck", "compare_layer"]

COMPARED = tuple(stage for stage in STAGES if stage != "v")
"""``v`` is ``vt``, read twice: it is compared once."""


@dataclass(frozen=True)
class StageCheck:
    """values: how many were compared; vectors: in so many vectors of up to n values.

    rtl, opencl: how many values differ from golden; opencl is None where the kernels did not run.
    malformed: why the RTL's tensor could not be read, or empty.
    """

    stage: str
    values: int
    vectors: int
    rtl: int
    opencl: int | None
    malformed: str = ""

    @property
    def mismatches(self) -> int:
        """Differences of either."""
        return self.rtl + (self.opencl or 0)


@dataclass(frozen=True)
class Divergence:
    """The first difference, in the order of computation, of the first stage that differs.

    head: of an attention stage. rtl, golden, opencl: the three values (opencl None where the
    kernels did not run). command: the one that computes the stage on the RTL, from cycle start to
    cycle end.
    """

    stage: str
    head: int | None
    row_tile: int
    column_tile: int
    row: int
    lane: int
    rtl: int
    golden: int
    opencl: int | None
    command: str
    start: int
    end: int

    def __str__(self) -> str:
        head = "" if self.head is None else f" of head {self.head}"
        sides = {"RTL": self.rtl, "golden": self.golden}
        if self.opencl is not None:
            sides["OpenCL"] = self.opencl
        values = ", ".join(f"{name} {value}" for name, value in sides.items())
        return (
            f"{self.stage}{head}: {who_differs(sides)}; first in row tile {self.row_tile}, column "
            f"tile {self.column_tile}, row {self.row}, lane {self.lane}: {values} (command "
            f"{self.command}, cycles {self.start:,} to {self.end:,})"
        )


def who_differs(sides: Mapping[str, int]) -> str:
    """Which of RTL, golden and OpenCL stands apart; of two, the RTL."""
    if len(sides) == 2:
        return " differs from ".join(sides)
    if len(set(sides.values())) == len(sides):
        return " and ".join((", ".join(list(sides)[:-1]), list(sides)[-1])) + " differ"
    for name, value in sides.items():
        others = {v for other, v in sides.items() if other != name}
        if len(others) == 1 and value not in others:
            return f"{name} differs from " + " and ".join(n for n in sides if n != name)
    return "no difference"


def _apart(got: NDArray[Any], want: NDArray[Any], stage: str, what: str) -> NDArray[np.bool_]:
    """Where values differ; raises CheckFailed for another shape."""
    if got.shape != want.shape:
        raise CheckFailed(f"{what}: {stage} has the shape {got.shape}, expected {want.shape}")
    different: NDArray[np.bool_] = got != want
    return different


def _vectors(values: NDArray[Any], lanes: int) -> int:
    """Vectors along the last axis."""
    return values.size // values.shape[-1] * -(-values.shape[-1] // lanes) if values.size else 0


def _first(different: NDArray[np.bool_], lanes: int) -> tuple[int, ...]:
    """(head, row, column) of the first difference: head, row tile, column tile, row, lane."""
    head, row, column = np.nonzero(different)
    order = np.lexsort((column, row, column // lanes, row // lanes, head))
    return int(head[order[0]]), int(row[order[0]]), int(column[order[0]])


def _ran(commands: Sequence[CommandRun], layer: int, stage: str, head: int | None) -> CommandRun:
    """The command that computed a stage (of a head)."""
    for run in commands:
        command = run.command
        here = command.layer == layer and stage in command.stages
        if here and (command.head is None or command.head == head):
            return run
    raise CheckFailed(f"no command computes {stage} of head {head} in layer {layer}")


def compare_layer(
    plan: LayerPlan,
    layer: int,
    got: LayerStages,
    commands: Sequence[CommandRun],
    golden: Mapping[str, NDArray[Any]],
    opencl: Mapping[str, NDArray[Any]] | None = None,
) -> tuple[list[StageCheck], Divergence | None]:
    """Every stage of one layer, in the order of computation, and the first difference.

    Scores of heads that the program skips are compared nowhere; their probabilities and context
    are. A tensor that could not be read counts as different throughout and is told by its check.
    Raises CheckFailed where a stage is missing, has another shape or nothing was compared.
    """
    lanes = plan.config.lanes
    kept = [h for h in range(plan.shape.heads) if h not in plan.layers[layer].numbers.skipped]
    checks: list[StageCheck] = []
    first: Divergence | None = None
    for stage in COMPARED:
        want = golden[stage]
        if stage in got.malformed:
            wrong = got.malformed[stage]
            checks.append(
                StageCheck(stage, want.size, _vectors(want, lanes), want.size, None, wrong)
            )
            continue
        if stage not in got.stages:
            raise CheckFailed(f"the RTL left no {stage}")
        sides = {"RTL": got.stages[stage]} | ({} if opencl is None else {"OpenCL": opencl[stage]})
        apart = {name: _apart(value, want, stage, name) for name, value in sides.items()}
        if stage == "scores":
            want = want[kept]
            sides = {name: value[kept] for name, value in sides.items()}
            apart = {name: value[kept] for name, value in apart.items()}
        counts = {name: int(np.count_nonzero(value)) for name, value in apart.items()}
        size = want.size, _vectors(want, lanes)
        checks.append(StageCheck(stage, *size, counts["RTL"], counts.get("OpenCL")))
        if first is None and any(counts.values()):
            whole = np.logical_or.reduce(list(apart.values()))
            first = _located(plan, layer, stage, kept, whole, sides, want, commands, lanes)
    if not sum(check.values for check in checks):
        raise CheckFailed("nothing was compared")
    return checks, first


def _located(
    plan: LayerPlan,
    layer: int,
    stage: str,
    kept: Sequence[int],
    different: NDArray[np.bool_],
    sides: Mapping[str, NDArray[Any]],
    want: NDArray[Any],
    commands: Sequence[CommandRun],
    lanes: int,
) -> Divergence:
    by_head = different.ndim == 3
    whole = different if by_head else different[None]
    index, row, column = _first(whole, lanes)
    at = (index, row, column) if by_head else (row, column)
    head: int | None = None
    if by_head:
        head = kept[index] if stage == "scores" else index
    elif stage == "context":
        head = column // plan.shape.width
    values = {name: int(value[at]) for name, value in sides.items()}
    if head is not None and head not in kept:
        # Nothing computes this head: its place was written by mistake.
        run = commands[-1]
        command, start, end = f"none, head {head} is skipped", 0, run.end
    else:
        run = _ran(commands, layer, stage, head)
        command, start, end = run.command.label, run.start, run.end
    return Divergence(
        stage=stage,
        head=head,
        row_tile=row // lanes,
        column_tile=column // lanes,
        row=row % lanes,
        lane=column % lanes,
        rtl=values["RTL"],
        golden=int(want[at]),
        opencl=values.get("OpenCL"),
        command=command,
        start=start,
        end=end,
    )
