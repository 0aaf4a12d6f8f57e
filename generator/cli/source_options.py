"""Options that say of a source what it does not, for ``quantize`` and ``check``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

__all__ = ["OVERRIDES", "Numbers", "given_options", "source_options"]

_LONGEST = 200

F = TypeVar("F", bound=Callable[..., Any])

OVERRIDES = ("resolution", "input_shape", "mean", "std", "labels", "settle_batchnorm")
"""Parameters that replace what a source says of its input and output."""


if TYPE_CHECKING:
    _Type = click.ParamType[tuple[float, ...]]  # generic since click 8.4
else:
    _Type = click.ParamType


class Numbers(_Type):
    """Numbers between commas: whole ones from 1 (``whole``), or finite ones."""

    def __init__(self, name: str, whole: bool = False) -> None:
        self.name, self.whole = name, whole

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """See click."""
        if isinstance(value, tuple):
            return value
        read: Callable[[str], float] = int if self.whole else float
        try:
            found = tuple(read(part) for part in value.split(",") if len(value) <= _LONGEST)
        except ValueError:
            found = ()
        good = found and (min(found) >= 1 and len(found) == 3 if self.whole else True)
        if not good or not all(map(isfinite, found)):
            self.fail(f"{value[:_LONGEST]!r} is not {self.name}", param, ctx)
        return found


def source_options(command: F) -> F:
    """``--resolution``, ``--input-shape``, ``--mean``, ``--std``, ``--labels`` and the like."""
    for option in reversed(
        (
            click.option(
                "--resolution",
                type=int,
                help="Side of a square input in place of the source's.",
            ),
            click.option(
                "--input-shape",
                type=Numbers("C,H,W", whole=True),
                metavar="C,H,W",
                help="Of a factory's network, in place of its input_shape.",
            ),
            click.option(
                "--mean",
                type=Numbers("numbers between commas"),
                metavar="M,...",
                help="Of every channel: the network takes (pixel / 255 - mean) / std.",
            ),
            click.option(
                "--std",
                type=Numbers("numbers between commas"),
                metavar="S,...",
                help="As --mean; both in place of the source's preprocess.",
            ),
            click.option(
                "--labels",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Names of the classes, one a line, in place of the source's.",
            ),
            click.option(
                "--settle-batchnorm",
                metavar="INPUT",
                help="Of a network whose batch norms were never trained: the frames that they take "
                "their statistics from.",
            ),
        )
    ):
        command = option(command)
    return command


def given_options(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the values that are not None, as Python's functions take them."""
    return {name: values[name] for name in names if values.get(name) is not None}
