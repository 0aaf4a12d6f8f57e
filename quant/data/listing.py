"""The picture files of a folder, or of its class folders, and what is left aside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.files import system_problem
from shiftforge.quant.data.images import SUFFIXES

__all__ = ["Listing", "class_folders", "list_pictures", "picture_files"]


@dataclass(frozen=True)
class Listing:
    """paths: in order; classes: the class folder of each, None for a folder without such folders.

    notes: lines on what is left aside.
    """

    paths: tuple[Path, ...]
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(system_problem(error, folder)) from error


def picture_files(folder: Path) -> tuple[list[Path], int, int]:
    """(pictures by name, count of hidden files, count of other files) of one folder.

    A picture is what has a picture's suffix and is no folder, a pipe and a broken link as well:
    opening it tells. Hidden is what begins with a dot, as macOS's ``._photo.png`` does.
    """
    pictures, hidden, others = [], 0, 0
    for entry in _entries(folder):
        if _is_folder(entry):
            continue
        if entry.name.startswith("."):
            hidden += 1
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            pictures.append(folder / entry.name)
        else:
            others += 1
    return pictures, hidden, others


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, in order; hidden ones are left out."""
    return [e.name for e in _entries(folder) if _is_folder(e) and not e.name.startswith(".")]


def list_pictures(folder: Path) -> Listing:
    """The pictures in a folder by name, or without any those of its folders, by path.

    Raises InputError where there are none.
    """
    pictures, hidden, others = picture_files(folder)
    names, classes = class_folders(folder), None
    left = []
    if pictures:
        left += [f"{len(names)} folders in it"] if names else []
    else:
        held = {name: picture_files(folder / name) for name in names}
        pictures = [path for found, _, _ in held.values() for path in found]
        inner = sum(len(class_folders(folder / name)) for name in names)
        left += [f"{inner} folders in its class folders"] if inner else []
        classes = tuple(name for name, (found, _, _) in held.items() for _ in found)
        hidden += sum(count for _, count, _ in held.values())
        others += sum(count for _, _, count in held.values())
    left += [f"{hidden} hidden files"] if hidden else []
    left += [f"{others} files that are no pictures"] if others else []
    if not pictures:
        deeper = [folder / n for n in names if class_folders(folder / n)] if classes == () else []
        if deeper:
            what = "the folder holds no images, and its folders hold folders"
            remedy = f"name the folder of the class folders, such as {deeper[-1]}"
            raise InputError(Problem(what, remedy, str(folder)))
        what = "the folder holds no images" + (f" (but {', '.join(left)})" if left else "")
        raise InputError(Problem(what, f"put {', '.join(sorted(SUFFIXES))} in it", str(folder)))
    notes = (f"{folder}: left aside: {', '.join(left)}",) if left else ()
    return Listing(tuple(pictures), classes, notes)
