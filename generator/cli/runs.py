"""What the commands that run a project begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.generator.project import Project
    from shiftforge.sim.runner import Runner

__all__ = ["opened"]


def opened(
    folder: Path,
    source: str,
    limit: int | None,
    values: Mapping[str, Any],
    names: Sequence[str] = (),
    devices: Sequence[str] = (),
    problems: Iterable[Problem] = (),
) -> tuple[Project, Runner[Any], Any]:
    """The project in a folder, its runner and the samples; warns of what a user should know.

    values: the runner's options and ``edited``, by name. names: checkpoints that will run; devices:
    those that have to be OpenCL devices. problems: of the command's other arguments. Raises
    InputError with everything that is wrong.
    """
    from shiftforge.cli.dynamic import chosen_options, foreign_options, runner_options
    from shiftforge.cli.output import warn
    from shiftforge.errors import Problems
    from shiftforge.generator.manifest import edited_files
    from shiftforge.generator.project import open_project
    from shiftforge.sim.compare import Request, open_samples
    from shiftforge.sim.opencl.devices import device_spec
    from shiftforge.sim.runner import runner_of

    found = Problems(problems)
    known = [name for name in devices if found.check(device_spec, name) is not None]
    options = None
    try:
        kind = open_project(folder).kind
        options = chosen_options(runner_of(kind).options, values)
        found += foreign_options(kind, runner_options)
    except InputError:
        pass  # told by open_samples
    edited = bool(values.get("edited"))
    request = Request(folder, source, limit, options, edited)
    project, runner, samples = open_samples(request, [*known, *names], found)
    for problem in edited_files(project.folder, project.manifest) if edited else ():
        warn(f"{problem.where}: {problem.what}")
    for text in runner.notes(samples):
        warn(text)
    return project, runner, samples
