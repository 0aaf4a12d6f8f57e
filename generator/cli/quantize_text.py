"""``shiftforge quantize`` of a trained ALBERT classifier, or of random weights."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from shiftforge.cli.text_source import RANDOM, folder_problems, random_shape
from shiftforge.errors import Problem, Problems
from shiftforge.files import check_file, read_text
from shiftforge.jsontext import MOST_JSON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shiftforge.quant.albert.network.integer import IntegerAlbert, Weights
    from shiftforge.quant.albert.network.settings import Shape
    from shiftforge.quant.formats.adaptivfloat_calibration import Method

__all__ = ["TextOptions", "quantize_texts"]

_METHODS: dict[str, Method] = {"mse": "mse", "percentile": "percentile", "minmax": "max"}
_LENGTH = 128
_MOST_SEED = (1 << 32) - 1


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """The options of ``shiftforge quantize`` for texts; None where one was left out.

    calibration: mse, percentile or minmax. af_bits: of weights af, 4 to 8. untrained: give an
    ALBERT's folder random off-ramps; calib: file of its calibration texts, a sentence a line.
    """

    source: str
    output: Path
    weights: str | None
    af_bits: int | None
    calibration: str
    seed: int | None
    untrained: bool
    calib: str | None


def quantize_texts(given: TextOptions, found: Iterable[Problem], as_json: bool) -> None:
    """Write the integer network of a source and print what is in it.

    found: problems of the command's other arguments; InputError holds them and everything else.
    """
    from shiftforge.checking import check
    from shiftforge.cli.output import print_json, print_table

    started = time.monotonic()
    random = given.source.startswith(RANDOM)
    problems = Problems(found)
    problems += _weight_problems(given.weights, given.af_bits, random or given.untrained)
    if random and given.untrained:
        problems.append(Problem("--untrained-off-ramps for random weights", "leave it out"))
    if not random:
        problems += folder_problems(Path(given.source), given.untrained)
        if given.seed is not None and not given.untrained:
            problems.append(Problem("--seed for a trained classifier", "leave it out"))
    if given.calib is not None and (random or not given.untrained):
        problems.append(Problem("--calib without --untrained-off-ramps", "leave it out"))
    elif given.calib is not None:
        problems.check(check_file, given.calib, "give a UTF-8 text, a sentence a line")
    if given.seed is not None and given.seed > _MOST_SEED:
        problems.append(Problem(f"seed {given.seed}", f"give 0 to {_MOST_SEED}", "--seed"))
    shape = problems.check(random_shape, given.source) if random else None
    problems.stop()
    check(given.source).stop()  # what no unit can run
    made = _quantised(given, shape)
    seconds = time.monotonic() - started
    report = _report(made, given.output, random, seconds)
    if as_json:
        print_json(report)
        return
    label = "random weights" if random else given.source
    rows = [(key.replace("_", " "), _text(value)) for key, value in report.items()]
    print_table(f"{label}, quantised in {seconds:.1f} s, saved as {given.output}", ("", ""), rows)


def _quantised(given: TextOptions, shape: Shape | None) -> IntegerAlbert:
    """The integer network, written. shape: of random weights, None for those of a folder."""
    from shiftforge.cli.output import note

    if shape is not None:
        return _random(given, shape)
    if given.untrained:
        return _untrained(given)
    from shiftforge.quant.albert.network.quantise import quantise_folder

    note(f"reading {given.source}")
    method, bits = _METHODS[given.calibration], given.af_bits or 8
    return quantise_folder(Path(given.source), given.output, given.weights, method, bits)


def _random(given: TextOptions, shape: Shape) -> IntegerAlbert:
    from shiftforge.cli.output import note
    from shiftforge.quant.albert.network.file import save_integer
    from shiftforge.quant.albert.network.random import random_albert

    note(f"random weights, {shape.layers} layers of {shape.hidden} columns")
    seed, method = given.seed or 0, _METHODS[given.calibration]
    made = random_albert(shape, _weights(given), seed=seed, method=method)
    save_integer(made, given.output, notes={"random": seed})
    return made


def _untrained(given: TextOptions) -> IntegerAlbert:
    """An ALBERT's folder with random off-ramps of its config's classes, without training."""
    from shiftforge.cli.output import note
    from shiftforge.quant.albert.network.config import class_names, read_config
    from shiftforge.quant.albert.network.file import save_integer
    from shiftforge.quant.albert.network.random import from_pretrained_folder
    from shiftforge.quant.text.tokeniser import FILE, read_tokeniser

    folder, seed = Path(given.source), given.seed or 0
    settings = read_config(folder)
    places, classes = settings["max_position_embeddings"], class_names(settings)
    length = min(_LENGTH, places)
    if places > length:
        note(
            f"sentences of at most {length} tokens: of the {places:,} places of the network "
            f"(max_position_embeddings) those past {length} are left out"
        )
    if given.calib is None:
        rng = np.random.default_rng(seed)
        ids = [rng.integers(0, settings["vocab_size"], length) for _ in range(2)]
    else:
        ids = _sentences(given.calib, folder, length)
    note("the off-ramps are random: labels and entropies mean nothing")
    made = from_pretrained_folder(
        folder,
        classes,
        ids,
        length=length,
        weights=_weights(given),
        method=_METHODS[given.calibration],
        seed=seed,
    )
    path = folder / FILE
    tokeniser = read_text(path, most=MOST_JSON) if path.exists() else None
    if tokeniser is not None:
        read_tokeniser(tokeniser, str(path))
    save_integer(made, given.output, tokeniser=tokeniser, notes={"untrained_off_ramps": seed})
    return made


def _sentences(calib: str, folder: Path, length: int) -> list[NDArray[np.int64]]:
    """Tokens, at most ``length`` of each line, by the folder's tokeniser. Raises InputError."""
    from shiftforge.cli.output import note
    from shiftforge.quant.text.lines import cut_note, read_lines
    from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window

    lines = read_lines(calib)
    found = encode(load_tokeniser(folder), [line.text for line in lines.found])
    for told in (lines.note(), cut_note(found, length)):
        if told:
            note(f"{calib}: {told}")
    return [window(own, length) for own in found]


def _weights(given: TextOptions) -> Weights:
    """Of random and untrained networks, whose formats have been checked."""
    return cast("Weights", given.weights or "af")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def _report(made: IntegerAlbert, output: Path, random: bool, seconds: float) -> dict[str, Any]:
    from shiftforge.quant.albert.network.storage import storage

    stored = storage(made)
    return {
        "output": output,
        "random": random,
        "weights": f"AF<{made.bits},3>" if made.weights == "af" else made.weights,
        "layers": made.layers,
        "hidden": made.hidden,
        "heads": made.heads,
        "skipped_heads": list(made.skipped),
        "ffn": made.ffn,
        "length": made.length,
        "vocabulary": made.words.shape[0],
        "embedding": made.words.columns,
        "classes": list(made.classes),
        "encoder_density": float(stored["encoder_density"]),
        "embedding_density": float(stored["embedding_density"]),
        "storage_bytes": int(stored["total"]),
        "file_bytes": output.stat().st_size,
        "seconds": round(seconds, 3),
    }


def _weight_problems(weights: str | None, bits: int | None, random: bool) -> list[Problem]:
    from shiftforge.quant.albert.network.weights import weight_choice

    found = Problems()
    if weights is not None:
        found.check(weight_choice, weights, 8 if bits is None else bits)
    problems = [Problem(p.what, p.remedy, "--weights") for p in found]
    if bits is not None and weights not in (None, "af"):
        what = f"--af-bits with --weights {weights}"
        problems.append(Problem(what, "leave one out; --weights af takes bits"))
    if random and weights not in (None, "af", "shift1", "shift2"):
        what = f"random weights as {weights}"
        problems.append(Problem(what, "use --weights af, shift1 or shift2"))
    if random and bits not in (None, 8):
        problems.append(Problem(f"random weights of {bits} bits", "leave --af-bits out"))
    return problems
