"""The steps of the flow as functions on objects; each imports what it runs when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.arguments import check_run, path_of
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.progress import Shown, shown_progress
from shiftforge.quantizing import default_calibration, quantize

if TYPE_CHECKING:
    from shiftforge.boards.types import Board
    from shiftforge.generator.design import Design
    from shiftforge.generator.exploring import Exploration
    from shiftforge.quant.data.inputs import Frames
    from shiftforge.quant.graph.types import Preprocess, QuantizedModel
    from shiftforge.sim.compare import Request
    from shiftforge.sim.results import Emulation, Pair

__all__ = [
    "compare",
    "default_calibration",
    "emulate",
    "explore",
    "generate",
    "load_board",
    "load_frames",
    "load_model",
    "quantize",
    "save_model",
]


def load_model(path: str | Path) -> QuantizedModel:
    """The quantised model of a file, screened and verified. Raises InputError."""
    from shiftforge.quant.graph.file import load_model

    return load_model(path_of(path, "the model's path", "give the path of a model file"))


def save_model(model: QuantizedModel, path: str | Path) -> None:
    """Write a model file, whole or not at all. Raises InputError."""
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quant.graph.types import QuantizedModel

    target = path_of(path, "the output", "give the path of a file to write")
    if not isinstance(model, QuantizedModel):
        what = f"a model of the type {type(model).__name__}"
        raise InputError(Problem(what, "give what quantize returned"))
    save_model(model, target)


def load_board(name_or_path: str | Path) -> Board:
    """A shipped board by name, or your own by the path of its TOML file. Raises InputError."""
    from shiftforge.boards.load import load_board

    path_of(name_or_path, "the board", "give a name of shiftforge boards, or a .toml file")
    return load_board(name_or_path)


def load_frames(
    spec: str, preprocess: Preprocess, *, limit: int | None = None, data_dir: Path | None = None
) -> Frames:
    """The frames of an input, at the network's size. Raises InputError."""
    from shiftforge.quant.data.inputs import load_frames
    from shiftforge.quant.graph.types import Preprocess

    spec = str(path_of(spec, "the input", "give what --input takes"))
    if data_dir is not None:
        data_dir = path_of(data_dir, "data_dir", "give a folder")
    if not isinstance(preprocess, Preprocess):
        what = f"preprocess is of the type {type(preprocess).__name__}"
        raise InputError(Problem(what, "give a model's preprocess"))
    check_run(limit, 1.0)
    return load_frames(spec, preprocess, limit=limit, data_dir=data_dir)


def generate(
    model: Any,
    board: Board | str | Path,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Design:
    """The project of a model for a board; written to ``output`` where that is given.

    overwrite: also replace files of an earlier project that were edited.
    model: a model file of any target, or a ``QuantizedModel``. options: of its target, as
    ``shiftforge generate`` has them (units, pixels, frames, target_fps, max_alm, second_terms;
    lanes).
    ``Design.report`` holds the figures that ``shiftforge generate --json`` prints.
    """
    from shiftforge.boards.types import Board
    from shiftforge.generator.build import build
    from shiftforge.generator.design import check_folder
    from shiftforge.generator.target import options_from, target_of, target_of_file
    from shiftforge.quant.graph.types import QuantizedModel

    problems, file = Problems(), model if isinstance(model, str | Path) else None
    if not isinstance(overwrite, bool):
        problems.append(Problem(f"overwrite is {overwrite!r}", "give True or False"))
    if output is not None:
        folder = problems.check(path_of, output, "the output", "give a folder")
        if folder is not None:
            problems.check(check_folder, folder)
    target: Any = None
    if file is not None:
        target = problems.check(target_of_file, Path(file))
    elif isinstance(model, QuantizedModel):
        target = target_of("conv")
    else:
        what = f"a model of the type {type(model).__name__}"
        problems.append(Problem(what, "give a model file, or what quantize returned"))
    chosen = None if target is None else problems.check(options_from, target.options, options)
    on = board if isinstance(board, Board) else problems.check(load_board, board)
    problems.stop()
    assert on is not None
    if file is not None:
        model = target.load(Path(file))
    design = build(target, model, on, chosen, compare=True)
    if output is not None:
        design.write(output, overwrite=overwrite)
    return design


def explore(
    model: Any,
    boards: Board | str | Path | Sequence[Board | str | Path] | None = None,
    *,
    points: int = 100_000,
    **limits: Any,
) -> Exploration:
    """The designs of a model on boards that no other design betters, all modelled.

    model: a model file, or a ``QuantizedModel``. boards: one or several, None for every shipped
    one. points: about so many distinct designs are modelled, 1 or more. limits: as ``generate`` has
    them (target_fps, max_alm, max_ram, min_sqnr). Raises InputError where no design is within them,
    with the nearest ones. ``shiftforge explore`` also counts the best ones in clocked runs.
    """
    from shiftforge.boards.load import list_boards
    from shiftforge.boards.types import Board
    from shiftforge.generator.exploring import Explores
    from shiftforge.generator.target import options_from, target_of, target_of_file
    from shiftforge.quant.graph.types import QuantizedModel

    problems, file = Problems(), model if isinstance(model, str | Path) else None
    target: Any = None
    if file is not None:
        target = problems.check(target_of_file, Path(file))
    elif isinstance(model, QuantizedModel):
        target = target_of("conv")
    else:
        what = f"a model of the type {type(model).__name__}"
        problems.append(Problem(what, "give a model file, or what quantize returned"))
    if not isinstance(points, int) or isinstance(points, bool) or points < 1:
        problems.append(Problem(f"points is {points!r}", "use a whole number from 1"))
    given = list_boards() if boards is None else boards
    wanted = [given] if isinstance(given, str | Path | Board) else list(given)
    on = [own if isinstance(own, Board) else problems.check(load_board, own) for own in wanted]
    if not on:
        problems.append(Problem("no board", "name one, or give None for all"))
    allowed = ("target_fps", "max_alm", "max_ram", "min_sqnr")
    for name in limits:
        if name not in allowed:
            what = f"explore has no limit called {name!r}"
            problems.append(Problem(what, f"there are: {', '.join(allowed)}"))
    options = None
    if target is not None:
        known = {name: value for name, value in limits.items() if name in allowed}
        options = problems.check(options_from, target.options, known)
    if target is not None and not isinstance(target, Explores):
        what = "explore is for convolutions; this model has one design a board"
        problems.append(Problem(what, "use generate"))
    problems.stop()
    network = model if file is None else target.load(Path(file))
    found: Exploration = target.explore(network, tuple(on), options, points)
    return found


def emulate(
    folder: str | Path,
    device: str | None = None,
    *,
    input: Any,
    limit: int | None = None,
    check: bool = False,
    time_limit_s: float = 600.0,
    progress: Shown = None,
    edited: bool = False,
    **options: Any,
) -> Emulation:
    """Run a generated project on a device and hold the results against the reference.

    input: what ``--input`` takes, or the samples themselves: images as uint8 (N, H, W, C) of the
    network's size, frames as the network takes them, float (N, C, H, W), in an array, a tensor or
    a loader's batches, or a sequence of texts. device: by default the first usable one of pocl,
    intel-cpu and intel-fpga-emu; a warning names those that are not. edited: run files that were
    edited since they were generated, too. progress: True shows it with the time left, or a function
    of (stage, done, total). options: of the project's kind (data_dir; threshold). Raises InputError
    for a device that is named and not usable, ToolFailed where none is, or where the device's
    runtime fails.
    """
    from shiftforge.sim.compare import emulate as run
    from shiftforge.sim.compare import open_samples
    from shiftforge.sim.opencl.devices import device_spec

    check_run(limit, time_limit_s, [("check", check), ("edited", edited)], progress)
    name = None if device is None else device_spec(device).name
    request = _request(folder, input, limit, edited, options)
    device = name or default_device()
    project, runner, samples = open_samples(request, [device])
    with shown_progress(progress) as tell:
        return run(
            project, runner, samples, device,
            every_stage=check, time_limit_s=time_limit_s, progress=tell,
        )  # fmt: skip


def _request(
    folder: str | Path, input: Any, limit: int | None, edited: bool, options: dict[str, Any]
) -> Request:
    from shiftforge.generator.project import open_project
    from shiftforge.generator.target import options_from
    from shiftforge.sim.compare import Request
    from shiftforge.sim.runner import runner_of

    root = path_of(folder, "the project's folder", "give a folder that generate wrote")
    kind = open_project(root).kind
    chosen = options_from(runner_of(kind).options, options)
    return Request(root, input, limit, chosen, edited)


def _check_pairs(pairs: Any) -> None:
    """Raise InputError unless these are pairs of two names each, no two of them the same."""
    problems = Problems()
    if not isinstance(pairs, list | tuple) or not pairs:
        problems.append(
            Problem("no pair of checkpoints", 'name at least one: (("golden", "pocl"),)')
        )
        problems.stop()
    for pair in pairs:
        two = isinstance(pair, list | tuple) and len(pair) == 2
        if not two or not all(isinstance(name, str) for name in pair):
            problems.append(Problem(f"{pair!r} is no pair of checkpoints", "name two"))
        elif pair[0] == pair[1]:
            what = f"{pair[0]!r} would be compared with itself"
            problems.append(Problem(what, "name two of them"))
    problems.stop()


def default_device() -> str:
    """The first usable OpenCL device; warns of those before it. Raises ToolFailed where none is."""
    import warnings

    from shiftforge.errors import ToolFailed
    from shiftforge.sim.opencl.probe import first_usable, no_device_text, skipped_text

    device, skipped = first_usable()
    if device is None:
        raise ToolFailed(no_device_text(skipped))
    for state in skipped:
        warnings.warn(skipped_text(state), stacklevel=3)
    return device


def compare(
    folder: str | Path,
    *,
    input: Any,
    limit: int | None = 8,
    pairs: tuple[tuple[str, str], ...] | None = None,
    time_limit_s: float = 600.0,
    progress: Shown = None,
    edited: bool = False,
    **options: Any,
) -> list[Pair]:
    """Compare checkpoints of a generated project on the same samples, stage by stage.

    input, edited, progress, options: as for ``emulate``. pairs: (from, to), by default the whole
    flow with the usable devices; a warning names the others. Every stage of every sample is kept in
    memory.
    """
    import warnings

    from shiftforge.sim.compare import compare as run
    from shiftforge.sim.compare import default_pairs, open_samples
    from shiftforge.sim.opencl.probe import probe_all, skipped_text

    check_run(limit, time_limit_s, [("edited", edited)], progress)
    if pairs is not None:
        _check_pairs(pairs)
    names = [] if pairs is None else list(dict.fromkeys(name for pair in pairs for name in pair))
    request = _request(folder, input, limit, edited, options)
    project, runner, samples = open_samples(request, names)
    if pairs is None:
        states = probe_all()
        for state in (state for state in states if not state.usable):
            warnings.warn(skipped_text(state), stacklevel=2)
        pairs = default_pairs(runner.flow, [state.name for state in states if state.usable])
    with shown_progress(progress) as tell:
        return run(project, runner, samples, pairs, time_limit_s=time_limit_s, progress=tell)
