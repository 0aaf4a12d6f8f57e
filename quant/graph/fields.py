"""Typed reading of untrusted JSON: every fault is noted, none raises on the way."""

from __future__ import annotations

import math
from typing import Any

from shiftforge.errors import Problem

__all__ = ["Fields"]

_INT_LIMIT = 1 << 62


class Fields:
    """One JSON object. Each reader returns a placeholder and notes a problem where a field is bad.

    The caller raises once, when everything is read, if any problem was noted.
    """

    def __init__(self, value: Any, where: str, problems: list[Problem]) -> None:
        self.where = where
        self._problems = problems
        self._object: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self.note("is not an object")

    def note(self, what: str, remedy: str = "make the model file anew") -> None:
        """Note a problem at this place."""
        self._problems.append(Problem(what, remedy, self.where))

    def has(self, key: str) -> bool:
        """Whether the field exists."""
        return key in self._object

    def names(self) -> tuple[str, ...]:
        """The names of all fields."""
        return tuple(self._object)

    def raw(self, key: str) -> Any:
        """The field as it stands; None where it is missing."""
        if key not in self._object:
            self.note(f"field {key!r} is missing")
        return self._object.get(key)

    def text(self, key: str) -> str:
        """A string."""
        value = self.raw(key)
        if isinstance(value, str):
            return value
        self._wrong(key, "a string")
        return ""

    def integer(self, key: str) -> int:
        """An integer of less than 63 bits."""
        value = self.raw(key)
        if _is_int(value):
            return int(value)
        self._wrong(key, "an integer")
        return 0

    def flag(self, key: str) -> bool:
        """A boolean."""
        value = self.raw(key)
        if isinstance(value, bool):
            return value
        self._wrong(key, "true or false")
        return False

    def integers(self, key: str, count: int) -> tuple[int, ...]:
        """Exactly count integers."""
        value = self.raw(key)
        if isinstance(value, list) and len(value) == count and all(_is_int(v) for v in value):
            return tuple(value)
        self._wrong(key, f"a list of {count} integers")
        return (0,) * count

    def any_integers(self, key: str) -> tuple[int, ...]:
        """Integers, however many."""
        value = self.raw(key)
        if isinstance(value, list) and all(_is_int(v) for v in value):
            return tuple(value)
        self._wrong(key, "a list of integers")
        return ()

    def real(self, key: str) -> float:
        """A finite number."""
        value = self.raw(key)
        if _is_real(value):
            return float(value)
        self._wrong(key, "a finite number")
        return 0.0

    def reals(self, key: str) -> tuple[float, ...]:
        """Finite numbers."""
        value = self.raw(key)
        if isinstance(value, list) and all(_is_real(v) for v in value):
            return tuple(float(v) for v in value)
        self._wrong(key, "a list of finite numbers")
        return ()

    def texts(self, key: str) -> tuple[str, ...]:
        """Strings."""
        value = self.raw(key)
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            return tuple(value)
        self._wrong(key, "a list of strings")
        return ()

    def mapping(self, key: str) -> dict[str, Any]:
        """An object, as it stands."""
        value = self.raw(key)
        if isinstance(value, dict):
            return value
        self._wrong(key, "an object")
        return {}

    def child(self, key: str) -> Fields:
        """An object, to be read field by field."""
        return Fields(self.raw(key), f"{self.where}.{key}", self._problems)

    def children(self, key: str) -> list[Fields]:
        """A list of objects, to be read field by field."""
        value = self.raw(key)
        if not isinstance(value, list):
            self._wrong(key, "a list")
            return []
        return [Fields(v, f"{self.where}.{key}[{k}]", self._problems) for k, v in enumerate(value)]

    def _wrong(self, key: str, wanted: str) -> None:
        if key in self._object:
            self.note(f"field {key!r} is not {wanted}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _INT_LIMIT


def _is_real(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))
