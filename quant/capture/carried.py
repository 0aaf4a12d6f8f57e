"""What a user's network carries of its input, checked; nothing here needs PyTorch."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from typing import Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.graph.resizing import check_resize
from shiftforge.quant.graph.types import Preprocess

__all__ = [
    "NAMED",
    "NORMALISED",
    "check_name",
    "check_preprocess",
    "labels_of",
    "numbers_of",
    "shape_of",
]

NAMED = "name it package.module:factory, a function without arguments that returns a network"
NORMALISED = {"mean": (-1e6, 1e6), "std": (1e-6, 1e6)}
"""The least and the largest number of each: beyond these no picture has values in float32."""
_MOST_LABELS = 1 << 20


def check_name(source: str) -> tuple[str, str]:
    """(module, attribute) of "package.module:factory"; InputError where these are no names.

    Nothing is imported.
    """
    module, _, attribute = source.partition(":")
    problems = Problems()
    for what, name, parts in (
        ("module", module, module.split(".")),
        ("function", attribute, [attribute]),
    ):
        if not name:
            problems.append(Problem(f"the {what} has no name", NAMED, source))
        elif not all(re.fullmatch(r"\w[\w-]*", part) for part in parts):
            what = f"{name!a} is no {what}'s name"
            problems.append(Problem(what, NAMED, ascii(source)[1:-1]))
    problems.stop()
    return module, attribute


def _entries(value: Any) -> list[Any] | None:
    """The entries of a list, a tuple or an array; None for anything else."""
    kind = getattr(value, "tolist", None)
    if callable(kind):  # arrays and tensors
        try:
            value = kind()
        except Exception:
            return None
    return list(value) if isinstance(value, list | tuple) else None


def _whole(value: Any) -> int | None:
    """A whole number of Python's or numpy's; None for anything else, True and False too."""
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return None
    try:
        return operator.index(value)
    except Exception:
        return None


def shape_of(value: Any, where: str, what: str = "input_shape") -> tuple[int, int, int]:
    """(C, H, W) of three whole numbers of at least 1. Raises InputError."""
    numbers = [_whole(n) for n in _entries(value) or ()]
    if len(numbers) == 3 and all(n is not None and n >= 1 for n in numbers):
        return numbers[0], numbers[1], numbers[2]  # type: ignore[return-value]
    remedy = "make it (C, H, W), three whole numbers of at least 1, such as (3, 224, 224)"
    raise InputError(Problem(f"{what} is {_shown(value)}", remedy, where))


def numbers_of(value: Any, channels: int, what: str, where: str) -> tuple[float, ...]:
    """A finite number for each channel; one alone serves all. Raises InputError."""
    entries = _entries(value)
    try:
        numbers = [float(n) for n in ([value] if entries is None else entries)]
    except Exception:
        numbers = []
    if len(numbers) == 1:
        numbers *= channels
    least, most = NORMALISED[what]
    if len(numbers) == channels and all(least <= n <= most for n in numbers):
        return tuple(numbers)
    remedy = f"make it {channels} numbers from {least:g} to {most:g}, for pixels of 0 to 1"
    raise InputError(Problem(f"{what} is {_shown(value)}", remedy, where))


def labels_of(value: Any, where: str) -> tuple[str, ...]:
    """Class names. Raises InputError for anything but a list of texts or whole numbers."""
    entries = _entries(value)
    if (
        entries is not None
        and len(entries) <= _MOST_LABELS
        and all(isinstance(n, str) or _whole(n) is not None for n in entries)
    ):
        return tuple(str(n) for n in entries)
    remedy = "make it a list of texts, one for each output"
    raise InputError(Problem(f"labels is {_shown(value)}", remedy, where))


def check_preprocess(value: Any, where: str) -> Preprocess:
    """A Preprocess whose fields are what they should be, as plain numbers. Raises InputError."""
    if not isinstance(value, Preprocess):
        remedy = "make it a shiftforge.quant.graph.types.Preprocess"
        raise InputError(Problem(f"preprocess is {_shown(value)}", remedy, where))
    problems = Problems()
    size = (value.channels, value.height, value.width)
    shape = problems.check(shape_of, size, where, "preprocess, as (channels, height, width),")
    channels = shape[0] if shape else 1
    mean = problems.check(numbers_of, _many(value.mean), channels, "mean", where)
    std = problems.check(numbers_of, _many(value.std), channels, "std", where)
    try:
        faults = check_resize(value.resize)
    except Exception:
        faults = [f"its resize is {_shown(value.resize)}"]
    problems += [Problem(f"preprocess: {fault}", "mend it", where) for fault in faults]
    problems.stop()
    assert shape is not None and mean is not None and std is not None
    return Preprocess(*shape, mean, std, value.resize)


def _many(value: Any) -> Any:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = ""
    text = " ".join(text.split())
    return text[:80] if text else f"a {type(value).__name__}"
