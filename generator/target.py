"""Targets: accelerators behind one protocol, found by the kind that a file or folder names.

A target turns a network of its kind into a design. Adding one means writing a class that fulfils
``Target`` and registering it; no command and no other module knows it by name. What runs a
generated folder is registered beside it (``shiftforge.sim.runner``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import (
    Any,
    Literal,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from shiftforge.arguments import is_finite, is_folder
from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import open_file
from shiftforge.generator.board_fit import Estimate
from shiftforge.generator.checking import CheckReport
from shiftforge.generator.design import Design

__all__ = [
    "Checks",
    "Compares",
    "Entry",
    "Explains",
    "Reports",
    "Target",
    "file_kind",
    "kinds",
    "load_object",
    "option_problems",
    "options_from",
    "register_target",
    "says_it_is_ours",
    "target_of",
    "target_of_file",
]

NetworkT = TypeVar("NetworkT")
OptionsT = TypeVar("OptionsT")
PlanT = TypeVar("PlanT")

_HEADER, _MOST_HEADER = 8, 1 << 26
_KEY = "shiftforge"
_REMEDY = "make one with: shiftforge quantize SOURCE -o MODEL.safetensors"


class Target(Protocol[NetworkT, OptionsT, PlanT]):
    """An accelerator; where it tells before calibration what it runs, it fulfils ``Checks`` too.

    kind: what manifests and model files call it. options: a frozen dataclass with defaults; each
    field is a command-line option of ``generate``, its metadata holds "help", and "min" or "above"
    where a number is bounded. A method ``problems()`` lists what is wrong with the values whatever
    the network and the board. A text ``interface``, where there is one, is that of the manifests
    that it writes: a runner takes no other.
    """

    kind: str
    options: type[OptionsT]

    def load(self, file: Path) -> NetworkT:
        """The network of a model file. Raises InputError."""

    def plan(self, network: NetworkT, board: Board, options: OptionsT) -> PlanT:
        """Everything decided about the network on the board. Raises InputError."""

    def estimate(self, plan: PlanT) -> Estimate:
        """What the plan takes of the board."""

    def emit(self, plan: PlanT) -> Design:
        """The files of the plan: kernels, data, host program, plan.json."""


@runtime_checkable
class Checks(Protocol):
    """A target that tells, before calibration, what of a network it runs; a target need not."""

    def check(self, draft: Any, board: Board | None, options: Any) -> CheckReport:
        """What maps where, what does not and why; on a board, whether there is room.

        draft: what the target's front end gives before calibration. Nothing of the network raises:
        the report holds every problem.
        """


@runtime_checkable
class Compares(Protocol):
    """A target that tells what else a design could be made of; a target need not."""

    def alternatives(self, plan: Any) -> list[dict[str, Any]]:
        """Other designs of the same network on the same board beside the planned one, a mapping
        with the same keys each: what they are made of, and modelled figures."""


@runtime_checkable
class Explains(Protocol):
    """A target that tells why a design is as it is; a target need not."""

    def explain(self, plan: Any) -> dict[str, Any]:
        """What bounds the design and what is next to it, for JSON. Keys "smaller", "larger" and
        "board" hold None or a mapping with "options", as a command line has them, and figures;
        "bounds" has cycles by what takes them."""


@runtime_checkable
class Reports(Protocol):
    """A target whose projects have a page; a target need not."""

    def documents(self, folder: Path) -> dict[str, Any]:
        """The modelled figures of a project's folder as the JSON files beside its page, by name
        (``NAMES`` of ``page/documents.py``). Raises InputError."""


@dataclass(frozen=True)
class Entry:
    """Where a kind's target is found: "package.module:object", imported when it is asked for.

    takes: the networks it is for, in words, for messages such as "--lanes is for text classifiers".
    options: "module:class" of the target's options, which the command line reads without the
    target. file_kinds: how the kinds in model files begin; the longest of all targets' decides.
    """

    kind: str
    takes: str
    target: str
    options: str
    file_kinds: tuple[str, ...]


_ENTRIES: dict[str, Entry] = {}


def register_target(
    kind: str, takes: str, target: str, options: str, file_kinds: tuple[str, ...] = ()
) -> None:
    """Make a target known; arguments: see ``Entry``. Raises ValueError for a kind that is taken."""
    entry = Entry(kind, takes, target, options, file_kinds or (kind,))
    if _ENTRIES.get(kind, entry) != entry:
        raise ValueError(f"the kind {kind!r} is {_ENTRIES[kind].target}")
    _ENTRIES[kind] = entry


def kinds() -> tuple[Entry, ...]:
    """Every registered target, in the order of registration."""
    return tuple(_ENTRIES.values())


def load_object(place: str) -> Any:
    """The object at "package.module:name"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def target_of(kind: str) -> Target[Any, Any, Any]:
    """The target of a kind. Raises InputError for an unknown one."""
    if kind not in _ENTRIES:
        known = ", ".join(_ENTRIES)
        raise InputError(Problem(f"no target is called {kind!r}", f"known ones: {known}"))
    target: Target[Any, Any, Any] = load_object(_ENTRIES[kind].target)
    return target


def target_of_file(path: Path) -> Target[Any, Any, Any]:
    """The target that a model file is for. Raises InputError where it is no model file."""
    kind = file_kind(path)
    owners = {own: entry.kind for entry in _ENTRIES.values() for own in entry.file_kinds}
    # "convex" begins with "conv", too.
    begins = max((own for own in owners if kind.startswith(own)), key=len, default=None)
    if begins is None:
        what = f"a model of the unknown kind {kind!r} (known: {', '.join(owners)})"
        raise InputError(Problem(what, _REMEDY, str(path)))
    return target_of(owners[begins])


def file_kind(path: Path) -> str:
    """What a model file says it holds; a file of before kinds, or none of ours, counts as "conv",
    whose loader tells what is wrong with it."""
    text = _own_header(path)
    return str(text["kind"]) if text is not None and "kind" in text else "conv"


def says_it_is_ours(path: Path) -> bool:
    """Whether an existing file says that `quantize` wrote it."""
    return _own_header(path) is not None


def _own_header(path: Path) -> dict[str, Any] | None:
    """Our part of a safetensors file's header; None where there is none that can be read."""
    try:
        with open_file(path) as stream:
            size = int.from_bytes(stream.read(_HEADER), "little")
            if not 0 < size <= _MOST_HEADER:
                return None
            text = json.loads(json.loads(stream.read(size))["__metadata__"][_KEY])
    except (InputError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return text if isinstance(text, dict) else None


def options_from(options: type[OptionsT], given: Mapping[str, Any]) -> OptionsT:
    """A dataclass of options from values by name, for Python's own callers.

    A path may be a string and a whole number numpy's. Raises InputError for names that it has not,
    for values of another type, for numbers out of their field's "min" or "above", and for what the
    dataclass's own ``problems`` lists.
    """
    hints = get_type_hints(options)
    known = {field.name: field for field in fields(options)}  # type: ignore[arg-type]
    remedy = f"there are: {', '.join(known) or 'none'}"
    problems = Problems(
        Problem(f"no option is called {name!r}", remedy) for name in given if name not in known
    )
    values = {}
    for name, value in ((name, given[name]) for name in known if name in given):
        wanted = get_args(hints[name]) or (hints[name],)
        values[name] = problems.check(_typed, name, value, wanted, known[name].metadata)
    problems.stop()
    made = options(**values)
    problems += option_problems(made)
    problems.stop()
    return made


def option_problems(options: Any) -> list[Problem]:
    """What is wrong with the values of a dataclass of options, whatever they are used for."""
    own = getattr(options, "problems", None)
    return list(own()) if callable(own) else []


def _typed(name: str, value: Any, wanted: tuple[Any, ...], metadata: Mapping[str, Any]) -> Any:
    """The value as its field's type. Raises InputError."""
    if value is None and NoneType in wanted:
        return None
    if Path in wanted and isinstance(value, str | Path):
        if metadata.get("folder") and not is_folder(value):
            raise InputError(Problem(f"{name} is no folder", "give one", str(value)))
        return Path(value)
    flag, least, above = isinstance(value, bool), metadata.get("min"), metadata.get("above")
    if int in wanted and isinstance(value, Integral) and not flag:
        if least is None or int(value) >= least:
            return int(value)
        raise InputError(Problem(f"{name} is {value!r}", f"use a whole number from {least}"))
    if float in wanted and isinstance(value, Real) and not flag:
        if is_finite(value) and (above is None or float(value) > above):
            return float(value)
        if above is None:
            raise InputError(Problem(f"{name} is {value!r}", "use a finite number"))
        raise InputError(Problem(f"{name} is {value!r}", f"use a number above {above:g}"))
    plain = tuple(kind for kind in wanted if kind in (str, bool))
    if plain and isinstance(value, plain):
        return value
    if not {int, float, str, bool, Path} & set(wanted):
        names = [name for kind in wanted for name in _names(kind)]
        if all(isinstance(name, str) for name in names) and not isinstance(value, str):
            known = f"use {', '.join(names[:-1])} or {names[-1]}"
            raise InputError(Problem(f"{name} is {value!r}", known))
        return value  # names that the step itself checks
    if int in wanted and least is not None:
        raise InputError(Problem(f"{name} is {value!r}", f"use a whole number from {least}"))
    if float in wanted and above is not None:
        raise InputError(Problem(f"{name} is {value!r}", f"use a number above {above:g}"))
    kinds = " or ".join(getattr(kind, "__name__", str(kind)) for kind in wanted)
    raise InputError(Problem(f"{name} is {value!r}", f"give {kinds.replace('NoneType', 'None')}"))


register_target(
    "conv",
    "convolutions",
    "shiftforge.generator.conv.target:TARGET",
    "shiftforge.generator.conv.options:Options",
)
register_target(
    "edgebert",
    "text classifiers",
    "shiftforge.generator.edgebert.target:TARGET",
    "shiftforge.generator.edgebert.options:Options",
    ("albert-integer",),
)


def _names(kind: Any) -> tuple[Any, ...]:
    """The names of a literal type within a union, nothing of None, and any other type itself."""
    if kind is NoneType:
        return ()
    return get_args(kind) if get_origin(kind) is Literal else (kind,)
