"""The settings of the schemes by name: types, ranges and defaults, known without torch.

Those are the fields of the schemes' dataclasses, which tests hold against this table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftforge.errors import Problem

__all__ = ["NAMES", "SETTINGS", "Setting", "scheme_problems"]

_LARGE = 1e9


@dataclass(frozen=True)
class Setting:
    """kind: int, float, bool or str. most, least: of a number, and of each of ``count`` numbers
    (0: any count from 1) where it is a list; choices: of a text; above: least is left out."""

    kind: type
    default: Any
    least: float = 0.0
    most: float = _LARGE
    choices: tuple[str, ...] = ()
    optional: bool = False
    above: bool = False
    count: int | None = None

    def fits(self, value: Any) -> bool:
        """Whether a value is of the type and in the range."""
        if value is None:
            return self.optional
        if self.count is not None:
            good = isinstance(value, list | tuple) and len(value) > 0
            return good and len(value) in (self.count or len(value),) and all(map(self._one, value))
        return self._one(value)

    def _one(self, value: Any) -> bool:
        if self.kind is bool or self.kind is str:
            return isinstance(value, self.kind) and (not self.choices or value in self.choices)
        numbers = (int,) if self.kind is int else (int, float)
        if type(value) not in numbers or not abs(value) <= self.most or not math.isfinite(value):
            return False
        return bool(self.least < value if self.above else self.least <= value)

    def __str__(self) -> str:
        """The type and range in words."""
        if self.kind is bool:
            return "true or false"
        if self.choices:
            return " or ".join(self.choices)
        words = "whole number" if self.kind is int else "number"
        if self.most == self.least:
            span = f"{self.least:g}"
        elif self.most < _LARGE:
            span = f"{words} {'above ' if self.above else ''}{self.least:g} to {self.most:g}"
        else:
            span = f"{words} {'above' if self.above else 'from'} {self.least:g}"
        if self.count is not None:
            span = f"[{'two' if self.count else 'list'}, each a {span}]"
        return span + (" or null" if self.optional else "")


_SCALE = Setting(str, "pow2", choices=("pow2", "real"))
_GRANULARITY = Setting(str, "channel", choices=("channel", "layer"))


def _bits(default: int, least: int, most: int) -> Setting:
    return Setting(int, default, least, most)


def _shift(terms: int = 1, rounding: str = "linear", gradient: str = "ste") -> dict[str, Setting]:
    two = 2 if gradient == "ewgs" else 1
    return {
        "bits": _bits(4, 2, 5),
        "terms": Setting(int, terms, two, 2),
        "rounding": Setting(str, rounding, choices=("linear", "log")),
        "scale": _SCALE,
        "granularity": _GRANULARITY,
        "gradient": Setting(str, gradient, choices=("ste", "ewgs", "fisher", "hessian")),
        "delta": Setting(float, 1e-3),
        "samples": Setting(int, 128, 1),
        "rescale": Setting(bool, True),
        "omega": Setting(float, 0.0),
    }


_BUDGET = {
    "anneal": Setting(float, 0.5, 0, 1, above=True),
    "every": Setting(int, 10, 1),
}
_FLIGHT = _shift(2) | _BUDGET | {
    "terms": Setting(int, 2, 2, 2),
    "tau": Setting(float, 0.25, above=True),
    "threshold_rate": Setting(float, 1.0),
    "lambdas": Setting(float, (0.0, 1e-4), count=2),
    "target": Setting(float, None, 0, 1, optional=True),
}  # fmt: skip
_DTSSQ = _shift(2, gradient="ewgs") | _BUDGET | {
    "threshold": Setting(str, "learned", choices=("learned", "fixed")),
    "threshold_start": Setting(float, 0.25),
    "tau": Setting(float, 0.5, above=True),
    "threshold_rate": Setting(float, 100.0),
    "omega": Setting(float, 1e-4),
    "target": Setting(float, 0.5, 0, 1, optional=True),
}  # fmt: skip
_INT = {
    "bits": _bits(8, 2, 8),
    "scale": _SCALE,
    "granularity": _GRANULARITY,
    "learned": Setting(bool, True),
    "narrow": Setting(bool, True),
    "start": Setting(str, "mse", choices=("mse", "lsq")),
}
_DOREFA = {"bits": _bits(4, 1, 8)}


def _deepshift(variant: str) -> dict[str, Setting]:
    return {"bits": _bits(5, 2, 5), "variant": Setting(str, variant, choices=("Q", "PS"))}


SETTINGS: dict[str, dict[str, Setting]] = {
    "apot": {"bits": _bits(4, 3, 6), "scale": _SCALE, "alpha": Setting(float, 3.0, above=True)},
    "binaryconnect": {"stochastic": Setting(bool, False)},
    "binaryconnect-stochastic": {"stochastic": Setting(bool, True)},
    "bwn": {"scale": _SCALE},
    "deepshift-ps": _deepshift("PS"),
    "deepshift-q": _deepshift("Q"),
    "dorefa": _DOREFA,
    "dtssq": _DTSSQ,
    "flightnn": _FLIGHT,
    "inq": {
        "bits": _bits(5, 3, 5),
        "portions": Setting(float, (0.3, 0.6, 0.8, 1.0), 0, 1, count=0),
    },
    "int": _INT,
    "lightnn": _shift(rounding="log"),
    "pact": _DOREFA,
    "shift": _shift(),
    "shift2": _shift(2),
    "twn": {"scale": _SCALE, "granularity": _GRANULARITY},
    "xnor": {"scale": _SCALE},
}
"""Of every scheme, by its name."""
NAMES = tuple(SETTINGS)


def scheme_problems(name: str, options: Mapping[str, Any]) -> list[Problem]:
    """An unknown scheme; settings that it does not have, of another type or out of range."""
    if name not in SETTINGS:
        return [Problem(f"unknown scheme {name!r}", "use one of: " + ", ".join(NAMES))]
    known = SETTINGS[name]
    listed = "; ".join(f"{n}: {s} ({_told(s.default)})" for n, s in known.items())
    found = []
    for option, value in options.items():
        if option not in known:
            what = f"scheme {name!r} has no such option: {option}"
            found.append(Problem(what, f"its settings are {listed}"))
        elif not known[option].fits(value):
            what = f"{option} {value!r:.60} of scheme {name!r}"
            found.append(Problem(what, f"give {option} as {known[option]}"))
    return found


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(f'{v:g}' for v in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
