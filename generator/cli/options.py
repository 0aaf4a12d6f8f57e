"""Options and checks that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from shiftforge.cli.command import FiniteRange
from shiftforge.cli.dynamic import DynamicCommand, runner_options
from shiftforge.errors import Problem
from shiftforge.files import output_problems, system_problem

__all__ = [
    "RunCommand",
    "checkpoint_problems",
    "checkpoints",
    "device_problems",
    "edited_option",
    "is_model_file",
    "json_option",
    "output_file_problems",
    "project_problems",
    "overwrite_option",
    "refuse_options",
    "sample_options",
    "time_limit_option",
]

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """``--json``: one JSON document on stdout and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


class RunCommand(DynamicCommand):
    """A command that runs a project: it has the options of every runner."""

    source = staticmethod(runner_options)


def sample_options(
    required: bool = True, of: str = "", cls: type[click.Option] = click.Option
) -> Callable[[F], F]:
    """``--input`` and ``--limit``: which samples to run. of: when they apply, before their help.
    cls: of ``--input``."""

    def add(command: F) -> F:
        limit = click.option(
            "--limit", type=click.IntRange(1), metavar="N", help=f"{of}The first N samples."
        )
        source = click.option(
            "--input",
            "source",
            cls=cls,
            required=required,
            metavar="INPUT",
            help=f"{of}What to run.",
        )
        return source(limit(command))

    return add


def edited_option(command: F) -> F:
    """``--edited``: run a project some of whose files are not what was generated."""
    text = "Run files that were edited since they were generated; they are named."
    return click.option("--edited", is_flag=True, help=text)(command)


def overwrite_option(command: F) -> F:
    """``--overwrite``: replace files of an earlier design that were edited."""
    text = "Replace files of the folder that were edited since they were generated."
    return click.option("--overwrite", is_flag=True, help=text)(command)


def refuse_options(names: Iterable[str], why: str) -> list[Problem]:
    """A problem for each of the current command's options that was given and does not apply.

    names: of parameters, as the command function has them.
    """
    context = click.get_current_context()
    options = {parameter.name: parameter for parameter in context.command.get_params(context)}
    given = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    return [
        Problem(f"{options[name].opts[-1]} {why}", "leave it out")
        for name in names
        if context.get_parameter_source(name) in given
    ]


def time_limit_option(text: str = "End a device's run after this long.") -> Callable[[F], F]:
    """``--time-limit`` in seconds, above 0. text: its help."""
    return click.option(
        "--time-limit",
        type=FiniteRange(min=0, min_open=True),
        default=600.0,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


def device_problems(names: Iterable[str]) -> list[Problem]:
    """A problem for each name that no OpenCL device has; whether one works is seen later."""
    from shiftforge.errors import Problems
    from shiftforge.sim.opencl.devices import device_spec

    problems = Problems()
    for name in dict.fromkeys(names):
        problems.check(device_spec, name)
    return problems


def checkpoints() -> list[str]:
    """The checkpoints of every runner."""
    from shiftforge.sim.runner import runner_kinds, runner_of

    names = (name for kind in runner_kinds() for name in runner_of(kind).checkpoints)
    return list(dict.fromkeys(names))


def checkpoint_problems(names: Iterable[str]) -> list[Problem]:
    """A problem for each name that no runner has as a checkpoint."""
    known = checkpoints()
    return [
        Problem(f"unknown checkpoint {name!r}", f"use one of: {', '.join(known)}")
        for name in dict.fromkeys(names)
        if name not in known
    ]


def project_problems(folder: Path | None, **values: Any) -> list[Problem]:
    """What is wrong with a project's folder, and with options that its kind has not."""
    from shiftforge.cli.dynamic import foreign_options
    from shiftforge.errors import Problems
    from shiftforge.generator.project import open_project

    problems = Problems()
    project = None if folder is None else problems.check(open_project, folder)
    if project is not None:
        problems += foreign_options(project.kind, runner_options)
    return problems


def output_file_problems(path: Path, suffix: str, is_ours: Callable[[Path], bool]) -> list[Problem]:
    """What stops ``path`` from being written: checked before any work is done.

    is_ours: tells whether an existing file was written by this program; no other is overwritten.
    """
    try:
        return _file_problems(path, suffix, is_ours) or output_problems(path)
    except OSError as error:
        return [system_problem(error, path)]


def _file_problems(path: Path, suffix: str, is_ours: Callable[[Path], bool]) -> list[Problem]:
    where = str(path)
    if path.is_dir():
        return [Problem("is a folder", f"name a file, such as {path / ('model' + suffix)}", where)]
    problems = []
    if path.suffix != suffix:
        problems.append(
            Problem(f"does not end in {suffix}", f"use {path.with_suffix(suffix)}", where)
        )
    if not path.parent.is_dir():
        problems.append(Problem("its folder does not exist", f"mkdir -p {path.parent}", where))
    elif path.exists() and not is_ours(path):
        problems.append(
            Problem(
                "exists and was not written by shiftforge",
                "name another file, or remove this one",
                where,
            )
        )
    return problems


def is_model_file(path: Path) -> bool:
    """Whether an existing file is a model of `quantize`, and so may be replaced by another."""
    from shiftforge.generator.target import says_it_is_ours

    return says_it_is_ours(path)
