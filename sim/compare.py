"""Running a project: the samples at two checkpoints, and the first difference between them.

``emulate`` and ``compare`` are the same few steps for every target; the commands and the Python
functions print or return what they give.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from shiftforge.errors import Problem, Problems
from shiftforge.generator.project import Project, check_unedited, open_project
from shiftforge.sim.opencl.probe import require_device
from shiftforge.sim.results import Emulation, Pair, Run
from shiftforge.sim.runner import DEVICE_NAMES, GOLDEN, Progress, Runner, runner_of
from shiftforge.sim.trace import Divergence
from shiftforge.sim.trace import compare as compare_traces

__all__ = [
    "Request",
    "check_checkpoints",
    "compare",
    "default_pairs",
    "emulate",
    "open_samples",
]


def check_checkpoints(known: Sequence[str], *names: str) -> list[Problem]:
    """Problems of names that are no checkpoints, of a pair that is one, of unusable devices."""
    problems = Problems(
        Problem(f"unknown checkpoint {name!r}", f"use one of: {', '.join(known)}")
        for name in dict.fromkeys(names)
        if name not in known
    )
    if not problems and len(names) > 1 and len(set(names)) == 1:
        what = f"{names[0]!r} would be compared with itself"
        problems.append(Problem(what, f"use two of: {', '.join(known)}"))
    for name in dict.fromkeys(names):
        if name in DEVICE_NAMES and name in known:
            problems.check(require_device, name)
    return problems


def default_pairs(flow: Sequence[str], devices: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The whole flow: what comes before the reference in a chain, then it and each device."""
    return (*pairwise(flow), *((GOLDEN, device) for device in devices))


@dataclass(frozen=True)
class Request:
    """A project and samples to run. spec: of the samples; limit: how many at most; edited: the
    project may hold files that were edited."""

    folder: Path
    spec: Any
    limit: int | None = None
    options: Any = None
    edited: bool = False


def open_samples(
    request: Request, names: Sequence[str], problems: Iterable[Problem] = ()
) -> tuple[Project, Runner[Any], Any]:
    """The project of a request, its runner and the samples.

    names: checkpoints that will be asked for. problems: of the caller's other arguments. Raises
    InputError with those and everything wrong with the request.
    """
    found = Problems(problems)
    project = found.check(open_project, request.folder)
    runner = None if project is None else found.check(runner_of, project.kind)
    if project is None or runner is None:
        for name in names:
            if name in DEVICE_NAMES:
                found.check(require_device, name)
        found.stop()
    assert project is not None and runner is not None
    if not request.edited:
        found.check(check_unedited, project)
    found += check_checkpoints(runner.checkpoints, *names)
    limit = request.limit
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        found.append(Problem(f"a limit of {limit!r} samples", "use a whole number from 1, or None"))
        found.stop()
    options = runner.options() if request.options is None else request.options
    samples = found.check(runner.samples, project, request.spec, request.limit, options)
    if samples is not None:
        found += runner.check(samples, names)
    found.stop()
    return project, runner, samples


def emulate(
    project: Project,
    runner: Runner[Any],
    samples: Any,
    at: str,
    *,
    every_stage: bool = False,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> Emulation:
    """Run the samples at a checkpoint and hold the result against the reference.

    every_stage: compare all of them, not the outputs alone. time_limit_s: for each batch.
    """
    timed = runner.clocked(
        project, samples, at,
        every_stage=every_stage, time_limit_s=time_limit_s, progress=progress,
    )  # fmt: skip
    if timed is not None:
        return timed
    got, want = [], []
    elements = mismatches = 0
    first: Divergence | None = None
    for part in runner.batches(samples, every_stage):
        got.append(
            runner.run(
                project, part, at,
                every_stage=every_stage, time_limit_s=time_limit_s, progress=progress,
            )
        )  # fmt: skip
        want.append(runner.run(project, part, GOLDEN, every_stage=every_stage, progress=progress))
        found = compare_traces(want[-1].trace, got[-1].trace)
        elements += found.values
        mismatches += found.mismatches
        if first is None and found.differences:
            first = found.differences[0]
        # The tensors of a batch are of no use after it.
        got[-1] = Run(at, (), got[-1].result, got[-1].facts)
        want[-1] = Run(GOLDEN, (), want[-1].result, want[-1].facts)
    return Emulation(
        device=at,
        samples=runner.count(samples),
        checked=runner.whole if every_stage else "output",
        elements=elements,
        mismatches=mismatches,
        divergence=first,
        outputs=runner.outputs(got),
        facts=runner.facts(samples, got, want),
    )


def compare(
    project: Project,
    runner: Runner[Any],
    samples: Any,
    pairs: Sequence[tuple[str, str]],
    *,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> list[Pair]:
    """The samples at every checkpoint of the pairs, once each, compared pair by pair."""
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    held: dict[str, Run] = {}
    for done, name in enumerate(names):
        if progress is not None:
            progress("checkpoints", done, len(names))
        held[name] = runner.run(
            project, samples, name, time_limit_s=time_limit_s, progress=progress
        )
    return [runner.pair(samples, held[a], held[b]) for a, b in pairs]
