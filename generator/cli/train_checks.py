"""Options of ``shiftforge train`` for images, checked before torch or any data are loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import check_file
from shiftforge.quant.models import limits
from shiftforge.quant.schemes.settings import scheme_problems

if TYPE_CHECKING:
    from shiftforge.boards.types import Board
    from shiftforge.cli.train_options import ImageOptions

__all__ = [
    "SCHEME",
    "demonstration_problems",
    "network_run_problems",
    "read_settings",
    "word_array",
]

SCHEME = "dtssq"
"""Of a network, where none is named."""
_FORMS = "give fashion[:DIR], digits, cifar10:DIR, cifar100:DIR or folder:DIR"


def network_run_problems(given: ImageOptions) -> list[Problem]:
    """Everything wrong with the options of a run with ``--network``, as far as names tell."""
    found = Problems(_common_problems(given))
    if given.width is not None:
        found.append(Problem("--width with --network", "leave it out"))
    found += limits.network_problems(given.network or "")
    if given.data is None:
        found.append(Problem("--network without --data", "name a data set, such as digits"))
    else:
        found += _data_problems(given.data)
    if given.tune_epochs != 0:
        values = found.check(read_settings, given.settings) or {}
        options = {"bits": given.bits, "terms": given.terms}
        values |= {name: value for name, value in options.items() if value is not None}
        found += scheme_problems(given.scheme or SCHEME, values)
    found.check(word_array, given)
    if given.activation_bits == 1:
        found.append(Problem("activations of 1 bit", "give 2 to 8, or 0 for float"))
    for pair in given.overrides:
        found += _override_problems(pair)
    if not math.isfinite(given.distil):
        found.append(Problem(f"a distillation share of {given.distil}", "choose 0 to 1"))
    if given.start is not None:
        remedy = "give a float.safetensors of another run"
        found.check(check_file, given.start, remedy)
    found += limits.run_folder_problems(given.output, resume=given.resume)
    return list(dict.fromkeys(found))


def word_array(given: ImageOptions) -> tuple[Board, int, int] | None:
    """The array of DTSSQ's second words; None for another scheme or float training alone.

    Raises InputError with everything that is wrong with it.
    """
    from shiftforge.word_array import array_of

    if given.tune_epochs != 0 and (given.scheme or SCHEME) == SCHEME:
        return array_of(given.board, given.units, given.pixels)
    array = {"--board": given.board, "--units": given.units, "--pixels": given.pixels}
    problems = [
        Problem(f"{name}, and no training of second terms", "leave it out, or train with dtssq")
        for name, value in array.items()
        if value is not None
    ]
    if problems:
        raise InputError(problems)
    return None


def demonstration_problems(given: ImageOptions) -> list[Problem]:
    """Everything wrong with the options of the demonstration's training, as far as names tell."""
    found = Problems(_common_problems(given))
    if given.width is not None and not 0.1 <= given.width <= 1.4:
        found.append(Problem(f"width {given.width}", "choose 0.1 to 1.4"))
    if given.resolution is not None and not 32 <= given.resolution <= 224:
        found.append(Problem(f"resolution {given.resolution}", "choose 32 to 224"))
    if given.data is not None and not Path(given.data).is_dir():
        remedy = "give the folder of the Fashion-MNIST IDX files"
        found.append(Problem("there is no such folder", remedy, given.data))
    found += limits.demonstration_folder_problems(given.output)
    return list(dict.fromkeys(found))


def _common_problems(given: ImageOptions) -> list[Problem]:
    return [
        *limits.device_problems(given.device),
        *limits.number_problems(
            rates=(given.rate, given.tune_rate),
            epochs=(given.epochs, given.tune_epochs, given.final_epochs),
            seed=given.seed,
            size=given.resolution if given.network is not None else None,
            channels=given.channels,
        ),
    ]


def _data_problems(spec: str) -> list[Problem]:
    """A data set of another form, or whose folder does not exist."""
    kind, _, rest = spec.partition(":")
    if kind in ("cifar10", "cifar100", "folder") and not rest:
        return [Problem(f"{kind} without its folder", f"give {kind}:DIR", spec)]
    if kind not in ("fashion", "cifar10", "cifar100", "folder") and spec != "digits":
        return [Problem(f"there is no data set {spec!r}", _FORMS)]
    if rest and not Path(rest).is_dir():
        return [Problem("there is no such folder", _FORMS, rest)]
    return []


def read_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is JSON where it can be read as such, and text otherwise.

    Raises InputError.
    """
    found: dict[str, Any] = {}
    problems = Problems()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            problems.append(Problem(f"--set {pair!r}", "give NAME=VALUE, such as target=0.25"))
            continue
        if name in found:
            problems.append(Problem(f"--set {name} twice", "give it once"))
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        found[name] = tuple(value) if isinstance(value, list) else value
    problems.stop()
    return found


def _override_problems(pair: str) -> list[Problem]:
    """PATTERN=SCHEME[:BITS] or PATTERN=float."""
    pattern, equals, text = pair.rpartition("=")
    name, _, bits = text.partition(":")
    if not equals or not pattern or (bits and not (bits.isdecimal() and len(bits) < 4)):
        remedy = "give PATTERN=SCHEME[:BITS] or PATTERN=float, such as 'layer.*=int:8'"
        return [Problem(f"--override {pair!r}", remedy)]
    if name == "float" and not bits:
        return []
    return scheme_problems(name, {"bits": int(bits)} if bits else {})
