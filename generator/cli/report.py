"""``shiftforge report``: a project as one HTML page, and the JSON files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shiftforge.cli.options import (
    RunCommand,
    device_problems,
    json_option,
    sample_options,
    time_limit_option,
)
from shiftforge.errors import Problem

__all__ = ["command"]

_SAMPLES = 8


def _early(
    devices: tuple[str, ...], source: str | None, no_run: bool, rtl: bool, **values: Any
) -> list[Problem]:
    problems = device_problems(devices)
    if rtl and source is None:
        problems.append(Problem("--rtl runs samples, and there are none", "give --input"))
    if no_run and (source is not None or devices):
        what = "--no-run, and what is to run"
        problems.append(Problem(what, "leave out --no-run, or --input and --device"))
    return problems


def _places(folder: Path, output: Path | None, **values: Any) -> list[Problem]:
    from shiftforge.cli.dynamic import foreign_options, runner_options
    from shiftforge.errors import Problems
    from shiftforge.generator.page.page import page_problems
    from shiftforge.generator.project import open_project
    from shiftforge.reporting import page_file_problems

    problems = Problems(page_problems())
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
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.html",
    help="Where the page goes; its JSON files go beside it.  [default: DIR/report/report.html]",
)  # fmt: skip
@sample_options(required=False, of="For the accuracy: ")
@click.option(
    "--device", "devices", multiple=True, metavar="NAME",
    help="Run on this device (again for more); without it on all that are usable.",
)  # fmt: skip
@click.option("--rtl", is_flag=True, help="For a text classifier: simulate its RTL, too.")
@click.option("--no-run", is_flag=True, help="Modelled figures alone.")
@time_limit_option()
@json_option
def command(
    folder: Path,
    output: Path | None,
    source: str | None,
    limit: int | None,
    devices: tuple[str, ...],
    rtl: bool,
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
    """
    from shiftforge.cli.dynamic import chosen_options
    from shiftforge.cli.output import print_json, print_text, progress
    from shiftforge.generator.project import open_project
    from shiftforge.quant.text.inputs import own_count
    from shiftforge.reporting import report
    from shiftforge.sim.runner import runner_of

    if limit is None and (source is None or own_count(source) is None):
        limit = _SAMPLES
    kind = open_project(folder).kind
    options = {k: v for k, v in vars(chosen_options(runner_of(kind).options, values)).items()
               if k in values and v is not None}  # fmt: skip
    with progress() as advance:
        page = report(
            folder, output=output, input=source, limit=limit, devices=devices or None,
            run=not no_run, rtl=rtl, time_limit_s=time_limit, progress=advance, **options,
        )  # fmt: skip
    if as_json:
        print_json({"page": page, "files": sorted(p.name for p in page.parent.glob("*.json"))})
    else:
        print_text(str(page))
