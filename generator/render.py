"""The Jinja environment of every template, and names as text that no template has to fear."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

__all__ = ["MAX_VECTOR", "plain_text", "render"]

MAX_VECTOR = 8


@cache
def _environment() -> jinja2.Environment:
    def load(name: str) -> str | None:
        path = files("shiftforge.templates").joinpath(name)
        return path.read_text(encoding="utf-8") if path.is_file() else None

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, values: dict[str, Any]) -> str:
    """A template of the ``templates`` folder with its values; a missing value is an error."""
    return _environment().get_template(template).render(values)


def plain_text(text: str) -> str:
    """A network's own names as text for comments and strings: only what cannot end either."""
    return "".join(c if c.isalnum() or c in "._-/ ():" else "_" for c in text).replace("*/", "__")
