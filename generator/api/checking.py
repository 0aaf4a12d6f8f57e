"""``shiftforge.check``: in seconds, before any calibration, what of a network maps where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.arguments import call_problems, path_of
from shiftforge.errors import InputError, Problem, Problems

if TYPE_CHECKING:
    from shiftforge.boards.types import Board
    from shiftforge.generator.checking import CheckReport
    from shiftforge.generator.edgebert.check import TextDraft
    from shiftforge.quant.capture.types import FloatGraph
    from shiftforge.quant.graph.types import WeightFormat

__all__ = ["check", "check_draft", "check_graph", "text_draft"]

_SIZES = {
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "ffn": "intermediate_size",
    "layers": "num_hidden_layers",
    "embedding": "embedding_size",
    "length": "max_position_embeddings",
}
_OVERRIDES = ("resolution", "input_shape", "mean", "std", "labels", "resize", "settle_batchnorm")
_FORMAT = ("scheme", "bits", "terms", "first_last")
_TEXT_LENGTH = 128


def check(
    source: Any,
    board: Board | str | Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> CheckReport:
    """What of a source the accelerator runs, and with a board the array that would be planned.

    source: what ``shiftforge quantize`` takes, or a ``torch.nn.Module``. board: a name, a file or a
    ``Board``. options: resolution, input_shape, mean, std, labels and resize; scheme, bits, terms
    and first_last; and those of ``shiftforge generate`` (units, pixels, frames, target_fps;
    lanes). say: called with lines for the user.
    Geometry that no array runs and a board that is too small do not raise: ``CheckReport.maps`` is
    False then, and its ``problems`` name everything. Raises InputError where the source cannot be
    read or captured, and for bad options, all of them before anything is loaded.
    """
    from shiftforge.generator.target import options_from, target_of
    from shiftforge.quant.capture.overrides import Overrides
    from shiftforge.quant.quantisation import Quantisation
    from shiftforge.sources import captured, check_source_type

    tell = say if say is not None else lambda text: None
    problems = Problems(call_problems(say=say))
    problems.check(check_source_type, source)
    texts = isinstance(source, str | Path) and _is_text(str(source))
    kind = "edgebert" if texts else "conv"
    target = target_of(kind)
    mine = {n: v for n, v in options.items() if n in _OVERRIDES}
    formats = {n: v for n, v in options.items() if n in _FORMAT}
    rest = {n: v for n, v in options.items() if n not in (*mine, *formats)}
    if texts and (mine or formats):
        given = ", ".join((*mine, *formats))
        problems.append(Problem(f"{given} for a text classifier", "leave it out"))
    overrides = problems.check(Overrides.of, mine)
    how = problems.check(options_from, Quantisation, formats)
    chosen = problems.check(options_from, target.options, rest)
    wanted = problems.check(_board, board) if not problems and board is not None else None
    problems.stop()
    assert overrides is not None and how is not None
    if texts:
        return check_draft(kind, text_draft(str(source)), wanted, chosen)
    graph, _ = captured(source, overrides, tell)
    if wanted is not None:
        tell(f"looking for an array on {wanted.name}")
    return check_graph(graph, how.formats(graph), wanted, chosen)


def _board(board: Any) -> Board:
    from shiftforge.boards.load import load_board
    from shiftforge.boards.types import Board

    if isinstance(board, Board):
        return board
    path_of(board, "the board", "give a name of shiftforge boards, or a .toml file")
    return load_board(board)


def check_graph(
    graph: FloatGraph,
    formats: Mapping[str, WeightFormat],
    board: Any = None,
    options: Any = None,
) -> CheckReport:
    """What of a captured network the convolution accelerator runs."""
    from shiftforge.generator.conv.target import ConvDraft

    return check_draft("conv", ConvDraft(graph, formats), board, options)


def check_draft(kind: str, draft: Any, board: Any = None, options: Any = None) -> CheckReport:
    """The report of a kind's target. Raises InputError where it has none."""
    from shiftforge.generator.target import Checks, target_of

    target = target_of(kind)
    if not isinstance(target, Checks):
        what = f"the target {kind!r} tells nothing before a network is quantised"
        raise InputError(Problem(what, "quantise the network, and generate it"))
    return target.check(draft, board, target.options() if options is None else options)


def _is_text(source: str) -> bool:
    from shiftforge.cli.text_source import is_text_source

    return is_text_source(source)


def text_draft(source: str) -> TextDraft:
    """The sizes of a text classifier's source, from its name or its config.json. Raises InputError.

    A Hugging Face folder without trained off-ramps is taken for sentences of 128 tokens at most.
    """
    from shiftforge.cli.text_source import RANDOM

    if source.partition(":")[0] == RANDOM:
        return _draft(source, _random_sizes(source))
    from shiftforge.quant.albert.network.config import class_names, read_config
    from shiftforge.quant.albert.network.notes import NOTES, load_notes

    folder = Path(source)
    settings = read_config(folder)
    sizes = {name: settings[key] for name, key in _SIZES.items()}
    if not (folder / NOTES).is_file():
        draft = _draft(source, {**sizes, "length": min(_TEXT_LENGTH, sizes["length"])})
        return replace(draft, classes=len(class_names(settings)))
    notes = load_notes(folder, ["classes"])
    classes, weights = notes["classes"], str(notes.get("weights") or "af")
    form: Any = weights if weights in ("shift1", "shift2") else "af"
    count = len(classes) if isinstance(classes, list) else 0
    return replace(_draft(source, sizes), classes=count, weights=form)


def _draft(source: str, sizes: Mapping[str, int]) -> TextDraft:
    from shiftforge.generator.edgebert.check import TextDraft

    return TextDraft(
        source, sizes["length"], sizes["hidden"], sizes["heads"], sizes["ffn"], sizes["layers"],
        sizes["embedding"],
    )  # fmt: skip


def _random_sizes(source: str) -> dict[str, int]:
    """Sizes that the name has; those of ALBERT-base where it has none. Raises InputError."""
    from shiftforge.cli.text_source import random_shape

    shape = random_shape(source)
    return {name: getattr(shape, name) for name in _SIZES}
