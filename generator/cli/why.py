"""How ``generate`` tells why a design is as it is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["print_why", "with_commands"]

_NEIGHBOURS = {
    "smaller": "next smaller",
    "larger": "next larger",
    "board": "fastest on the board",
}


def with_commands(why: Mapping[str, Any], model: Path, board: str) -> dict[str, Any]:
    """The same; each design has the command that generates it."""
    found = dict(why)
    for name in _NEIGHBOURS:
        if found.get(name):
            given = f"{shlex.quote(str(model))} --board {shlex.quote(board)}"
            command = f"shiftforge generate {given} {found[name]['options']} -o DIR"
            found[name] = {**found[name], "command": command}
    return found


def print_why(why: Mapping[str, Any]) -> None:
    """What takes the cycles, and the designs next to this one."""
    from shiftforge.cli.output import print_table

    total = sum(why["bounds"].values())
    layers = [own["bound"] for own in why["layers"]]
    rows = [
        (name, why["words"][name], layers.count(name), f"{cycles:,}", f"{cycles / total:.1%}",
         _longest(why, name))
        for name, cycles in why["bounds"].items()
    ]  # fmt: skip
    columns = ("bound", "by", "layers", "cycles", "of all", "longest layers")
    print_table("why: what bounds the layers", columns, rows)
    near = []
    for name, text in _NEIGHBOURS.items():
        if own := why.get(name):
            more = f"; then {own['limit']} are the limit" if "limit" in own else ""
            near.append(
                (text + more, f"{own['modelled_fps']:,.0f}",
                 f"{own['alm']:,} ({own['alm_fraction']:.1%})",
                 f">= {own['ram_blocks_at_least']:,}", own["command"])
            )  # fmt: skip
    if near:
        heads = ("design", "fps", "ALMs", "RAM blocks", "command")
        print_table("designs next to it, modelled", heads, near)


def _longest(why: Mapping[str, Any], bound: str) -> str:
    own = sorted((x for x in why["layers"] if x["bound"] == bound), key=lambda x: -x["cycles"])
    return ", ".join(x["name"] for x in own[:3])
