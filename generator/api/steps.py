"""The steps of the flow as functions on objects; each imports what it runs when it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.boards.types import Board
    from shiftforge.generator.design import Design
    from shiftforge.quant.data.inputs import Frames
    from shiftforge.quant.graph.types import Preprocess, QuantizedModel
    from shiftforge.sim.conv.comparison import PairComparison
    from shiftforge.sim.conv.emulation import EmulationReport

__all__ = [
    "compare",
    "default_calibration",
    "emulate",
    "generate",
    "load_board",
    "load_frames",
    "load_model",
    "quantize",
    "save_model",
]

Progress = Callable[[str, int, int], None]
FASHION = "mobilenet_v2_fashion"


def quantize(
    source: str,
    *,
    scheme: str = "shift",
    bits: int | None = None,
    terms: int | None = None,
    activation_bits: int = 8,
    calib: str | None = None,
    calib_limit: int = 256,
    data_dir: Path | None = None,
    resolution: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> QuantizedModel:
    """The integer network of a source (see ``shiftforge quantize --help`` for what a source is).

    scheme: "shift" (sums of powers of two; bits 3 or 4 a term, terms 1 or 2), "int" (uniform,
    bits 4 to 8), or "dtssq": the shipped network's retrained codes, which takes no options.
    calib: frames that activations are measured on, by default the best installed.
    options: rounding, bias_correction, equalisation, calibration, requant and first_last, as in
    ``shiftforge.quant.quantize.Quantisation``. progress: called with (stage, done, total). say:
    called with lines for the user.
    Raises InputError with everything that is wrong.
    """
    from shiftforge.quant.capture.source import load_source
    from shiftforge.quant.data.inputs import load_frames
    from shiftforge.quant.quantize import Quantisation, weight_formats
    from shiftforge.quant.quantize import quantize as quantize_graph

    if scheme == "dtssq":
        given = {"bits": bits, "terms": terms, "calib": calib, "resolution": resolution}
        return _retrained(source, {**given, "activation_bits": activation_bits, **options})
    tell = say if say is not None else lambda text: None
    tell(f"reading {source}")
    graph = load_source(source, resolution=resolution)
    if calib is None:
        calib = default_calibration(source, graph.preprocess)
        if calib.startswith("random"):
            tell(
                "warning: no photographs are installed, so activations are measured on noise: "
                "give --calib, or pip install scikit-image"
            )
    # What is wrong with the frames and with the format is told together.
    problems: list[Problem] = []
    frames = None
    try:
        frames = load_frames(calib, graph.preprocess, limit=calib_limit, data_dir=data_dir)
    except InputError as error:
        problems += error.problems
    try:
        weight_formats(graph, scheme, bits, terms, options.get("first_last", "wide"))
    except InputError as error:
        problems += error.problems
    if problems or frames is None:
        raise InputError(problems)
    tell(f"measuring activations on {len(frames)} frames of {calib}")
    how = Quantisation(scheme, bits, terms, activation_bits, **options)
    return quantize_graph(graph, frames.images, how, progress=progress)


# What the shipped DTSSQ network was made with; None: not given.
_RETRAINED: dict[str, Any] = {
    "bits": 4, "terms": 2, "activation_bits": 8, "rounding": "compensated", "bias_correction": True,
    "equalisation": "exact", "calibration": "mse", "requant": "shift", "first_last": "wide",
}  # fmt: skip


def _retrained(source: str, options: dict[str, Any]) -> QuantizedModel:
    """The shipped DTSSQ network; InputError for another source or options other than its own."""
    if source != FASHION:
        what = f"DTSSQ is a way of training, and {source!r} is not shipped with trained codes"
        remedy = f"train it (`train --network`), use --scheme shift, or name {FASHION}"
        raise InputError(Problem(what, remedy))
    problems = [
        Problem(f"{name} {value} for codes that are already trained", "leave it out")
        for name, value in options.items()
        if value is not None and value != _RETRAINED.get(name)
    ]
    if problems:
        raise InputError(problems)
    from shiftforge.quant.models.shipped import dtssq_model

    return dtssq_model()


def default_calibration(source: str, preprocess: Preprocess) -> str:
    """The best calibration input that is installed for a source."""
    from shiftforge.quant.data.photos import photo_paths

    if source == FASHION:
        return "fashion-mnist:train"  # its first 256 images ship with the project
    if photo_paths() and preprocess.channels in (1, 3):
        return "photos"
    return "random:0"


def load_model(path: str | Path) -> QuantizedModel:
    """The quantised model of a file, screened and verified."""
    from shiftforge.quant.graph.file import load_model

    return load_model(path)


def save_model(model: QuantizedModel, path: str | Path) -> None:
    """Write a model file, whole or not at all."""
    from shiftforge.quant.graph.file import save_model

    save_model(model, path)


def load_board(name_or_path: str | Path) -> Board:
    """A shipped board by name, or your own by the path of its TOML file."""
    from shiftforge.boards.load import load_board

    return load_board(name_or_path)


def load_frames(
    spec: str, preprocess: Preprocess, *, limit: int | None = None, data_dir: Path | None = None
) -> Frames:
    """The frames of an input, at the network's size."""
    from shiftforge.quant.data.inputs import load_frames

    return load_frames(spec, preprocess, limit=limit, data_dir=data_dir)


def generate(
    model: QuantizedModel | str | Path,
    board: Board | str | Path,
    *,
    output: str | Path | None = None,
    units: int | None = None,
    pixels: int | None = None,
) -> Design:
    """The OpenCL project of a model for a board; written to ``output`` where that is given.

    ``Design.report`` holds the figures that ``shiftforge generate --json`` prints.
    """
    from shiftforge.generator.conv.target import generate as generate_design
    from shiftforge.generator.design import check_folder

    if output is not None:
        check_folder(output)
    if isinstance(model, str | Path):
        model = load_model(model)
    if isinstance(board, str | Path):
        board = load_board(board)
    design = generate_design(model, board, units=units, pixels=pixels)
    if output is not None:
        design.write(output)
    return design


def emulate(
    folder: str | Path,
    device: str | None = None,
    *,
    input: str,
    limit: int | None = None,
    check: bool = False,
    data_dir: Path | None = None,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> EmulationReport:
    """Run a generated project on a device and hold the results against the reference.

    device: by default the first usable one of pocl, intel-cpu and intel-fpga-emu; a warning names
    those that are not. Raises InputError for a device that is named and not usable, ToolFailed
    where none is, or where the device's runtime fails.
    """
    from shiftforge.sim.conv.emulation import codes_of, emulate_codes
    from shiftforge.sim.conv.frames import model_and_frames

    if device is None:
        device = default_device()
    model, frames = model_and_frames(Path(folder), [device], input, limit, data_dir)
    return emulate_codes(
        Path(folder),
        model,
        device,
        codes_of(model, frames.images),
        frames.labels,
        check=check,
        time_limit_s=time_limit_s,
        progress=progress,
    )


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
    input: str,
    limit: int | None = 8,
    data_dir: Path | None = None,
    pairs: tuple[tuple[str, str], ...] | None = None,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> list[PairComparison]:
    """Compare checkpoints of a generated project on the same frames, layer by layer.

    pairs: (from, to), by default the whole flow with the usable devices. Every map of every
    frame is kept in memory.
    """
    from shiftforge.sim.conv.comparison import (
        DEVICES,
        check_checkpoints,
        compare_pair,
        default_pairs,
    )
    from shiftforge.sim.conv.comparison import run_checkpoint as run
    from shiftforge.sim.conv.frames import model_and_frames

    if pairs is None:
        from shiftforge.sim.opencl.probe import usable_devices

        pairs = default_pairs(usable_devices())
    if not pairs:
        raise InputError(Problem("no pair of checkpoints", "name at least one"))
    for pair in pairs:
        check_checkpoints(*pair)
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    devices = [name for name in names if name in DEVICES]
    model, frames = model_and_frames(Path(folder), devices, input, limit, data_dir)
    held: dict[str, Any] = {}
    for done, name in enumerate(names):
        if progress is not None:
            progress("checkpoints", done, len(names))
        held[name] = run(
            name, Path(folder), model, frames.images, time_limit_s=time_limit_s, progress=progress
        )
    return [compare_pair(model, a, b, held[a], held[b]) for a, b in pairs]
