"""CIFAR-10 and CIFAR-100 from their own binary files; the pickled "python version" is refused.

A record of CIFAR-10 is a label byte and 3,072 bytes of pixels: 1,024 red, 1,024 green, 1,024 blue,
each row by row of a 32x32 picture. CIFAR-100 puts a coarse label (0..19) before the fine one
(0..99); the fine one is used. Layout: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.files import read_bytes, read_text
from shiftforge.quant.data.labelled import Dataset, Labelled

__all__ = ["CifarName", "load_cifar"]

CifarName: TypeAlias = Literal["cifar10", "cifar100"]

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
# The published files hold 10,000 or 50,000.
_MOST_RECORDS = 50_000
_MOST_NAMES = 1 << 20


@dataclass(frozen=True)
class _Layout:
    """label_bytes: before the pixels; the last of them is the label."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int
    classes: int
    folder: str
    archive: str
    pickled: tuple[str, ...]

    @property
    def record(self) -> int:
        return self.label_bytes + _PIXELS


_LAYOUTS: dict[CifarName, _Layout] = {
    "cifar10": _Layout(
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        ("test_batch.bin",),
        "batches.meta.txt",
        1,
        10,
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        ("cifar-10-batches-py", "data_batch_1", "batches.meta"),
    ),
    "cifar100": _Layout(
        ("train.bin",),
        ("test.bin",),
        "fine_label_names.txt",
        2,
        100,
        "cifar-100-binary",
        "cifar-100-binary.tar.gz",
        ("cifar-100-python", "train", "meta"),
    ),
}


def load_cifar(name: CifarName, folder: Path) -> Dataset:
    """The data set in a folder of the binary files, or in the folder that its archive unpacks to.

    Images uint8 (N, 32, 32, 3). Files may hold fewer records than the published 10,000 or 50,000.
    Raises InputError listing every file that is missing, of a wrong size or with a wrong label;
    pickled files are named and never read.
    """
    layout = _LAYOUTS[name]
    place = folder / layout.folder if (folder / layout.folder).is_dir() else folder
    get = f"unpack {layout.archive} (the binary version) there"
    if not place.is_dir():
        raise InputError(Problem(f"the {name} folder does not exist", get, str(folder)))
    absent = [f for f in (*layout.train, *layout.test) if not (place / f).exists()]
    pickled = [f for f in layout.pickled if (place / f).exists()]
    if absent and pickled:
        raise InputError(
            Problem(
                f"{pickled[0]} is of the python version, whose files are pickles: opening one can "
                "run any program in it",
                f"fetch the binary version: {layout.archive}",
                str(place),
            )
        )
    if absent:
        raise InputError([Problem(f"no {file}", get, str(place)) for file in absent])
    problems = Problems()
    train = _read(place, layout.train, layout, problems)
    test = _read(place, layout.test, layout, problems)
    labels = _names(place / layout.names, layout, problems)
    problems.stop()
    return Dataset(name, train, test, labels)


def _read(
    place: Path, files: tuple[str, ...], layout: _Layout, problems: list[Problem]
) -> Labelled:
    parts = [_records(place / file, layout, problems) for file in files]
    held = np.concatenate(parts)
    pixels = held[:, layout.label_bytes :].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    labels = held[:, layout.label_bytes - 1].astype(np.int64)
    return Labelled(np.ascontiguousarray(pixels), labels)


def _records(path: Path, layout: _Layout, problems: list[Problem]) -> NDArray[np.uint8]:
    """uint8 (N, record); with its problems noted, (0, record)."""
    none = np.zeros((0, layout.record), dtype=np.uint8)
    again = f"unpack {layout.archive} again"
    raw: bytes | None = None
    with collect(problems):
        raw = read_bytes(path, most=_MOST_RECORDS * layout.record, remedy=again)
    if raw is None:
        return none
    data = np.frombuffer(raw, dtype=np.uint8)
    if not data.size or data.size % layout.record:
        what = f"{data.size} bytes are no whole number of records of {layout.record} bytes"
        problems.append(Problem(what, again, str(path)))
        return none
    held = data.reshape(-1, layout.record)
    largest = int(held[:, layout.label_bytes - 1].max())
    if largest >= layout.classes:
        what = f"a label is {largest}, the largest is {layout.classes - 1}"
        problems.append(Problem(what, again, str(path)))
    return held


def _names(path: Path, layout: _Layout, problems: list[Problem]) -> tuple[str, ...]:
    """The classes' names, a line each; their numbers where the file is not there."""
    if not path.exists():
        return tuple(str(i) for i in range(layout.classes))
    names: tuple[str, ...] | None = None
    with collect(problems):
        text = read_text(path, most=_MOST_NAMES, remedy="remove the file")
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if names is None:
        return ()
    if len(names) != layout.classes:
        what = f"{len(names)} names for {layout.classes} classes"
        problems.append(Problem(what, "remove the file", str(path)))
    return names
