"""Compares the stages of a layer: RTL against golden, and OpenCL's kernels where they ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.encoder import LayerPlan
from shiftforge.sim.edgebert.rtl.encoder_run import CommandRun
from shiftforge.sim.edgebert.rtl.encoder_stages import LayerStages
from shiftforge.sim.golden.edgebert.encoder import STAGES
from shiftforge.sim.rtl.divergence import RtlDivergence, at_code, first_place, in_strips

__all__ = ["StageCheck", "compare_layer", "written_in"]

COMPARED = tuple(stage for stage in STAGES if stage != "v")
"""``v`` is ``vt``, read twice: it is compared once."""
TAPPED = ("scores", "ffn1", "add1", "add2")


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


def _apart(got: NDArray[Any], want: NDArray[Any], stage: str, what: str) -> NDArray[np.bool_]:
    """Where values differ; raises CheckFailed for another shape."""
    if got.shape != want.shape:
        raise CheckFailed(f"{what}: {stage} has the shape {got.shape}, expected {want.shape}")
    different: NDArray[np.bool_] = got != want
    return different


def _vectors(values: NDArray[Any], lanes: int) -> int:
    """Vectors along the last axis."""
    return values.size // values.shape[-1] * -(-values.shape[-1] // lanes) if values.size else 0


def _ran(
    commands: Sequence[CommandRun], layer: int, stage: str, head: int | None = None
) -> tuple[str, int, int]:
    """The command that computed a stage (of a head): its name, its first cycle, the next one's.

    Without a head, from the first to the last of all heads.
    """
    own = [
        run
        for run in commands
        if run.command.layer == layer
        and stage in run.command.stages
        and (head is None or run.command.head in (None, head))
    ]
    if own:
        name = own[0].command.label if len(own) == 1 else own[0].command.name
        return name, own[0].start, own[-1].end
    # Nothing computes this head: its place was written by mistake.
    return f"none, head {head} is skipped", 0, commands[-1].end


def compare_layer(
    plan: LayerPlan,
    layer: int,
    got: LayerStages,
    commands: Sequence[CommandRun],
    golden: Mapping[str, NDArray[Any]],
    opencl: Mapping[str, NDArray[Any]] | None = None,
) -> tuple[list[StageCheck], RtlDivergence | None]:
    """Every stage of one layer, in the order of computation, and the first difference.

    Its cycle is known where the stage never reaches memory; for the others see ``written_in``.
    Scores of heads that the program skips are compared nowhere; their probabilities and context
    are. A tensor that could not be read counts as different throughout and is told by its check.
    Raises CheckFailed where a stage is missing, has another shape or nothing was compared.
    """
    lanes = plan.config.lanes
    kept = [h for h in range(plan.shape.heads) if h not in plan.layers[layer].numbers.skipped]
    checks: list[StageCheck] = []
    first: RtlDivergence | None = None
    for stage in COMPARED:
        want = golden[stage]
        if stage in got.malformed:
            wrong = got.malformed[stage]
            checks.append(
                StageCheck(stage, want.size, _vectors(want, lanes), want.size, None, wrong)
            )
            ran = _ran(commands, layer, stage)
            first = first or RtlDivergence.of_fault(stage, wrong, want.size, ran, layer)
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
            values = {**sides, "golden": want}
            first = _located(plan, layer, stage, kept, whole, values, got, commands)
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
    got: LayerStages,
    commands: Sequence[CommandRun],
) -> RtlDivergence:
    lanes = plan.config.lanes
    by_head = different.ndim == 3
    index, row, column = first_place(different if by_head else different[None], lanes)
    at = (index, row, column) if by_head else (row, column)
    head: int | None = None
    if by_head:
        head = kept[index] if stage == "scores" else index
    elif stage == "context":
        head = column // plan.shape.width
    cycle = None
    if stage in got.cycles:
        marks = got.cycles[stage]
        cycle = int((marks if head is None else marks[head])[row, column // lanes])
    values = {name: int(value[at]) for name, value in sides.items()}
    command, start, end = _ran(commands, layer, stage, head)
    place = (("row", row), ("column", column))
    return RtlDivergence(
        stage,
        at=place if head is None else (("head", head), *place),
        got=values["RTL"],
        want=values["golden"],
        differing=int(np.count_nonzero(different)),
        total=different.size,
        layer=layer,
        command=command,
        start=start,
        end=end,
        row_tile=row // lanes,
        column_tile=column // lanes,
        lane=column % lanes,
        opencl=values.get("OpenCL"),
        cycle=cycle,
        tapped=stage in TAPPED,
    )


def written_in(
    plan: LayerPlan,
    found: RtlDivergence,
    image: NDArray[np.uint8],
    written: NDArray[np.int64],
    golden: Mapping[str, NDArray[Any]],
) -> RtlDivergence:
    """The difference with its cycle.

    image: that the run left. written: the cycles of its writes.
    """
    if found.tapped or found.layer is None:
        return found
    tensor = plan.layers[found.layer].tensors[found.stage]
    if not found.fault:
        part = found.head if found.stage == "probabilities" else None
        return at_code(found, tensor, image, written, part or 0)
    want = golden[found.stage]
    if found.stage == "probabilities":
        want = want.transpose(1, 0, 2).reshape(len(want[0]), -1)
    return in_strips(found, tensor, image, want.astype(np.uint8), written)
