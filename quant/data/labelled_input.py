"""What ``--data`` takes: pictures with their classes, for a network's accuracy.

==========================  ====================================================================
``tree/``                   class folders of pictures, or ``tree/test/`` where that is given
``list.csv``                rows of a picture's path, from the list's folder on, and its class
``fashion-mnist:test``      10,000 images, or the 500 that ship with the project
==========================  ====================================================================

A class is one of the network's labels, or its number. A network without labels has as many classes
as the tree, in the order of their names, or numbers.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import read_text
from shiftforge.quant.data.inputs import Frames, is_builtin_input, load_frames, read_pictures
from shiftforge.quant.data.listing import list_pictures
from shiftforge.quant.graph.types import Preprocess

__all__ = ["LabelledFrames", "frame_digests", "load_labelled"]

_MOST_LIST = 256 << 20
_FORM = "give class folders of pictures, a .csv of path,class, or fashion-mnist:test"
_HEADS = {"path", "file", "filename", "image", "picture", "name"}
_CLASSES = {"class", "label", "category", "target"}


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """frames: with labels. classes: names, one an output of the network."""

    frames: Frames
    classes: tuple[str, ...]


def frame_digests(images: NDArray[np.uint8]) -> list[str]:
    """16 hexadecimal digits of each frame's pixels: which pictures a model was calibrated on."""
    return [
        blake2b(np.ascontiguousarray(own).tobytes(), digest_size=8).hexdigest() for own in images
    ]


def load_labelled(
    spec: str,
    preprocess: Preprocess,
    classes: Sequence[str],
    outputs: int,
    *,
    limit: int | None = None,
) -> LabelledFrames:
    """Read labelled pictures at the network's size.

    classes: the network's labels, none where it has none; outputs: how many it has. limit: the
    first so many. Raises InputError with every class that the network has not, and every picture
    that cannot be read.
    """
    if is_builtin_input(spec):
        frames = load_frames(spec, preprocess, limit=limit)
        if frames.labels is None:
            raise InputError(Problem(f"{spec} has no classes", _FORM))
        if int(frames.labels.max()) >= outputs:
            what = f"{spec} has more classes than the network outputs"
            raise InputError(Problem(what, "evaluate it on its own classes", spec))
        return LabelledFrames(frames, _names(classes, outputs))
    path, notes = Path(spec), tuple[str, ...]()
    if path.is_dir():
        found = list_pictures(path)
        if found.classes is None:
            raise InputError(Problem("the pictures lie in no class folders", _FORM, spec))
        paths, given = found.paths, found.classes
        notes += found.notes
    elif path.suffix.lower() == ".csv":
        paths, given = _listed(path)
    elif not path.exists():
        raise InputError(Problem("there is no such file or folder", _FORM, spec))
    else:
        raise InputError(Problem("it is no folder and no .csv", _FORM, spec))
    problems = Problems()
    numbered = problems.check(_numbered, given, classes, outputs, spec)
    if numbered is None:
        problems += _absent(paths)
        raise InputError(problems)
    names, numbers = numbered
    whole = len(set(numbers))
    paths, numbers = paths[:limit], numbers[:limit]
    if (left := len(set(numbers))) < whole:
        notes = (*notes, f"the first {len(paths)} pictures are of {left} of the {whole} classes")
    images = read_pictures(paths, preprocess, spec)
    shown = tuple(f"{own.parent.name}/{own.name}" for own in paths)
    return LabelledFrames(Frames(images, np.array(numbers, np.int64), shown, notes), names)


def _names(classes: Sequence[str], outputs: int) -> tuple[str, ...]:
    return tuple(classes) if classes else tuple(str(n) for n in range(outputs))


def _listed(path: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Paths and classes of a list.

    A first row may name its columns, of which one is the path and one the class, in any places;
    else the path comes first and the class second.
    """
    text = read_text(
        path, most=_MOST_LIST, remedy="give a .csv of path,class in UTF-8", encoding="utf-8-sig"
    )
    problems = Problems()
    paths: list[Path] = []
    given: list[str] = []
    try:
        rows = list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise InputError(
            Problem(f"it is no .csv: {error}", "give path,class", str(path))
        ) from error
    at, named = _columns([cell.strip().lower() for cell in rows[0]] if rows else [], path)
    seen: dict[str, tuple[int, str]] = {}
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and named):
            continue
        if len(cells) <= max(at) or not cells[at[0]] or not cells[at[1]]:
            what = f"row {number} has no path and class"
            apart = next((c for c in ";\t|" if c in row[0]), None) if len(row) == 1 else None
            remedy = f"put commas in place of {apart!r}" if apart else "give path,class"
            problems.append(Problem(what, remedy, str(path)))
            continue
        name, own = cells[at[0]], cells[at[1]]
        before, other = seen.setdefault(name, (number, own))
        if other != own:
            what = f"row {number} says that {name} is {own}, row {before} that it is {other}"
            problems.append(Problem(what, "keep one of them", str(path)))
        paths.append(path.parent / name)
        given.append(own)
    if problems:
        problems += _absent(paths)
    problems.stop()
    if not paths:
        raise InputError(Problem("it lists no pictures", "give rows of path,class", str(path)))
    return tuple(paths), tuple(given)


def _absent(paths: Sequence[Path]) -> list[Problem]:
    """The listed pictures that are not there, once each."""
    return [
        Problem("there is no such file", "give a picture", str(path))
        for path in dict.fromkeys(paths)
        if "\0" not in str(path) and not os.path.lexists(path)
    ]


def _columns(head: Sequence[str], path: Path) -> tuple[tuple[int, int], bool]:
    """(columns of path and class, whether a first row names them). Raises InputError."""
    wanted = [[n for n, name in enumerate(head) if name in own] for own in (_HEADS, _CLASSES)]
    if not any(wanted) or (not wanted[0] and len(head) < 3):
        return (0, 1), False
    problems = Problems()
    for what, found, names in zip(("path", "class"), wanted, (_HEADS, _CLASSES), strict=True):
        if len(found) > 1 and head.count(what) == 1:
            found[:] = [head.index(what)]
        if len(found) != 1:
            text = f"its first row has {len(found)} columns for the {what}"
            remedy = f"name one of them, and no other, {what} ({', '.join(sorted(names))})"
            problems.append(Problem(text, remedy, str(path)))
    problems.stop()
    return (wanted[0][0], wanted[1][0]), True


def _numbered(
    given: Sequence[str], classes: Sequence[str], outputs: int, where: str
) -> tuple[tuple[str, ...], list[int]]:
    """(names of the network's classes, the number of each picture's)."""
    wanted = sorted(set(given))
    digits = all(name.isascii() and name.isdigit() for name in wanted)
    place = {name: n for n, name in enumerate(classes) if list(classes).count(name) == 1}
    if classes and set(wanted) <= set(place):
        return tuple(classes), [place[name] for name in given]
    if digits and all(int(name) < outputs for name in wanted):
        return _names(classes, outputs), [int(name) for name in given]
    if classes:
        missing = [name for name in wanted if name not in place]
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        what = f"the network has no single class called {shown}"
        had = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
        raise InputError(Problem(what, f"it has {had}", where))
    if len(wanted) != outputs:
        what = f"{len(wanted)} classes; the network has {outputs} outputs and no labels"
        raise InputError(
            Problem(what, "quantize with --labels FILE, or name classes 0, 1, ...", where)
        )
    own = {name: n for n, name in enumerate(wanted)}
    return tuple(wanted), [own[name] for name in given]
