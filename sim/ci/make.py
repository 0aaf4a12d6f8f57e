"""Making a suite of a project: goldens of a few samples, and everything pinned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shiftforge import __version__
from shiftforge.boards.figures import board_figures
from shiftforge.boards.load import list_boards, load_board
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import read_bytes
from shiftforge.generator.build import chosen_of
from shiftforge.generator.manifest import Content, recorded
from shiftforge.generator.project import Project, check_unedited, open_project
from shiftforge.sim.ci.goldens import goldens_bytes, goldens_of
from shiftforge.sim.ci.still import again, board_of, board_problems
from shiftforge.sim.ci.suite import (
    GOLDENS,
    INPUTS,
    BoardPin,
    FilePin,
    Suite,
    relative,
)
from shiftforge.sim.compare import Request, open_samples
from shiftforge.sim.runner import (
    DEVICE_NAMES,
    GOLDEN,
    RTL,
    Progress,
    Runner,
    StoresSamples,
    runner_of,
)

__all__ = ["Made", "Wanted", "make_suite"]

_MODELS = ("model.safetensors", "network.safetensors")


@dataclass(frozen=True)
class Wanted:
    """What a suite is to be of.

    project: the design's folder; folder: the suite's. spec: of the samples, None for those that the
    suite in ``old`` has; count: how many. board: a name or a .toml file, None for the design's own
    name. model: None for the project's copy. run_options: of the runner. require: see ``Suite``.
    rtl: samples on the RTL. root: where the workflow files go, None for the suite's folder.
    """

    project: Path
    folder: Path
    spec: str | None
    count: int
    board: str | None = None
    model: Path | None = None
    run_options: Any = None
    require: tuple[str, ...] = ()
    rtl: int = 1
    root: Path | None = None
    old: Suite | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """A suite with its data by path. notes: what a user should know."""

    suite: Suite
    files: Mapping[str, bytes]
    notes: tuple[str, ...]


def make_suite(wanted: Wanted, progress: Progress | None = None) -> Made:
    """The suite of a project as it is; nothing is written.

    Raises InputError, naming everything, for a project that is not whole or of another version, for
    samples that cannot be read, and where model, board and options do not give the design again.
    """
    problems = Problems()
    project = problems.check(open_project, wanted.project)
    pin = None if project is None else problems.check(_board_source, project, wanted)
    problems.stop()
    assert project is not None and pin is not None
    project, runner, samples = _samples(wanted)
    if not isinstance(runner, StoresSamples):
        what = f"samples of the kind {project.kind!r} cannot be stored"
        raise InputError(Problem(what, "run its projects with: shiftforge emulate"))
    name, content = runner.stored(samples)
    name = f"{INPUTS}/{name}"
    model = wanted.model or _own_model(project)
    suite = Suite(
        version=__version__,
        interface=str(project.manifest.get("interface", "")),
        kind=project.kind,
        project=relative(wanted.project, wanted.folder),
        digest=str(project.manifest["digest"]),
        model=FilePin(relative(model, wanted.folder), Content.of(read_bytes(model)).sha256),
        board=BoardPin(pin, {}),
        options=dict(project.manifest.get("options", {})),
        input=name,
        samples=runner.count(samples),
        run_options={} if wanted.run_options is None else chosen_of(wanted.run_options),
        devices=DEVICE_NAMES,
        require=wanted.require,
        rtl=min(wanted.rtl, runner.count(samples)) if RTL in runner.checkpoints else 0,
        files={},
        root=None if wanted.root is None else relative(wanted.root, wanted.folder),
    )
    figures = board_figures(board_of(suite, wanted.folder))
    suite = replace(suite, board=BoardPin(pin, figures))
    _check_made(suite, project, wanted.folder)
    every = runner.run(project, samples, GOLDEN, progress=progress)
    outputs = runner.run(project, samples, GOLDEN, every_stage=False, progress=progress)
    files = {name: content, GOLDENS: goldens_bytes(goldens_of(suite.digest, every, outputs))}
    suite = replace(suite, files={path: Content.of(data) for path, data in files.items()})
    return Made(suite, files, tuple(runner.notes(samples)))


def _samples(wanted: Wanted) -> tuple[Project, Runner[Any], Any]:
    """The project with samples from the input, or those of the suite that is there."""
    if wanted.spec is not None:
        request = Request(wanted.project, wanted.spec, wanted.count, wanted.run_options)
        return open_samples(request, [])
    assert wanted.old is not None
    project = open_project(wanted.project)
    check_unedited(project)
    runner = runner_of(project.kind)
    assert isinstance(runner, StoresSamples)
    options = runner.options() if wanted.run_options is None else wanted.run_options
    file = wanted.folder / wanted.old.input
    return project, runner, runner.restored(project, file, wanted.count, options)


def _own_model(project: Project) -> Path:
    """The project's copy of its model. Raises InputError where it has none."""
    for name in _MODELS:
        if name in project.manifest["files"]:
            return project.path(name)
    what = "the project holds no copy of its model"
    raise InputError(Problem(what, "give the file with --model", str(project.folder)))


def _board_source(project: Project, wanted: Wanted) -> str:
    """A name that ships, or a .toml file as the suite keeps it. Raises InputError."""
    board = wanted.board
    if board is None and wanted.old is not None:
        return wanted.old.board.source
    if board is None:
        name = project.manifest.get("board")
        if name in list_boards():
            return str(name)
        what = f"the design's board {str(name)[:60]!r} is none that ships"
        raise InputError(Problem(what, "give its file with --board FILE.toml", str(project.folder)))
    if not (board.endswith(".toml") or "/" in board):
        load_board(board)
        return board
    if not board.endswith(".toml"):
        raise InputError(Problem("a board's file ends in .toml", "rename it", board))
    return relative(Path(board), wanted.folder)


def _check_made(suite: Suite, project: Project, folder: Path) -> None:
    """Raise InputError unless model, board and options give the design that is there."""
    told = project.manifest.get("board_figures")
    made_on = replace(suite.board, figures=told if isinstance(told, dict) else {})
    other = list(board_problems(replace(suite, board=made_on), folder))
    if other:
        remedy = "give the board that the design was made for with --board, or generate it again"
        found = (replace(p, what=p.what.replace("pinned", "the design's"), remedy=remedy)
                 for p in other)  # fmt: skip
        raise InputError(found)
    made = again(suite, folder)
    if made.error is not None:
        raise made.error
    assert made.design is not None
    if made.design.digest != suite.digest:
        files = recorded(project.manifest)
        new = {path: Content.of(data) for path, data in made.design.files.items()}
        apart = [p for p in sorted({*files, *new}) if new.get(p) not in files.get(p, ())]
        what = f"model, board and options do not give the design again: {', '.join(apart[:9])} "
        what += f"{'differs' if len(apart) == 1 else 'differ'}"
        remedy = "give the model file that it was generated from with --model, or generate it again"
        raise InputError(Problem(what, remedy, str(project.folder)))
