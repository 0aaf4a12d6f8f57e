"""``shiftforge doctor``: is everything here that the other commands need?"""

from __future__ import annotations

import click

from shiftforge.cli.options import json_option
from shiftforge.cli.output import note, print_json, print_table

__all__ = ["command"]

_SHOWN = {"ok": "ok", "failed": "FAIL", "missing": "-"}


@click.command("doctor", short_help="Check that everything needed is installed.")
@json_option
def command(as_json: bool) -> None:
    """Check Python, packages, OpenCL devices and tools; say what mends each finding.

    A device counts as usable when it has built and run a small kernel with the right numbers. What
    is optional and missing is marked "-". Exit code 1 when something else is missing or fails.
    """
    from shiftforge.cli.checks import all_checks
    from shiftforge.errors import CheckFailed

    note("looking at packages, OpenCL devices (a small kernel on each) and tools")
    found = list(all_checks())
    if as_json:
        print_json([check.to_dict() for check in found])
    else:
        rows = [(c.name, _SHOWN[c.state], c.detail, c.remedy) for c in found]
        print_table("", ("check", "", "found", "remedy"), rows)
    failed = [c.name for c in found if not c.ok]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(found)}: {', '.join(failed)}")
