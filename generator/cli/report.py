"""``shiftforge report``: a project as one HTML page, and the JSON files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shiftforge.cli.command import CheckedCommand
from shiftforge.cli.options import json_option
from shiftforge.errors import Problem

__all__ = ["command"]


def _places(folder: Path, output: Path | None, **values: Any) -> list[Problem]:
    from shiftforge.errors import Problems
    from shiftforge.generator.page.page import page_problems
    from shiftforge.generator.project import open_project
    from shiftforge.reporting import page_file_problems

    problems = Problems(page_problems())
    problems.check(open_project, folder)
    if output is not None:
        problems += page_file_problems(output)
    return problems


@click.command(
    "report",
    cls=CheckedCommand,
    places=_places,
    short_help="Write a project's page: network, time and space, with JSON files.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.html",
    help="Where the page goes; its JSON files go beside it.  [default: DIR/report/report.html]",
)  # fmt: skip
@json_option
def command(folder: Path, output: Path | None, as_json: bool) -> None:
    """Write one HTML page that tells the project in DIR, and JSON files with all of its figures.

    The page needs no network and no scripts. Every figure names its place in the files beside it.
    """
    from shiftforge.cli.output import print_json, print_text, progress
    from shiftforge.reporting import report

    with progress() as advance:
        page = report(folder, output=output, progress=advance)
    if as_json:
        print_json({"page": page})
    else:
        print_text(str(page))
