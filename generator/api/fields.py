"""Values from outside as frozen dataclasses: every field that is missing or wrong is a problem."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

__all__ = ["read_fields"]

T = TypeVar("T")
_SHOWN = 60


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """pydantic is imported only where something is read."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def read_fields(kind: type[T], value: Mapping[str, Any], where: str, remedy: str) -> T:
    """A dataclass from a mapping of JSON's types; nothing is converted, other keys are ignored.

    Raises InputError with every field that is missing, of another type or out of its bounds (those
    of its annotation, or what the dataclass itself refuses).
    """
    from pydantic import ValidationError

    try:
        # As JSON, because strict validation of Python objects wants tuples for tuples.
        found: T = _adapter(cast(Hashable, kind)).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise InputError(_problems(error, where, remedy)) from error
    return found


def _problems(error: ValidationError, where: str, remedy: str) -> list[Problem]:
    """A problem for each error."""
    found = []
    for each in error.errors(include_url=False):
        got = repr(each["input"])
        got = got if len(got) <= _SHOWN else f"{got[:_SHOWN]}..."
        told = "" if each["type"] == "missing" else f", got {got}"
        place = ".".join(str(part) for part in each["loc"])
        found.append(Problem(f"{place}: {each['msg']}{told}", remedy, where))
    return found
