"""``shiftforge.quantize``: a source to the integer network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.arguments import call_problems, is_folder
from shiftforge.errors import Problem, Problems
from shiftforge.progress import Shown, shown_progress

if TYPE_CHECKING:
    from shiftforge.quant.capture.overrides import Overrides
    from shiftforge.quant.graph.types import Preprocess, QuantizedModel
    from shiftforge.quant.quantisation import Quantisation

__all__ = ["default_calibration", "quantize", "quantize_options"]

FASHION = "mobilenet_v2_fashion"


def quantize(
    source: Any,
    *,
    calib: Any = None,
    calib_limit: int = 256,
    data_dir: Path | None = None,
    board: Any = None,
    units: int | None = None,
    pixels: int | None = None,
    progress: Shown = None,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> QuantizedModel:
    """The integer network of a source.

    source: what ``shiftforge quantize`` takes, or a ``torch.nn.Module``, which may carry
    ``input_shape``, ``preprocess`` and ``labels`` as a factory's may.
    calib: frames that activations are measured on, by default the best installed; or images, uint8
    (N, H, W, C) of the network's size; or an array, a tensor or a DataLoader's batches of frames
    (N, C, H, W) as the network takes them. calib_limit: how many of them at most.
    options: in place of what the source says, resolution, input_shape (C, H, W), mean, std, labels
    (names, or a file of them) and resize, see ``shiftforge.quant.capture.overrides.Overrides``; and
    the fields of ``shiftforge.quant.quantisation.Quantisation``: scheme, "shift" (sums of powers of
    two; bits 3 or 4 a term, terms 1 or 2), "int" (uniform, bits 4 to 8), or "dtssq" (the shipped
    network's retrained codes, which takes no others); bits, terms, activation_bits,
    rounding, bias_correction, equalisation, calibration, requant, first_last, and second_terms or
    min_sqnr, which choose the weights of two terms for an array with one shifter a lane.
    board (a name, a file or a ``Board``; a10gx1150), units (8, 16, 24, 32 or 48; 16) and pixels (1
    to 16; 7): the array whose cycles these two count; given with one of them alone. progress:
    True shows it with the time left, a function is called with (stage, done, total). say: called
    with lines for the user.
    Scales of a quantised ONNX model that are powers of two are kept, see ``meta["stored_scales"]``.
    Raises InputError with everything that is wrong; bad options before anything is loaded, what the
    accelerator does not run (see ``check``) before any calibration, and an SQNR that is not
    reached.
    """
    from shiftforge.checking import check_graph
    from shiftforge.sources import captured
    from shiftforge.word_array import array_of, selects

    problems = Problems(call_problems(progress=progress, say=say))
    chosen = problems.check(quantize_options, source, calib, calib_limit, data_dir, options)
    array = problems.check(array_of, board, units, pixels, wanted=selects(options))
    problems.stop()
    tell = say if say is not None else lambda text: None
    if chosen is None:
        from shiftforge.quant.models.shipped import dtssq_model

        return dtssq_model()
    how, overrides = chosen
    graph, source = captured(source, overrides, tell)
    report = check_graph(graph, how.formats(graph))
    report.stop()
    for note in report.notes:
        tell(f"note: {note}")
    from shiftforge.quant.data.given import given_frames
    from shiftforge.quant.data.inputs import load_frames
    from shiftforge.quant.quantize import quantize as quantize_graph

    if calib is None:
        calib = default_calibration(source, graph.preprocess)
        if calib.startswith("random"):
            tell(
                "warning: no photographs are installed, so activations are measured on noise: "
                "give --calib, or pip install scikit-image"
            )
    if isinstance(calib, str | Path):
        named = f" of {calib}"
        frames = load_frames(str(calib), graph.preprocess, limit=calib_limit, data_dir=data_dir)
    else:
        named = ""
        frames = given_frames(calib, graph.preprocess, calib_limit)
    for note in frames.notes:
        tell(note)
    tell(f"measuring activations on {len(frames)} frames{named}")
    planner = None
    if how.selects and array is not None:
        from shiftforge.generator.conv.second_words import word_planner

        planner = word_planner(*array)
    with shown_progress(progress) as advance:
        model = quantize_graph(graph, frames.images, how, planner=planner, progress=advance)
    if graph.stored:
        from shiftforge.quant.calibrate.kept import told

        for line in told(model.meta["stored_scales"]):
            tell(line)
    return model


# What the shipped DTSSQ network was made with; None: not given.
_RETRAINED: dict[str, Any] = {
    "bits": 4, "terms": 2, "activation_bits": 8, "rounding": "compensated", "bias_correction": True,
    "equalisation": "exact", "calibration": "mse", "requant": "shift", "first_last": "wide",
}  # fmt: skip


def quantize_options(
    source: Any,
    calib: Any,
    calib_limit: Any,
    data_dir: Any,
    options: Mapping[str, Any],
) -> tuple[Quantisation, Overrides] | None:
    """How to quantise and what to put in place of the source's own; None for the shipped codes.

    Nothing is loaded. Raises InputError with everything that is wrong with the arguments.
    """
    from shiftforge.generator.target import options_from
    from shiftforge.quant.capture.overrides import Overrides
    from shiftforge.quant.data.given import is_given
    from shiftforge.quant.data.inputs import check_input
    from shiftforge.quant.quantisation import Quantisation
    from shiftforge.sources import check_source_type

    problems = Problems()
    problems.check(check_source_type, source)
    # A number of numpy's, or an array around one, has a type but no frames.
    if calib is not None and not isinstance(calib, str | Path) and not is_given(calib):
        what = f"calib is of the type {type(calib).__name__}"
        problems.append(Problem(what, "give what --calib takes, an array, a tensor or a loader"))
    if isinstance(calib, str | Path):
        problems.check(check_input, str(calib))
    whole = isinstance(calib_limit, Integral) and not isinstance(calib_limit, bool)
    if not whole or calib_limit < 1:
        remedy = "use a whole number from 1"
        problems.append(Problem(f"calib_limit is {calib_limit!r}", remedy))
    if data_dir is not None and not isinstance(data_dir, str | Path):
        problems.append(Problem(f"data_dir is {data_dir!r}", "give a folder"))
    elif data_dir is not None and not is_folder(data_dir):
        problems.append(Problem("is no folder", "give the folder of the files", str(data_dir)))
    if isinstance(scheme := options.get("scheme"), str) and scheme == "dtssq":
        given = {"calib": calib, **{k: v for k, v in options.items() if k != "scheme"}}
        problems += _retrained_problems(source, given)
        problems.stop()
        return None
    names = {field.name for field in fields(Overrides)}
    mine = {name: value for name, value in options.items() if name in names}
    overrides = problems.check(Overrides.of, mine)
    rest = {name: value for name, value in options.items() if name not in names}
    how = problems.check(options_from, Quantisation, rest)
    problems.stop()
    assert how is not None and overrides is not None
    return how, overrides


def _retrained_problems(source: Any, options: Mapping[str, Any]) -> list[Problem]:
    """Of another source than the shipped DTSSQ network, or options other than its own."""
    from shiftforge.quant.capture.source import builtin_source

    named = str(source) if isinstance(source, str | Path) else type(source).__name__
    if builtin_source(named) != FASHION:
        what = f"DTSSQ is a way of training, and {named!r} is not shipped with trained codes"
        remedy = f"train it (`train --network`), use --scheme shift, or name {FASHION}"
        return [Problem(what, remedy)]
    return [
        Problem(f"{name} {value} for codes that are already trained", "leave it out")
        for name, value in options.items()
        if value is not None and (name not in _RETRAINED or value != _RETRAINED[name])
    ]


def default_calibration(source: str, preprocess: Preprocess) -> str:
    """The best calibration input that is installed for a source."""
    from shiftforge.quant.data.photos import photo_paths

    if source == FASHION:
        return "fashion-mnist:train"  # its first 256 images ship with the project
    if photo_paths() and preprocess.channels in (1, 3):
        return "photos"
    return "random:0"
