"""Sizes of the unit's data buffers on the command line: bytes, or a size by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shiftforge.generator.edgebert.unit import BUFFERS

__all__ = ["BufferSize"]

if TYPE_CHECKING:
    _Type = click.ParamType[int]  # generic since click 8.4
else:
    _Type = click.ParamType


class BufferSize(_Type):
    """Such as "65536", or a name of BUFFERS; ``UnitConfig`` says which bytes are offered."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        if value in BUFFERS:
            return BUFFERS[value]
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is no size: write bytes, or {' or '.join(BUFFERS)}", param, ctx)
