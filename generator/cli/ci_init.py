"""``shiftforge ci init``: a project to a suite: what is pinned, goldens, workflow files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.options import RunCommand, json_option, project_problems
from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.sim.ci.suite import Suite

__all__ = ["command", "required_problems"]

_FOLDER = "ci"
_COUNT, _MOST = 2, 64
_INPUT = "random:0"


@click.command(
    "init",
    cls=RunCommand,
    places=project_problems,
    short_help="Write a regression suite of a project.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The suite's folder; ci beside DIR without it.",
)
@click.option(
    "--input", "source", metavar="INPUT", help=f"Samples to keep, as of `emulate`; else {_INPUT}."
)
@click.option(
    "--inputs",
    "count",
    type=click.IntRange(1, _MOST),
    metavar="N",
    help=f"How many; {_COUNT} unless the input has fewer.",
)
@click.option(
    "--board", metavar="NAME", help="Of the design, where it is an own .toml file or was renamed."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The model file of `quantize`; the project's own copy without it.",
)
@click.option(
    "--require",
    multiple=True,
    metavar="NAME",
    help="A device, or rtl, that has to be usable wherever the suite runs (repeatable).",
)
@click.option(
    "--rtl",
    type=click.IntRange(0, _MOST),
    metavar="N",
    help="A text classifier's: samples on the RTL, 0 for none; 1 without it.",
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="ROOT",
    help="Write the workflow files there, at the repository's root, and not into FOLDER.",
)
@click.option(
    "--install", metavar="REQUIREMENT", help="What pip installs in CI, in place of this version."
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Write a suite that is there anew, with its own inputs where --input is not given.",
)
@json_option
def command(
    folder: Path,
    output: Path | None,
    source: str | None,
    count: int | None,
    require: tuple[str, ...],
    rtl: int | None,
    root: Path | None,
    install: str | None,
    overwrite: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Write a regression suite of the project in DIR (made by `generate`) to a folder.

    It pins the design, its model, the board's figures, the options and this version, keeps a few
    samples with what the reference computes of them, and has workflow files of GitHub Actions and
    GitLab. Commit it beside DIR; `shiftforge ci run FOLDER` checks everything. Files that are there
    and are other ones are kept unless --overwrite is given.
    """
    from shiftforge.cli.dynamic import chosen_options
    from shiftforge.cli.output import note, print_json, print_table, progress, warn
    from shiftforge.generator.project import open_project
    from shiftforge.sim.ci.make import Wanted, make_suite
    from shiftforge.sim.ci.suite import SUITE, suite_text
    from shiftforge.sim.ci.texts import default_install, repository, suite_texts
    from shiftforge.sim.ci.written import outside, place_problems, placed, write_files
    from shiftforge.sim.runner import runner_of

    beside = folder.parent if folder.name not in ("", "..") else folder.resolve().parent
    place = beside / _FOLDER if output is None else output
    problems = [*required_problems(require), *place_problems(place, folder, overwrite)]
    old = _old(place) if overwrite else None
    if problems:
        raise InputError([*problems, *project_problems(folder)])
    options = chosen_options(runner_of(open_project(folder).kind).options, values)
    kept = source is None and old is not None
    wanted = Wanted(
        project=folder,
        folder=place,
        spec=None if kept else source or _INPUT,
        count=count or (old.samples if kept and old is not None else _COUNT),
        board=values["board"],
        model=values["model"],
        run_options=options,
        require=require or (old.require if old is not None else ()),
        rtl=rtl if rtl is not None else old.rtl if kept and old is not None else 1,
        root=root,
        old=old,
    )
    with progress() as advance:
        made = make_suite(wanted, advance)
    top = repository(place) if root is None else root
    texts = placed(suite_texts(made.suite, place, top, install), place, root)
    files = {**{place / path: data for path, data in made.files.items()}, **texts}
    files[place / SUITE] = suite_text(made.suite)
    changed = write_files(files, place / SUITE, overwrite=overwrite)
    for text in made.notes:
        warn(text)
    for path in outside(made.suite, place, top):
        warn(f"{path} lies outside {top}: a clone of the repository will not have it")
    if as_json:
        print_json({"suite": place / SUITE, "written": changed, "pinned": made.suite})
        return
    rows = [(path, "written" if path in changed else "as it was") for path in sorted(files)]
    print_table("", ("file", ""), rows)
    if not install:
        named = default_install(made.suite)
        note(f"the workflow files install {named} from a package index; --install names another")
    note(f"run it with: shiftforge ci run {place}")


def required_problems(names: tuple[str, ...]) -> list[Problem]:
    """A problem for each name that no suite can require."""
    from shiftforge.sim.runner import DEVICE_NAMES, RTL

    known = (*DEVICE_NAMES, RTL)
    return [
        Problem(f"{name!r} cannot be required", f"use {', '.join(known)}", "--require")
        for name in names
        if name not in known
    ]


def _old(place: Path) -> Suite | None:
    """The suite that is there, as far as it can be read."""
    from shiftforge.sim.ci.suite import read_suite

    try:
        return read_suite(place)
    except InputError:
        return None
