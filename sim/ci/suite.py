"""suite.json: what a regression suite of a project has pinned, and where everything lies."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Le, MaxLen, Predicate

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.fields import read_fields
from shiftforge.generator.manifest import Content
from shiftforge.jsontext import read_json
from shiftforge.sim.opencl.devices import device_spec
from shiftforge.sim.runner import RTL

__all__ = [
    "FOLDER",
    "GOLDENS",
    "INPUTS",
    "MOST_SAMPLES",
    "RENEW",
    "SUITE",
    "BoardPin",
    "FilePin",
    "Suite",
    "place",
    "read_suite",
    "relative",
    "suite_text",
]

SUITE, GOLDENS, INPUTS, FOLDER = "suite.json", "goldens.npz", "inputs", "ci"
MOST_SAMPLES = 64
RENEW = "`shiftforge ci init` with --overwrite renews the suite"
_REMEDY = f"give a folder that `shiftforge ci init` wrote; {RENEW}"
_MOST = 4 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OWN = re.compile(rf"{re.escape(GOLDENS)}|{INPUTS}/[A-Za-z0-9_]+\.[a-z]+")


def _is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def _is_path(text: str) -> bool:
    if not text or not text.isprintable() or PurePosixPath(text).is_absolute():
        raise ValueError("write a path relative to the suite's folder")
    return True


def _is_own(text: str) -> bool:
    return _OWN.fullmatch(text) is not None


def _is_line(text: str) -> bool:
    return text.isprintable()


Digest: TypeAlias = Annotated[str, Predicate(_is_digest)]
Line: TypeAlias = Annotated[str, MaxLen(200), Predicate(_is_line)]
RelativePath: TypeAlias = Annotated[str, MaxLen(4000), Predicate(_is_path)]
OwnFile: TypeAlias = Annotated[str, Predicate(_is_own)]


@dataclass(frozen=True)
class FilePin:
    """A file beside the suite. path: relative to its folder."""

    path: RelativePath
    sha256: Digest


@dataclass(frozen=True)
class BoardPin:
    """source: a name that ships, or the path of a .toml file relative to the suite's folder.
    figures: by path of their field."""

    source: RelativePath
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Suite:
    """What was pinned. Every path is relative to the suite's folder, with "/" between its parts.

    version, interface, kind: of the tool and the design. project: the design's folder; digest: of
    its files. model: what it was generated from, with options on the board. input: the file of
    samples; samples: how many; run_options: of the runner. devices: that are tried, require: that
    have to run. rtl: samples that run on the RTL, 0 for none. files: the suite's own data. root:
    where the workflow files are, None for the suite's folder.
    """

    version: Line
    interface: Line
    kind: Line
    project: RelativePath
    digest: Digest
    model: FilePin
    board: BoardPin
    options: Mapping[str, Any]
    input: OwnFile
    samples: Annotated[int, Ge(1), Le(MOST_SAMPLES)]
    run_options: Mapping[str, Any]
    devices: tuple[str, ...]
    require: tuple[str, ...]
    rtl: Annotated[int, Ge(0), Le(MOST_SAMPLES)]
    files: Mapping[OwnFile, Content]
    root: RelativePath | None = None
    schema: Literal[1] = 1

    def problems(self) -> list[Problem]:
        """What its fields say that cannot be meant."""
        found = Problems()
        for name in self.devices:
            found.check(device_spec, name)
        for name in (own for own in self.require if own not in (*self.devices, RTL)):
            what = f"{name!r} is required and not among the devices"
            found.append(Problem(what, f"use {', '.join((*self.devices, RTL))}"))
        for name in (self.input, GOLDENS):
            if name not in self.files:
                found.append(Problem(f"files does not list {name}", _REMEDY))
        return list(found)


def suite_text(suite: Suite) -> bytes:
    """suite.json."""
    return (json.dumps(asdict(suite), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_suite(folder: Path) -> Suite:
    """The suite in a folder. Raises InputError, naming every field that is wrong."""
    path = folder / SUITE
    if not path.is_file():
        what = "there is no such folder" if not folder.exists() else f"no {SUITE} in the folder"
        remedy = "write a suite with: shiftforge ci init DIR"
        raise InputError(Problem(what, remedy, str(folder)))
    value = read_json(path, most=_MOST, remedy=_REMEDY)
    if not isinstance(value, dict):
        raise InputError(Problem("is no object of JSON", _REMEDY, str(path)))
    suite = read_fields(Suite, value, str(path), _REMEDY)
    if problems := suite.problems():
        raise InputError([Problem(p.what, p.remedy, str(path)) for p in problems])
    return suite


def relative(path: Path, folder: Path) -> str:
    """A path from a folder, as a suite keeps it; both as they are, links in them followed."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def place(path: str, folder: Path) -> Path:
    """Where a path of a suite leads, below the current folder where it is there."""
    found = os.path.normpath(folder.resolve() / path)
    near = os.path.relpath(found)
    return Path(found if near.startswith(os.pardir) else near)
