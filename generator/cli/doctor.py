"""``shiftforge doctor``: is everything here that the other commands need?"""

from __future__ import annotations

import click

from shiftforge.generator.cli.options import json_option
from shiftforge.generator.cli.output import note, print_json, print_table

__all__ = ["command"]


@click.command("doctor", short_help="Check that everything needed is installed.")
@json_option
def command(as_json: bool) -> None:
    """Check Python, packages, OpenCL devices and tools; say what mends each finding.

    Exit code 1 when something that is not optional is missing.
    """
    from shiftforge.errors import CheckFailed
    from shiftforge.generator.cli.checks import all_checks

    note("looking at packages, OpenCL devices and tools")
    found = list(all_checks())
    if as_json:
        print_json(found)
    else:
        rows = [(c.name, "ok" if c.ok else "FAIL", c.detail, c.remedy) for c in found]
        print_table("", ("check", "", "found", "remedy"), rows)
    failed = [c.name for c in found if not c.ok]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(found)}: {', '.join(failed)}")
