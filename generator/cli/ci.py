"""``shiftforge ci``: a regression suite of a generated project, for a user's own CI."""

from __future__ import annotations

import click

from shiftforge.cli import ci_init, ci_run

__all__ = ["command"]


@click.group("ci", short_help="Write a regression suite of a project, and run it.")
def command() -> None:
    """Write a regression suite of a generated project (`ci init`), and run it (`ci run`).

    Both print one document with --json; each has its own --help.
    """


command.add_command(ci_init.command)
command.add_command(ci_run.command)
