"""``shiftforge quantize`` of a trained ALBERT classifier, or of random weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.quant.albert.network.integer import IntegerAlbert

__all__ = ["RANDOM", "is_albert_source", "quantize_texts"]

RANDOM = "albert-random"
_FORM = "LxHxHEADSxF[xLAYERS]"
_METHODS = {"mse": "mse", "percentile": "percentile", "minmax": "max"}
_NOTES, _CONFIG, _WEIGHTS = "classifier.json", "config.json", "model.safetensors"
_LENGTH = 128
_PICKLES = (b"\x80", b"PK\x03\x04")


def is_albert_source(source: str) -> bool:
    """Whether a source is a classifier's folder, an ALBERT's, or random weights by name."""
    if source == RANDOM or source.startswith(RANDOM + ":"):
        return True
    folder = Path(source)
    if (folder / _NOTES).is_file():
        return True
    try:
        settings = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get("model_type") == "albert"


def quantize_texts(
    source: str,
    output: Path,
    *,
    weights: str | None,
    bits: int | None,
    calibration: str,
    seed: int | None,
    untrained: bool,
    calib: str | None,
    problems: list[Problem],
    as_json: bool,
) -> None:
    """Write the integer network of a source and print what is in it.

    untrained: give an ALBERT's folder random off-ramps; calib: file of its calibration texts.
    problems: of the command's other arguments; InputError holds them and everything else.
    """
    import time

    from shiftforge.cli.output import note, print_json, print_table

    started = time.monotonic()
    method = _METHODS[calibration]
    random = source.startswith(RANDOM)
    problems = problems + _weight_problems(weights, bits, random or untrained)
    if random and untrained:
        problems.append(Problem("--untrained-off-ramps for random weights", "leave it out"))
    if not random:
        problems += _folder_problems(Path(source), untrained)
        if seed is not None and not untrained:
            problems.append(Problem("--seed for a trained classifier", "leave it out"))
    if calib is not None and (random or not untrained):
        problems.append(Problem("--calib without --untrained-off-ramps", "leave it out"))
    shape = None
    if random:
        try:
            shape = _shape(source)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if shape is not None:
        from shiftforge.quant.albert.network.file import save_integer
        from shiftforge.quant.albert.network.random import random_albert

        kind: Any = weights or "af"
        note(f"random weights, {shape.layers} layers of {shape.hidden} columns")
        how: Any = method
        made = random_albert(shape, kind, seed=seed or 0, method=how)
        save_integer(made, output, notes={"random": seed or 0})
    elif untrained:
        made = _untrained(Path(source), output, weights or "af", method, seed or 0, calib)
    else:
        from shiftforge.quant.albert.network.quantise import quantise_folder

        note(f"reading {source}")
        chosen: Any = method
        made = quantise_folder(Path(source), output, weights, chosen, bits or 8)
    seconds = time.monotonic() - started
    report = _report(made, output, random, seconds)
    if as_json:
        print_json(report)
        return
    label = "random weights" if random else source
    rows = [(key.replace("_", " "), _text(value)) for key, value in report.items()]
    print_table(f"{label}, quantised in {seconds:.1f} s, saved as {output}", ("", ""), rows)


def _untrained(
    folder: Path, output: Path, weights: str, method: str, seed: int, calib: str | None
) -> IntegerAlbert:
    """An ALBERT's folder with random off-ramps of two classes, for runs without training."""
    import numpy as np

    from shiftforge.cli.output import note
    from shiftforge.quant.albert.network.file import save_integer
    from shiftforge.quant.albert.network.random import from_pretrained_folder
    from shiftforge.quant.text.tokeniser import FILE, encode, load_tokeniser, window

    settings = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    length = min(_LENGTH, int(settings.get("max_position_embeddings", _LENGTH)))
    if calib is None:
        rng = np.random.default_rng(seed)
        words = int(settings.get("vocab_size", 30000))
        ids = [rng.integers(0, words, length) for _ in range(2)]
    else:
        try:
            lines = Path(calib).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            what = f"cannot be read: {error}"
            raise InputError(
                Problem(what, "give a UTF-8 text, a sentence a line", calib)
            ) from error
        found = [line for line in lines if line.strip()]
        if not found:
            raise InputError(Problem("no sentences", "give one a line", calib))
        ids = [window(own, length) for own in encode(load_tokeniser(folder), found)]
    note("the off-ramps are random: labels and entropies mean nothing")
    kind: Any = weights
    how: Any = method
    made = from_pretrained_folder(
        folder, ("class 0", "class 1"), ids, length=length, weights=kind, method=how, seed=seed
    )
    path = folder / FILE
    tokeniser = path.read_text(encoding="utf-8") if path.is_file() else None
    save_integer(made, output, tokeniser=tokeniser, notes={"untrained_off_ramps": seed})
    return made


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

    problems = []
    if weights is not None:
        try:
            weight_choice(weights, 8 if bits is None else bits)
        except InputError as error:
            problems += [Problem(p.what, p.remedy, "--weights") for p in error.problems]
    if bits is not None and weights not in (None, "af"):
        what = f"--af-bits with --weights {weights}"
        problems.append(Problem(what, "leave one out; --weights af takes bits"))
    if random and weights not in (None, "af", "shift1", "shift2"):
        what = f"random weights as {weights}"
        problems.append(Problem(what, "use --weights af, shift1 or shift2"))
    if random and bits not in (None, 8):
        problems.append(Problem(f"random weights of {bits} bits", "leave --af-bits out"))
    return problems


def _folder_problems(folder: Path, untrained: bool) -> list[Problem]:
    """What is wrong with a classifier's folder, from its files alone."""
    where = str(folder)
    trained = (folder / _NOTES).is_file()
    if untrained and trained:
        what = "--untrained-off-ramps for a classifier whose off-ramps are trained"
        return [Problem(what, "leave it out", where)]
    if not trained and not untrained:
        remedy = (
            f"train them: shiftforge train albert --corpus bbc --start {folder} -o CLASSIFIER; or "
            "give --untrained-off-ramps"
        )
        return [
            Problem(f"an ALBERT without {_NOTES}: its off-ramps are not trained", remedy, where)
        ]
    path = folder / _WEIGHTS
    if not path.is_file():
        pickled = sorted(p.name for p in folder.glob("*.bin")) + sorted(
            p.name for p in folder.glob("*.pt*")
        )
        what = f"no {_WEIGHTS}" + (f", but {pickled[0]}" if pickled else "")
        remedy = "save the weights as safetensors: pickles run code, and are not read"
        return [Problem(what, remedy if pickled else "train the classifier again", where)]
    with path.open("rb") as stream:
        start = stream.read(4)
    if start.startswith(_PICKLES) and not _is_header(path):
        remedy = "save the weights as safetensors: pickles run code, and are not read"
        return [Problem("a pickle with the name of a safetensors file", remedy, str(path))]
    return _finite_problems(path)


def _is_header(path: Path) -> bool:
    """Whether the file begins as safetensors do: a length, then a JSON object."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        return 0 < size <= path.stat().st_size - 8 and stream.read(1) == b"{"


def _finite_problems(path: Path) -> list[Problem]:
    """Every tensor with a value that is not a number, or infinite."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    remedy = "train the classifier again, at a lower learning rate"
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        again = "train the classifier again"
        return [Problem(f"no safetensors file: {error}", again, str(path))]
    return [
        Problem(f"{name} has values that are not finite", remedy, str(path))
        for name, values in sorted(tensors.items())
        if values.dtype.kind == "f" and not np.isfinite(values).all()
    ]


def _shape(source: str) -> Any:
    """Sizes of random weights; those of ALBERT-base where the name has none."""
    from dataclasses import replace

    from shiftforge.quant.albert.network.random import ALBERT_BASE

    text = source.removeprefix(RANDOM).removeprefix(":")
    if not text:
        return ALBERT_BASE
    parts = text.lower().split("x")
    good = len(parts) in (4, 5) and all(re.fullmatch("[1-9][0-9]{0,5}", part) for part in parts)
    if not good:
        remedy = f"write {RANDOM}:{_FORM}, such as {RANDOM}:128x768x12x3072x12"
        raise InputError(Problem(f"{text!r} is no shape", remedy, source))
    length, hidden, heads, ffn, *layers = map(int, parts)
    own = layers[0] if layers else ALBERT_BASE.layers
    embedding = min(ALBERT_BASE.embedding, hidden)
    return replace(
        ALBERT_BASE,
        length=length,
        hidden=hidden,
        heads=heads,
        ffn=ffn,
        layers=own,
        embedding=embedding,
    )
