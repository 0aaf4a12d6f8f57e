"""``shiftforge boards``: what boards there are and where their figures come from."""

from __future__ import annotations

import click

from shiftforge.cli.options import json_option
from shiftforge.cli.output import plain, print_json, print_table

__all__ = ["command"]


@click.command("boards", short_help="List the boards, or show one with its sources.")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the boards, or show one (NAME, or the path of your own .toml file) with its sources."""
    from shiftforge.boards.figures import flat
    from shiftforge.boards.load import list_boards, load_board

    if name is not None:
        board = load_board(name)
        if as_json:
            print_json(board)
            return
        rows = [
            (field, value, board.sources.get(field, ""))
            for field, value in flat(plain(board))
            if not field.startswith("sources.")
        ]
        print_table(board.title, ("field", "value", "source"), rows)
        return
    boards = [load_board(known) for known in list_boards()]
    if as_json:
        print_json(boards)
        return
    print_table(
        "",
        ("name", "board", "ALM", "DSP", "block RAM", "GB/s", "MHz (assumed)", "SDK"),
        [
            (
                b.name,
                b.title,
                f"{b.alm:,}",
                f"{b.dsp:,}",
                f"{b.ram_blocks:,} {b.ram_block_kind}",
                b.memory.bandwidth_gb_s,
                f"{b.clock_mhz_assumed:g}",
                f"{b.sdk.edition} {b.sdk.version}",
            )
            for b in boards
        ],
    )
