"""Running a suite: every check, whatever the others found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.generator.project import Project, open_project
from shiftforge.sim.ci import still
from shiftforge.sim.ci.check import Check, checked
from shiftforge.sim.ci.moving import Bench, device_check, golden_check, rtl_check
from shiftforge.sim.ci.suite import RENEW, Suite, place
from shiftforge.sim.runner import RTL, Progress

__all__ = ["Asked", "run_suite"]


@dataclass(frozen=True)
class Asked:
    """require: devices that have to be usable, beside the suite's own. time_limit_s: of each
    device's run. progress: told what runs."""

    require: frozenset[str] = frozenset()
    time_limit_s: float = 600.0
    progress: Progress | None = None


def run_suite(suite: Suite, folder: Path, asked: Asked) -> Iterator[Check]:
    """Every check of a suite, each as soon as it has ended.

    Raises InputError where nothing can be checked: the kind is unknown.
    """
    required = asked.require | set(suite.require)
    yield checked("tool", lambda: still.tool_problems(suite, folder))
    yield checked("suite", lambda: still.own_problems(suite, folder))
    try:
        project = open_project(place(suite.project, folder))
        if project.kind != suite.kind:
            yield _other_kind(project, suite)
            return
    except InputError as error:
        yield Check("project", "refused", "", error.problems)
        return
    made = still.again(suite, folder)
    as_pinned = True
    for check in _still(suite, folder, project, made):
        as_pinned &= check.state == "passed"
        yield check
    bench = Bench(suite, folder, project, as_pinned, asked.time_limit_s, asked.progress)
    yield (golden := golden_check(bench))
    if golden.state == "refused":
        yield from _left_out(suite, "the goldens cannot be compared, see there")
        return
    for device in suite.devices:
        yield device_check(bench, device, device in required)
    if (rtl := rtl_check(bench, RTL in required)) is not None:
        yield rtl


def _still(suite: Suite, folder: Path, project: Project, made: still.Again) -> Iterator[Check]:
    yield checked("project", lambda: still.file_problems(project, made))
    yield checked("digest", lambda: still.digest_problems(suite, project))
    yield checked("model", lambda: still.model_problems(suite, folder))
    yield checked("board", lambda: still.board_problems(suite, folder))
    yield checked("generate", lambda: still.generated_problems(suite, folder, project, made))


def _left_out(suite: Suite, why: str) -> Iterable[Check]:
    names = [f"device {name}" for name in suite.devices] + [RTL] * bool(suite.rtl)
    return [Check(name, "skipped", why) for name in names]


def _other_kind(project: Project, suite: Suite) -> Check:
    what = f"the project's kind is {project.kind!r}, the suite's {suite.kind!r}"
    return Check("project", "failed", "", (Problem(what, RENEW, str(project.folder)),))
