"""Seeds of simulations on the command line: one, some, or a range."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

__all__ = ["MOST_SEEDS", "Seeds"]

MOST_SEEDS = 1000
_MOST = 2**31 - 2  # Verilator's seeds have 31 bits
_PART = re.compile(r"([0-9]{1,12})(?:\.\.([0-9]{1,12}))?")


if TYPE_CHECKING:
    _Type = click.ParamType[tuple[int, ...]]  # generic since click 8.4
else:
    _Type = click.ParamType


class Seeds(_Type):
    """Such as "7", "1..20" or "1,4,9..12": each seed once, in the order given."""

    name = "seeds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """See click."""
        if isinstance(value, tuple):
            return value
        found: dict[int, None] = {}
        for part in str(value).split(","):
            match = _PART.fullmatch(part.strip())
            if match is None:
                self.fail(f"{value!r} is no seed: write 7, 1..20 or 1,4,9..12", param, ctx)
            first, last = int(match[1]), int(match[2] or match[1])
            if not first <= last <= _MOST:
                self.fail(f"{part.strip()!r} is no range of seeds up to {_MOST:,}", param, ctx)
            if last - first >= MOST_SEEDS:
                self.fail(f"{part.strip()!r} is more than {MOST_SEEDS:,} seeds", param, ctx)
            found |= dict.fromkeys(range(first, last + 1))
        if len(found) > MOST_SEEDS:
            self.fail(f"{value!r} is more than {MOST_SEEDS:,} seeds", param, ctx)
        return tuple(found)
