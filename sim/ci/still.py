"""Checks that run nothing: tool, files, digest, model, board, and the design generated again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shiftforge import __version__
from shiftforge.boards.figures import board_figures
from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.files import read_bytes
from shiftforge.generator.build import build
from shiftforge.generator.design import Design
from shiftforge.generator.manifest import (
    MANIFEST,
    Content,
    edited_files,
    file_content,
    manifest_text,
    recorded,
)
from shiftforge.generator.project import Project
from shiftforge.generator.target import options_from, target_of
from shiftforge.sim.ci.located import first_difference
from shiftforge.sim.ci.suite import RENEW, Suite, place

__all__ = [
    "Again",
    "again",
    "board_of",
    "board_problems",
    "digest_problems",
    "file_problems",
    "generated_problems",
    "model_problems",
    "own_problems",
    "tool_problems",
]

_LARGEST = 256 << 20
_MEANT = f"undo the change; where it is meant, generate the design again, then {RENEW}"
_SHOWN = 12
_NONE = object()


@dataclass(frozen=True, eq=False)
class Again:
    """The design generated again from what is there now; why not, where that cannot be."""

    design: Design | None
    error: Exception | None = None

    def original(self, path: str, contents: frozenset[Content]) -> bytes | None:
        """What a file held when it was generated, where that is known."""
        own = None if self.design is None else self.design.files.get(path)
        return own if own is not None and Content.of(own) in contents else None


def board_of(suite: Suite, folder: Path) -> Board:
    """The suite's board as it is now. Raises InputError."""
    source = suite.board.source
    return load_board(place(source, folder) if source.endswith(".toml") else source)


def again(suite: Suite, folder: Path) -> Again:
    """Generate the suite's model on its board with its options; nothing is written."""
    try:
        target = target_of(suite.kind)
        options = options_from(target.options, suite.options)
        network = target.load(place(suite.model.path, folder))
        return Again(build(target, network, board_of(suite, folder), options))
    except (InputError, CheckFailed) as error:
        return Again(None, error)


def tool_problems(suite: Suite, folder: Path) -> Iterator[Problem]:
    """The version that runs is not the one of the suite."""
    remedy = f"pip install 'shiftforge=={suite.version}'; or generate the design again, and {RENEW}"
    if suite.version != __version__:
        what = f"this is shiftforge {__version__}; the suite is of {suite.version}"
        yield Problem(what, remedy, "shiftforge")
    here = getattr(target_of(suite.kind), "interface", suite.interface)
    if suite.interface != here:
        what = f"designs have the interface {here} here; the suite's has {suite.interface}"
        yield Problem(what, remedy, "shiftforge")


def own_problems(suite: Suite, folder: Path) -> Iterator[Problem]:
    """Files of the suite that are not what ``ci init`` wrote."""
    for name, pinned in sorted(suite.files.items()):
        path = folder / name
        held = file_content(path, frozenset([pinned]))
        if held is None:
            what = "a file of the suite is missing, or no regular file"
            yield Problem(what, f"bring it back from version control; {RENEW}", str(path))
        elif held != pinned:
            what = "is not what `shiftforge ci init` wrote with this suite.json: it is stale, or "
            what += "was edited"
            yield Problem(what, f"bring it back from version control; {RENEW}", str(path))


def file_problems(project: Project, made: Again) -> Iterator[Problem]:
    """Files of the project that are not what ``generate`` wrote, each with its first difference
    where what it was is known."""
    contents = recorded(project.manifest)
    for problem in edited_files(project.folder, project.manifest):
        path = Path(problem.where)
        name = path.relative_to(project.folder).as_posix()
        before = made.original(name, contents.get(name, frozenset()))
        if name == MANIFEST and made.design is not None:
            before = _manifest(made.design)
        yield replace(problem, what=problem.what + _difference(path, before), remedy=_MEANT)


def _manifest(design: Design) -> bytes:
    files = {path: Content.of(data) for path, data in design.files.items()}
    return manifest_text({**design.manifest, "digest": design.digest}, files)


def _difference(path: Path, other: bytes | None, *, new: bool = False) -> str:
    """The first difference of a file to what it was, or with ``new`` of what is generated now to
    the file; empty where either cannot be read."""
    if other is None:
        return ""
    try:
        held = read_bytes(path, most=_LARGEST)
    except InputError:
        return ""
    found = first_difference(other, held) if new else first_difference(held, other)
    return f"; {found}" if found else ""


def digest_problems(suite: Suite, project: Project) -> Iterator[Problem]:
    """The design's digest, as its manifest says and as its files give it, against the pinned."""
    where, told = str(project.path(MANIFEST)), project.manifest.get("digest")
    if told != suite.digest:
        what = f"the design is another: its digest is {_short(told)}, pinned {_short(suite.digest)}"
        yield Problem(what, _MEANT, where)
    held = {}
    for path in recorded(project.manifest):
        try:
            held[path] = read_bytes(project.path(path))
        except InputError:
            return  # the missing file is told by its own check
    try:
        found = Design(held, {}).digest
    except ValueError as error:  # a manifest of paths that no design has
        yield Problem(str(error), _MEANT, where)
        return
    if found not in (suite.digest, told):
        what = f"its files have the digest {_short(found)}, pinned {_short(suite.digest)}"
        yield Problem(what, _MEANT, str(project.folder))


def _short(digest: object) -> str:
    return f"{digest[:16]}…" if isinstance(digest, str) else repr(digest)


def model_problems(suite: Suite, folder: Path) -> Iterator[Problem]:
    """The model is not the one that the design was generated from."""
    path = place(suite.model.path, folder)
    found = Content.of(read_bytes(path)).sha256
    if found != suite.model.sha256:
        what = f"the model is another: SHA-256 {_short(found)}, pinned {_short(suite.model.sha256)}"
        yield Problem(what, _MEANT, str(path))


def board_problems(suite: Suite, folder: Path) -> Iterator[Problem]:
    """Each figure of the board that is not the pinned one, with both."""
    now: Mapping[str, Any] = board_figures(board_of(suite, folder))
    pinned, source = suite.board.figures, suite.board.source
    where = str(place(source, folder)) if source.endswith(".toml") else f"board {source}"
    for name in sorted({*now, *pinned}):
        own, was = now.get(name, _NONE), pinned.get(name, _NONE)
        if own != was or type(own) is not type(was):
            what = f"{name} is {_figure(own)}, pinned {_figure(was)}"
            yield Problem(what, _MEANT, where)


def _figure(value: object) -> str:
    return "not there" if value is _NONE else repr(value)[:200]


def generated_problems(
    suite: Suite, folder: Path, project: Project, made: Again
) -> Iterator[Problem]:
    """The model, generated again, gives other files."""
    if made.error is not None:
        raise made.error
    assert made.design is not None
    if made.design.digest == suite.digest:
        return
    digest = _short(made.design.digest)
    what = f"model, board and options give the design {digest}, pinned {_short(suite.digest)}"
    yield Problem(what, _MEANT, str(place(suite.model.path, folder)))
    new, old = made.design.files, recorded(project.manifest)
    changed = [p for p in sorted(new) if Content.of(new[p]) not in old.get(p, frozenset())]
    gone = sorted(set(old) - set(new))
    for path in changed[:_SHOWN]:
        where = project.path(path)
        told = "is not generated that way again" if path in old else "is generated now, too"
        yield Problem(told + _difference(where, new[path], new=True), _MEANT, str(where))
    for path in gone[:_SHOWN]:
        yield Problem("is not generated any more", _MEANT, str(project.path(path)))
    if (more := len(changed) + len(gone) - _SHOWN) > 0:
        yield Problem(f"and {more:,} more files", _MEANT, str(project.folder))
