"""A command that looks at every option before it loads anything, and tells all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, TypeAlias

import click
from click.core import iter_params_for_processing

from shiftforge.errors import Problem, Problems

__all__ = ["CheckedCommand", "Early", "FiniteRange", "folder_type"]

Early: TypeAlias = Callable[..., Iterable[Problem]]
"""Takes a command's parameters by name and gives what is wrong with them, loading nothing.

Values that click refused are told already: here they have their defaults.
"""


class FiniteRange(click.FloatRange):
    """A number in a range that is neither infinite nor "nan", which no comparison refuses."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        found = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value} is no finite number.", param, ctx)
        return found


def folder_type() -> click.Path:
    """A folder that is there."""
    from pathlib import Path

    return click.Path(exists=True, file_okay=False, path_type=Path)


class CheckedCommand(click.Command):
    """Refuses bad options with all their problems, before the command itself begins.

    early: what is wrong with the options, all of them together; what click's types refuse comes
    first. places: what is wrong with the paths that it reads and writes, as far as that is seen at
    once; told with these where there are any. The command itself tells it otherwise, with what else
    it finds.
    """

    def __init__(
        self, *args: Any, early: Early | None = None, places: Early | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.early, self.places = early, places

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, but a value of a wrong type or range does not hide the others."""
        try:
            return super().parse_args(ctx, list(args))
        except click.MissingParameter:
            raise
        except click.BadParameter:
            pass
        given, rest, order = self.make_parser(ctx).parse_args(args=list(args))
        usual: dict[str, Any] = {}
        for parameter in iter_params_for_processing(order, self.get_params(ctx)):
            try:
                parameter.handle_parse_result(ctx, given, rest)
            except click.MissingParameter:
                raise
            except click.BadParameter as error:
                _told(ctx).append(_problem(error, parameter, ctx))
                usual[parameter.name or ""] = parameter.to_info_dict().get("default")
        # So that the others have their values, to be looked at together.
        ctx.params.clear()
        ctx.resilient_parsing = True
        try:
            left = super().parse_args(ctx, list(args))
        finally:
            ctx.resilient_parsing = False
        ctx.params.update(usual)
        return left

    def invoke(self, ctx: click.Context) -> Any:
        """Raises InputError with what is wrong with the options."""
        problems = Problems(_told(ctx))
        problems += self.option_problems(ctx)
        if self.early is not None:
            problems += self.early(**ctx.params)
        if problems and self.places is not None:
            problems += self.places(**ctx.params)
        problems.stop()
        return super().invoke(ctx)

    def option_problems(self, ctx: click.Context) -> list[Problem]:
        """What is wrong with options that the command has from elsewhere; none here."""
        return []


def _told(ctx: click.Context) -> list[Problem]:
    """Where a command line's problems are kept while it is read."""
    found: list[Problem] = ctx.meta.setdefault("shiftforge.problems", [])
    return found


def _problem(error: click.BadParameter, parameter: click.Parameter, ctx: click.Context) -> Problem:
    what = error.message.strip().rstrip(".")
    remedy = f"see {ctx.command_path} --help"
    where = (
        parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.human_readable_name
    )
    return Problem(what, remedy, where)
