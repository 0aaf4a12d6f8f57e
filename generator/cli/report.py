"""``shiftforge report``: a project as one HTML page, and the JSON files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shiftforge.cli.options import (
    RunCommand,
    device_problems,
    json_option,
    refuse_options,
    sample_options,
    time_limit_option,
)
from shiftforge.errors import InputError, Problem

__all__ = ["command"]

_SAMPLES = 8


def _early(
    folders: tuple[Path, ...], devices: tuple[str, ...], source: str | None, no_run: bool,
    rtl: bool, **values: Any,
) -> list[Problem]:  # fmt: skip
    problems = device_problems(devices)
    if len(folders) > 2:
        problems.append(Problem(f"{len(folders)} projects", "name one, or two to compare"))
    if len(folders) == 2:
        runs = ("source", "limit", "devices", "no_run", "rtl", "routed")
        problems += refuse_options(runs, "runs nothing where two designs are compared")
    if rtl and source is None:
        problems.append(Problem("--rtl runs samples, and there are none", "give --input"))
    if no_run and (source is not None or devices):
        what = "--no-run, and what is to run"
        problems.append(Problem(what, "leave out --no-run, or --input and --device"))
    return problems


def _places(folders: tuple[Path, ...], output: Path | None, **values: Any) -> list[Problem]:
    from shiftforge.cli.dynamic import foreign_options, runner_options
    from shiftforge.errors import Problems
    from shiftforge.generator.page.page import page_problems
    from shiftforge.generator.project import open_project
    from shiftforge.page_files import page_file_problems

    problems = Problems(page_problems())
    for folder in folders:
        project = problems.check(open_project, folder)
        if project is not None:
            problems += foreign_options(project.kind, runner_options)
    if output is not None:
        problems += page_file_problems(output)
    return problems


@click.command(
    "report",
    cls=RunCommand,
    early=_early,
    places=_places,
    short_help="Write a project's page: network, time and space, with JSON files.",
)
@click.argument(
    "folders", metavar="DIR [OTHER]", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.html",
    help="Where the page goes, and its JSON files beside it.  [default: DIR/report/report.html, or "
    "OTHER/report/changes.html]",
)  # fmt: skip
@sample_options(required=False, of="For the accuracy: ")
@click.option(
    "--device", "devices", multiple=True, metavar="NAME",
    help="Run on this device (again for more); without it on all that are usable.",
)  # fmt: skip
@click.option("--rtl", is_flag=True, help="For a text classifier: simulate its RTL, too.")
@click.option(
    "--routed", multiple=True, type=click.Path(path_type=Path), metavar="FILE.json",
    help="For a text classifier: what `route --json` printed of a block (again for more).",
)  # fmt: skip
@click.option("--no-run", is_flag=True, help="Modelled figures alone.")
@time_limit_option()
@json_option
def command(
    folders: tuple[Path, ...],
    output: Path | None,
    source: str | None,
    limit: int | None,
    devices: tuple[str, ...],
    rtl: bool,
    routed: tuple[Path, ...],
    no_run: bool,
    time_limit: float,
    as_json: bool,
    **values: Any,
) -> None:
    """Write one HTML page that tells the project in DIR, and JSON files with all of its figures.

    The page needs no network and no scripts. Every figure names its place in the files beside it.
    Cycles are counted in simulated time on the first usable device; with --input samples run in
    float, in integers and on every device. What the page has not it names, with the command that
    gives it.

    With two projects the page tells what changed from DIR to OTHER.
    """
    from shiftforge.cli.dynamic import chosen_options, foreign_options, runner_options
    from shiftforge.cli.output import note, print_json, print_text, progress
    from shiftforge.generator.project import open_project
    from shiftforge.quant.text.inputs import own_count
    from shiftforge.reporting import report, report_changes
    from shiftforge.sim.runner import runner_of

    if len(folders) == 2:
        page = report_changes(*folders, output=output)
        names = ["comparison.json"]
    else:
        if limit is None and (source is None or own_count(source) is None):
            limit = _SAMPLES
        kind = open_project(folders[0]).kind
        if foreign_options(kind, runner_options):
            raise InputError(_places(folders, output))
        options = {
            name: value
            for name, value in vars(chosen_options(runner_of(kind).options, values)).items()
            if name in values and value is not None
        }
        if not no_run:
            note(f"running {folders[0]}: cycles in simulated time{' and samples' * bool(source)}")
        with progress() as advance:
            page = report(
                folders[0], output=output, input=source, limit=limit, devices=devices or None,
                run=not no_run, rtl=rtl, routed=routed, time_limit_s=time_limit,
                progress=advance, **options,
            )  # fmt: skip
        names = sorted(path.name for path in page.parent.glob("*.json"))
    if as_json:
        print_json({"page": page, "files": names})
    else:
        print_text(str(page))
