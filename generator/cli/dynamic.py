"""Options of commands that come from the registered targets: one field of a dataclass each.

A command of this kind has its own parameters and those of every target or runner that is
registered when it runs, so that a new target's options need no line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import click
from click.core import ParameterSource

from shiftforge.cli.command import CheckedCommand, FiniteRange, folder_type
from shiftforge.errors import Problem

__all__ = [
    "DynamicCommand",
    "chosen_options",
    "foreign_options",
    "runner_options",
    "target_options",
]

Source = Callable[[], Mapping[str, tuple[str, type[Any]]]]
"""Gives, by kind, what the options are for (in words) and their dataclass."""
_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def target_options() -> Mapping[str, tuple[str, type[Any]]]:
    """Of every target of ``generate``."""
    from shiftforge.generator.target import kinds, load_object

    return {entry.kind: (entry.takes, load_object(entry.options)) for entry in kinds()}


def runner_options() -> Mapping[str, tuple[str, type[Any]]]:
    """Of every runner, for commands that run projects."""
    from shiftforge.generator.target import kinds
    from shiftforge.sim.runner import runner_kinds, runner_of

    takes = {entry.kind: entry.takes for entry in kinds()}
    return {kind: (takes.get(kind, kind), runner_of(kind).options) for kind in runner_kinds()}


class DynamicCommand(CheckedCommand):
    """A command with more options than it was written with. source: of those; they come before
    ``--json`` in the help. Two kinds may share an option of one type; ValueError for a field that
    is called as another type's, or as a parameter of the command."""

    source: Source = staticmethod(target_options)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """See click."""
        own = super().get_params(ctx)
        taken = {parameter.name for parameter in own}
        more: dict[str, click.Option] = {}
        for takes, options in self.source().values():
            for option in _options(options, self.name or ""):
                name = option.name or ""
                other = more.setdefault(name, option)
                if name in taken or repr(option.type) != repr(other.type):
                    raise ValueError(f"the option {name!r} for {takes} is another one already")
        at = next((i for i, p in enumerate(own) if p.name == "as_json"), len(own))
        return [*own[:at], *more.values(), *own[at:]]

    def option_problems(self, ctx: click.Context) -> list[Problem]:
        """What each kind's dataclass says is wrong with the values given, whatever they are for."""
        from shiftforge.generator.target import option_problems

        return [
            problem
            for _, options in self.source().values()
            for problem in option_problems(chosen_options(options, ctx.params))
        ]


def _options(options: type[Any], command: str) -> list[click.Option]:
    """A click option for each field whose metadata does not keep it to other commands."""
    hints = get_type_hints(options)
    found = []
    for field in fields(options):
        metadata = dict(field.metadata)
        if command not in metadata.pop("commands", (command,)):
            continue
        kind = next((k for k in get_args(hints[field.name]) or (hints[field.name],)
                     if k is not NoneType), str)  # fmt: skip
        default = None if field.default is MISSING else field.default
        name = metadata.pop("name", field.name.replace("_", "-"))
        found.append(
            click.Option(
                [f"--{name}", field.name],
                type=_type(kind, metadata),
                default=default,
                show_default=default is not None,
                is_flag=kind is bool,
                metavar=metadata.get("metavar"),
                help=metadata.get("help"),
            )
        )
    return found


def _type(kind: type[Any], metadata: Mapping[str, Any]) -> Any:
    if kind is Path:
        return folder_type() if metadata.get("folder") else click.Path(path_type=Path)
    if kind is int and "min" in metadata:
        return click.IntRange(metadata["min"])
    if kind is float and "min" in metadata:
        return FiniteRange(min=metadata["min"])
    if kind is float and "above" in metadata:
        return FiniteRange(min=metadata["above"], min_open=True)
    return None if kind is bool else kind


def chosen_options(options: type[Any], values: Mapping[str, Any]) -> Any:
    """The dataclass of what was given to the current command.

    Else its own defaults: an option of two kinds has the first one's on the command line.
    """
    context = click.get_current_context()
    known = {field.name for field in fields(options)}
    return options(
        **{
            name: value
            for name, value in values.items()
            if name in known and context.get_parameter_source(name) in _GIVEN
        }
    )


def foreign_options(kind: str, source: Source) -> list[Problem]:
    """A problem for each option given to the current command that another kind has, and not this.

    kind: of the file or project at hand.
    """
    context = click.get_current_context()
    table = source()
    own = {field.name for field in fields(table[kind][1])} if kind in table else set()
    owners: dict[str, list[str]] = {}
    for takes, options in table.values():
        for field in fields(options):
            if field.name not in own:
                owners.setdefault(field.name, []).append(takes)
    shown = {p.name: p.opts[0] for p in context.command.get_params(context)}
    return [
        Problem(f"{shown[name]} is for {', '.join(dict.fromkeys(takes))}", "leave it out")
        for name, takes in owners.items()
        if name in shown and context.get_parameter_source(name) in _GIVEN
    ]
