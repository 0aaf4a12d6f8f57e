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
    path = Path(spec)
    if path.is_dir():
        found = list_pictures(path)
        if found.classes is None:
            raise InputError(Problem("the pictures lie in no class folders", _FORM, spec))
        paths, given, notes = found.paths, found.classes, found.notes
    elif path.suffix.lower() == ".csv":
        paths, given = _listed(path)
        notes = ()
    else:
        raise InputError(Problem("it is no folder and no .csv", _FORM, spec))
    names, numbers = _numbered(given, classes, outputs, spec)
    paths, numbers = paths[:limit], numbers[:limit]
    images = read_pictures(paths, preprocess, spec)
    shown = tuple(f"{own.parent.name}/{own.name}" for own in paths)
    return LabelledFrames(Frames(images, np.array(numbers, np.int64), shown, notes), names)


def _names(classes: Sequence[str], outputs: int) -> tuple[str, ...]:
    return tuple(classes) if classes else tuple(str(n) for n in range(outputs))


def _listed(path: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Paths and classes of a list; a first row that names its columns is left out."""
    text = read_text(
        path, most=_MOST_LIST, remedy="give a .csv of path,class", encoding="utf-8-sig"
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
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[0].lower() in _HEADS):
            continue
        if len(cells) < 2 or not cells[0] or not cells[1]:
            what = f"row {number} has no path and class"
            problems.append(Problem(what, "give path,class", str(path)))
            continue
        paths.append(path.parent / cells[0])
        given.append(cells[1])
    problems.stop()
    if not paths:
        raise InputError(Problem("it lists no pictures", "give rows of path,class", str(path)))
    return tuple(paths), tuple(given)


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
        raise InputError(Problem(what, f"it has {', '.join(classes[:5])}...", where))
    if len(wanted) != outputs:
        what = f"{len(wanted)} classes; the network has {outputs} outputs and no labels"
        raise InputError(
            Problem(what, "quantize with --labels FILE, or name classes 0, 1, ...", where)
        )
    own = {name: n for n, name in enumerate(wanted)}
    return tuple(wanted), [own[name] for name in given]
