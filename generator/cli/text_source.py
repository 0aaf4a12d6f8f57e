"""Sources of integer text classifiers: folders, and random weights by name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import open_file
from shiftforge.jsontext import read_json

if TYPE_CHECKING:
    from shiftforge.quant.albert.network.settings import Shape

__all__ = ["CONFIG", "RANDOM", "folder_problems", "is_text_source", "random_shape"]

RANDOM = "albert-random"
CONFIG = "config.json"
_FORM = "LxHxHEADSxF[xLAYERS]"
_NOTES, _WEIGHTS = "classifier.json", "model.safetensors"
_PICKLES = (b"\x80", b"PK\x03\x04")


def is_text_source(source: str) -> bool:
    """Whether a source is a classifier's folder, an ALBERT's, or random weights by name."""
    if source == RANDOM or source.startswith(RANDOM + ":"):
        return True
    folder = Path(source)
    try:
        if (folder / _NOTES).is_file():
            return True
    except (OSError, ValueError):
        return False
    try:
        settings = read_json(folder / CONFIG)
    except InputError:
        return False
    return isinstance(settings, dict) and settings.get("model_type") == "albert"


def random_shape(source: str) -> Shape:
    """Sizes of random weights; those of ALBERT-base where the name has none.

    Raises InputError where what follows the name is no shape.
    """
    from shiftforge.quant.albert.network.config import head_problems
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
    if problems := head_problems(hidden, heads, source):
        raise InputError(problems)
    return replace(
        ALBERT_BASE,
        length=length,
        hidden=hidden,
        heads=heads,
        ffn=ffn,
        layers=own,
        embedding=embedding,
    )


def folder_problems(folder: Path, untrained: bool) -> list[Problem]:
    """What is wrong with a classifier's folder, from its files alone.

    untrained: an ALBERT without trained off-ramps is meant.
    """
    where = str(folder)
    trained = (folder / _NOTES).is_file()
    if untrained and trained:
        what = "--untrained-off-ramps for a classifier whose off-ramps are trained"
        return [Problem(what, "leave it out", where)]
    from shiftforge.quant.albert.network.config import head_problems, read_config, size_problems
    from shiftforge.quant.albert.network.notes import load_notes

    problems = Problems()
    if trained:
        problems.check(load_notes, folder, ["classes"])
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
    with open_file(path) as stream:
        start = stream.read(4)
    if start.startswith(_PICKLES) and not _is_header(path):
        remedy = "save the weights as safetensors: pickles run code, and are not read"
        return [Problem("a pickle with the name of a safetensors file", remedy, str(path))]
    settings = problems.check(read_config, folder)
    if settings is not None:
        at = str(folder / CONFIG)
        problems += head_problems(settings["hidden_size"], settings["num_attention_heads"], at)
        problems += size_problems(settings, folder)
        if settings["num_hidden_groups"] != 1 or settings["inner_group_num"] != 1:
            what = f"{settings['num_hidden_groups']} groups of {settings['inner_group_num']} layers"
            problems.append(Problem(what, "layers share their weights: one group of one", at))
        if settings["hidden_act"] != "gelu_new":
            what = f"hidden_act {settings['hidden_act']!r:.40}"
            problems.append(Problem(what, "the unit computes gelu_new", at))
    return [*problems, *_finite_problems(path)]


def _is_header(path: Path) -> bool:
    """Whether the file begins as safetensors do: a length, then a JSON object."""
    with open_file(path) as stream:
        size = int.from_bytes(stream.read(8), "little")
        return 0 < size <= path.stat().st_size - 8 and stream.read(1) == b"{"


def _finite_problems(path: Path) -> list[Problem]:
    """Every tensor with a value that is not a number, or infinite."""
    from shiftforge.quant.tensor_file import read_tensors

    remedy = "train the classifier again, at a lower learning rate"
    problems = Problems()
    read = problems.check(read_tensors, path, "train the classifier again")
    if read is None:
        return problems
    tensors, _ = read
    return [
        Problem(f"{name} has values that are not finite", remedy, str(path))
        for name, values in sorted(tensors.items())
        if values.dtype.kind == "f" and not np.isfinite(values).all()
    ]
