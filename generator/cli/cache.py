"""``shiftforge cache``: what is kept on disk for the next run, and forgetting it."""

from __future__ import annotations

import click

from shiftforge.cli.options import json_option
from shiftforge.cli.output import note, print_json, print_table
from shiftforge.errors import InputError, Problem

__all__ = ["command"]


@click.command("cache", short_help="Show or clear what is kept between runs.")
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("--clear", "forget", is_flag=True, help="Forget what is kept of KIND, or of all.")
@json_option
def command(kinds: tuple[str, ...], forget: bool, as_json: bool) -> None:
    """Show what earlier runs left in $XDG_CACHE_HOME/shiftforge (~/.cache) for later ones.

    Everything is found by a digest of what decides it, and made anew where it is missing. Of each
    KIND what was used longest ago goes where the limit is reached. SHIFTFORGE_CACHE_OFF=KIND[,KIND]
    (or all) keeps and reads no designs, programs, probes, counts or drawings.
    """
    from shiftforge.kept import KINDS, clear, held

    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        remedy = f"use {', '.join(KINDS)}"
        raise InputError([Problem(f"nothing of the kind {kind!r} is kept", remedy, "KIND")
                          for kind in unknown])  # fmt: skip
    wanted = kinds or tuple(KINDS)
    if forget:
        note(f"{_text(clear(wanted))} freed")
    found = [own for own in held() if own.kind in wanted]
    if as_json:
        print_json(found)
        return
    rows = [(own.kind, own.what, f"{own.entries:,}", _text(own.size), _text(own.most), own.folder)
            for own in found]  # fmt: skip
    print_table("", ("kind", "what", "entries", "size", "limit", "folder"), rows)


def _text(size: float) -> str:
    """A number of bytes in words."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
