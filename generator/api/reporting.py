"""``shiftforge.report``: a project as a page, and the JSON files beside it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.arguments import check_run, path_of
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.generator.page.blocks import Missing
from shiftforge.generator.page.documents import Documents
from shiftforge.page_files import PAGE, is_document, page_file_problems, write_page
from shiftforge.progress import Advance, Shown, shown_progress

if TYPE_CHECKING:
    from shiftforge.generator.project import Project
    from shiftforge.sim.reporting import RunLimits

__all__ = ["report", "report_changes"]

FOLDER, CHANGES = "report", "changes.html"
"""The folder of a project's pages, unless another place is named; the page of two designs."""
_MISSING = {
    "counted": (
        "Counted cycles, stalls and channels", "nothing was run", "shiftforge report {}",
    ),
    "accuracy": (
        "Accuracy on each device", "no samples were named", "shiftforge report {} --input INPUT",
    ),
    "rtl": (
        "Cycles of the RTL", "it was not simulated", "shiftforge report {} --input INPUT --rtl",
    ),
    "routed": (
        "Routed clock", "no result of place and route was named",
        "shiftforge route --block matmul --json > F.json && shiftforge report {} --routed F.json",
    ),
}  # fmt: skip
"""What a page may lack: what it is, why, and the command that gives it."""


def report(
    folder: str | Path,
    *,
    output: str | Path | None = None,
    input: Any = None,
    limit: int | None = 8,
    devices: Sequence[str] | None = None,
    run: bool = True,
    rtl: bool = False,
    routed: Sequence[str | Path] = (),
    time_limit_s: float = 600.0,
    progress: Shown = None,
    **options: Any,
) -> Path:
    """Write the page of a generated project and the JSON files beside it; returns the page's path.

    output: an .html file, ``report/report.html`` of the project where none is named. input, limit,
    options: samples for the accuracy, as for ``compare``; without an input the page has none.
    devices: that the samples run on, and the first of them that can count cycles; None for all that
    are usable. run: False for modelled figures alone. rtl: simulate a text classifier's RTL on the
    samples, too. routed: files of ``route --json`` of its blocks. progress: True shows it with the
    time left, or a function of (stage, done, total).
    Raises InputError with everything wrong with these, before anything is written, CheckFailed
    where integers differ or the page shows another figure than its files.
    """
    from shiftforge.generator.page.page import page_problems, page_text
    from shiftforge.generator.project import check_unedited, open_project

    root = path_of(folder, "the project's folder", "give a folder of generate")
    page = root / FOLDER / PAGE if output is None else path_of(output, "the page", "name a file")
    check_run(limit, time_limit_s, [("run", run)], progress)
    problems = Problems(page_problems())
    project = problems.check(open_project, root)
    if project is not None:
        problems.check(check_unedited, project)
    problems += page_file_problems(page, made=output is None)
    if input is not None and not run:
        what = "an input and no runs"
        problems.append(Problem(what, "leave one of them out"))
    blocks: dict[str, Any] = {}
    if routed and project is not None:
        blocks = problems.check(_routed, project, [Path(path) for path in routed]) or {}
    if rtl and input is None:
        problems.append(Problem("the RTL needs samples", "name an input"))
    if project is None or problems:
        problems.stop()
    assert project is not None
    names = [*(devices or ()), *(["rtl"] if rtl else [])]
    samples = _samples(project, input, limit, names, options) if input is not None else None
    digest = project.manifest.get("digest")
    found = _modelled(project)
    missing: dict[str, Missing] = {}
    with shown_progress(progress) as tell:
        runs = _Runs(project, None if devices is None else tuple(devices), time_limit_s, tell)
        found |= runs.counted(missing) if run else _without(missing, "counted", project)
        if samples is not None:
            found |= runs.accuracy(samples, str(input))
        else:
            _without(missing, "accuracy", project)
        if _has_rtl(project):
            found |= blocks or _without(missing, "routed", project)
            found |= runs.on_rtl(samples) if rtl else _without(missing, "rtl", project)
    documents = Documents({name: {"digest": digest, **own} for name, own in found.items()})
    write_page(page, documents, page_text(documents, missing))
    return page


def report_changes(
    first: str | Path, second: str | Path, *, output: str | Path | None = None
) -> Path:
    """Write the page of what changed from one design to another, ``report/changes.html`` of the
    second where no output is named, and comparison.json beside it; returns the page's path.

    Counted figures are those beside the projects' own pages (``report``). Raises as ``report``.
    """
    from shiftforge.generator.page.changes import COMPARISON, change_document
    from shiftforge.generator.page.page import change_text, page_problems
    from shiftforge.generator.project import check_unedited, open_project

    roots = [path_of(folder, "a project's folder", "give a folder of generate")
             for folder in (first, second)]  # fmt: skip
    page = roots[1] / FOLDER / CHANGES if output is None else path_of(output, "the page", "a file")
    problems = Problems(page_problems())
    projects = [problems.check(open_project, root) for root in roots]
    for project in projects:
        if project is not None:
            problems.check(check_unedited, project)
    kinds = [project.kind for project in projects if project is not None]
    if len(set(kinds)) > 1:
        what = f"a project of the kind {kinds[0]} and one of the kind {kinds[1]}"
        problems.append(Problem(what, "compare designs of one kind", str(roots[1])))
    problems += page_file_problems(page, (COMPARISON,), made=output is None)
    problems.stop()
    a, b = (Documents(_modelled(own) | _counted(own)) for own in projects if own is not None)
    documents = Documents({COMPARISON: change_document((str(roots[0]), str(roots[1])), a, b)})
    missing = None
    if not documents.at(f"{COMPARISON}#/counted"):
        command = " && ".join(f"shiftforge report {shlex.quote(str(root))}" for root in roots)
        missing = Missing("Counted figures", "one of the designs was not counted", command)
    write_page(page, documents, change_text(documents, missing))
    return page


def _counted(project: Project) -> dict[str, Any]:
    """Counted figures beside the project's own page, where they are of this design."""
    from shiftforge.jsontext import read_json

    name = "counted_network_performance.json"
    path = project.folder / FOLDER / name
    if not path.is_file() or not is_document(path, PAGE):
        return {}
    found = read_json(path, remedy="write the project's page again: shiftforge report")
    own = isinstance(found, dict) and found.get("digest") == project.manifest.get("digest")
    return {name: found} if own else {}


def _has_rtl(project: Project) -> bool:
    from shiftforge.sim.runner import RTL, runner_of

    return RTL in runner_of(project.kind).checkpoints


def _routed(project: Project, paths: Sequence[Path]) -> dict[str, Any]:
    from shiftforge.sim.edgebert.routed import routed_documents

    if not _has_rtl(project):
        what = "results of route are of blocks of text classifiers' unit"
        raise InputError(Problem(what, "leave them out", str(project.folder)))
    return routed_documents(paths, project.manifest)


def _without(missing: dict[str, Missing], name: str, project: Project) -> dict[str, Any]:
    """Figures that were not asked for, and the command that gives them."""
    what, why, command = _MISSING[name]
    missing[name] = Missing(what, why, command.format(shlex.quote(str(project.folder))))
    return {}


def _samples(
    project: Project, spec: Any, limit: int | None, devices: Sequence[str], options: dict[str, Any]
) -> Any:
    from shiftforge.generator.target import options_from
    from shiftforge.sim.compare import Request, open_samples
    from shiftforge.sim.runner import runner_of

    chosen = options_from(runner_of(project.kind).options, options)
    return open_samples(Request(project.folder, spec, limit, chosen), list(devices))[2]


@dataclass(frozen=True)
class _Runs:
    """Runs of a project. devices: that were named, None for all that are usable."""

    project: Project
    devices: tuple[str, ...] | None
    time_limit_s: float
    progress: Advance | None

    @property
    def _limits(self) -> RunLimits:
        from shiftforge.sim.reporting import RunLimits

        return RunLimits(self.time_limit_s, self.progress)

    def counted(self, missing: dict[str, Missing]) -> dict[str, Any]:
        """In simulated time, on the first device that has it."""
        from shiftforge.sim.kept_counts import kept_counted
        from shiftforge.sim.opencl.devices import clocked_problems
        from shiftforge.sim.opencl.probe import no_device_text, probe_all
        from shiftforge.sim.reporting import Counts
        from shiftforge.sim.runner import runner_of

        runner = runner_of(self.project.kind)
        if not isinstance(runner, Counts):
            return {}
        states = [
            state
            for state in probe_all()
            if not clocked_problems([state.name])
            and (self.devices is None or state.name in self.devices)
        ]
        usable = [state.name for state in states if state.usable]
        if usable:
            return kept_counted(runner, self.project, usable[0], self._limits)
        _without(missing, "counted", self.project)
        why = no_device_text(states) if states else "no device with simulated time was named"
        missing["counted"] = replace(missing["counted"], why=" ".join(why.split()))
        return {}

    def on_rtl(self, samples: Any) -> dict[str, Any]:
        """The samples on the project's RTL."""
        from shiftforge.sim.reporting import rtl_documents
        from shiftforge.sim.runner import runner_of

        return rtl_documents(self.project, runner_of(self.project.kind), samples, self._limits)

    def accuracy(self, samples: Any, source: str) -> dict[str, Any]:
        """The whole flow on the samples."""
        from shiftforge.errors import CheckFailed
        from shiftforge.sim.opencl.probe import usable_devices
        from shiftforge.sim.reporting import accuracy_documents
        from shiftforge.sim.runner import runner_of

        runner = runner_of(self.project.kind)
        devices = usable_devices() if self.devices is None else self.devices
        found = accuracy_documents(self.project, runner, samples, source, devices, self._limits)
        if not found["accuracy.json"]["passed"]:
            wrong = [p for p in found["accuracy.json"]["pairs"] if p["verdict"] == "DIFFERENT"]
            told = ", ".join(f"{p['from']} and {p['to']}" for p in wrong)
            raise CheckFailed(f"integers differ between {told}: shiftforge compare tells where")
        return found


def _modelled(project: Project) -> dict[str, Any]:
    """Of the kind's target; raises InputError for a kind that has no page."""
    from shiftforge.generator.target import Reports, target_of

    target = target_of(project.kind)
    if not isinstance(target, Reports):
        what = f"projects of the kind {project.kind} have no page"
        raise InputError(Problem(what, "use emulate and compare", str(project.folder)))
    return dict(target.documents(project.folder))
