"""A data set as folders of pictures: ``train/<class>/*.png`` and ``test/<class>/*.png``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem, Problems, collect
from shiftforge.quant.data.images import open_image, resize
from shiftforge.quant.data.labelled import Dataset, Labelled
from shiftforge.quant.data.listing import class_folders, picture_files
from shiftforge.quant.data.memory import check_memory

__all__ = ["load_picture_folder"]

_FORM = "put pictures in train/<class>/ and test/<class>/"


def load_picture_folder(folder: Path, size: int = 32, channels: int = 3) -> Dataset:
    """Every picture, resized (PIL, bilinear) to size x size; classes are ordered by name.

    Hidden files and folders, whose names begin with a dot, are left aside.
    channels: 3 for RGB, 1 for grey. ``val`` or ``validation`` serves where there is no ``test``.
    Raises InputError listing what is missing and every picture that cannot be read.
    """
    where = str(folder)
    if not folder.is_dir():
        raise InputError(Problem("the folder does not exist", _FORM, where))
    problems = Problems()
    if size < 8 or channels not in (1, 3):
        what = f"pictures of {size}x{size} with {channels} channels"
        raise InputError(Problem(what, "choose 8 or more pixels and 1 or 3 channels"))
    parts = {"train": folder / "train"}
    tests = [folder / name for name in ("test", "val", "validation") if (folder / name).is_dir()]
    parts["test"] = tests[0] if tests else folder / "test"
    missing = [name for name, place in parts.items() if not place.is_dir()]
    if missing:
        raise InputError([Problem(f"no {name} folder", _FORM, where) for name in missing])
    classes = _classes(parts["train"])
    if not classes:
        problems.append(Problem("no class folders", _FORM, str(parts["train"])))
    unknown = sorted(set(_classes(parts["test"])) - set(classes))
    if classes and unknown:
        what = f"classes that train has not: {', '.join(unknown[:5])}"
        problems.append(Problem(what, "remove or rename them", str(parts["test"])))
    problems.stop()
    train = _read(parts["train"], classes, size, channels, problems, whole=True)
    test = _read(parts["test"], classes, size, channels, problems, whole=False)
    if problems or train is None or test is None:
        raise InputError(problems)
    return Dataset(folder.resolve().name, train, test, classes)


def _classes(place: Path) -> tuple[str, ...]:
    return tuple(class_folders(place))


def _read(
    place: Path,
    classes: tuple[str, ...],
    size: int,
    channels: int,
    problems: list[Problem],
    *,
    whole: bool,
) -> Labelled | None:
    """One split; whole: a class without pictures is a problem."""
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    count = 0
    for label, name in enumerate(classes):
        inside = place / name
        paths = picture_files(inside)[0] if inside.is_dir() else []
        count += len(paths)
        check_memory(2 * count * size * size * channels, f"{count:,} pictures", where=str(place))
        if whole and not paths:
            problems.append(Problem("the class has no pictures", _FORM, str(inside)))
        for path in paths:
            with collect(problems):
                images.append(resize(open_image(path, channels), size, size))
                labels.append(label)
    if not images:
        problems.append(Problem("the split has no pictures", _FORM, str(place)))
        return None
    return Labelled(np.stack(images), np.array(labels, dtype=np.int64))
