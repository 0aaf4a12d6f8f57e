"""Writing a suite's folder: every file whole, suite.json last, nothing of others replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from shiftforge import atomic
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import check_output_folder, output_problems, read_bytes
from shiftforge.sim.ci.suite import SUITE, Suite, place
from shiftforge.sim.ci.texts import GITHUB, GITLAB

__all__ = ["outside", "place_problems", "placed", "write_files"]

_KEEP = "move it away if you need it, then give --overwrite"
_MOST = 256 << 20


def place_problems(folder: Path, project: Path, overwrite: bool) -> list[Problem]:
    """What stops a suite from being written, before anything is computed."""
    problems = Problems()
    if folder.resolve() == project.resolve():
        what = "the suite would take the project's own place"
        return [Problem(what, "name another folder with -o", str(folder))]
    problems.check(check_output_folder, folder)
    if (folder / SUITE).exists() and not overwrite:
        what = "there is a suite already"
        problems.append(Problem(what, "--overwrite writes it anew", str(folder / SUITE)))
    return list(problems)


def write_files(files: Mapping[Path, bytes], last: Path, *, overwrite: bool) -> list[Path]:
    """Write what is not there as it is, ``last`` at the end; returns what was written.

    overwrite: also replace files of another content. Raises InputError for these without it, for
    what is no regular file, and for what the system refuses; then nothing is written.
    """
    wanted = {path: data for path, data in files.items() if not _same(path, data)}
    problems = Problems()
    for path in sorted(wanted):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            problems.append(Problem("is no regular file", "move it away", str(path)))
        elif path.exists() and not overwrite:
            problems.append(Problem("is there, with another content", _KEEP, str(path)))
        elif path.parent.is_dir():
            problems += output_problems(path)
    problems.stop()
    order = sorted(wanted, key=lambda path: (path == last, path))
    atomic.write_files((path, wanted[path]) for path in order)
    return sorted(wanted)


def _same(path: Path, data: bytes) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        return read_bytes(path, most=_MOST) == data
    except InputError:
        return False


def placed(texts: Mapping[str, bytes], folder: Path, root: Path | None) -> dict[Path, bytes]:
    """The suite's texts by their place; workflow files at ``root``, where one is given."""
    return {
        (root if root is not None and path in (GITHUB, GITLAB) else folder) / path: data
        for path, data in texts.items()
    }


def outside(suite: Suite, folder: Path, root: Path) -> Iterable[Path]:
    """Files that the suite names and a clone of the repository will not have."""
    named = [suite.project, suite.model.path]
    named += [suite.board.source] if suite.board.source.endswith(".toml") else []
    for path in dict.fromkeys(named):
        own = place(path, folder)
        if not own.resolve().is_relative_to(root.resolve()):
            yield own
