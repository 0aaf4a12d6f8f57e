"""The Jinja environment of every template: values are escaped for the language, none is missing."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from shiftforge.generator import escape

__all__ = ["MAX_VECTOR", "render", "render_html", "verbatim_html"]

MAX_VECTOR = 8
_FILTERS = (
    escape.c_comment,
    escape.indented_code,
    escape.make_comment,
    escape.make_word,
    escape.make_words,
    escape.markdown,
    escape.markdown_code,
    escape.python_doc,
    escape.python_value,
    escape.yaml_text,
)


@cache
def _environment(html: bool = False) -> jinja2.Environment:
    def load(name: str) -> str | None:
        path = files("shiftforge.templates").joinpath(name)
        return path.read_text(encoding="utf-8") if path.is_file() else None

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        undefined=jinja2.StrictUndefined,
        finalize=escape.html_line if html else escape.guard,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=html,
    )
    environment.filters |= {function.__name__: function for function in _FILTERS}
    return environment


def render(template: str, values: dict[str, Any]) -> str:
    """A template of the ``templates`` folder with its values; a missing value is an error.

    Texts from files of users go through a filter of ``escape``. Raises ValueError for one that
    does not and could end what it stands in, InputError where a language cannot hold it.
    """
    return _environment().get_template(template).render(values)


def render_html(template: str, values: dict[str, Any]) -> str:
    """A template of HTML with its values: every text is escaped, and none is missing."""
    return _environment(html=True).get_template(template).render(values)


def verbatim_html(text: str) -> Markup:
    """The project's own HTML, or what a library has drawn and escaped."""
    return Markup(text)
