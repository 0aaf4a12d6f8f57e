"""The config.json of an ALBERT, field by field, and its sizes held against the weights' file.

Both are read before torch or transformers see anything: a claim of any size costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import read_json
from shiftforge.quant.tensor_file import read_header

__all__ = ["CONFIG", "HEAD_WIDTHS", "MOST_CLASSES", "WEIGHTS", "class_names", "head_problems",
           "network_settings", "read_config", "size_problems"]  # fmt: skip

CONFIG, WEIGHTS = "config.json", "model.safetensors"
HEAD_WIDTHS = (16, 64, 256)
"""Columns of a head that the unit runs: powers of 4, and multiples of 8."""
MOST_CLASSES = 4096
_REMEDY = f"give a folder with {CONFIG} and {WEIGHTS} of an ALBERT"
# transformers' own values where a file has none, and what the unit or any ALBERT needs.
_WHOLE = {
    "vocab_size": (30000, 1, 1 << 20),
    "embedding_size": (128, 1, 1 << 14),
    "hidden_size": (4096, 1, 1 << 14),
    "num_hidden_layers": (12, 1, 255),
    "num_hidden_groups": (1, 1, 255),
    "inner_group_num": (1, 1, 255),
    "num_attention_heads": (64, 1, 1 << 10),
    "intermediate_size": (16384, 1, 1 << 16),
    "max_position_embeddings": (512, 1, 1 << 16),
    "type_vocab_size": (2, 1, 1 << 10),
    "pad_token_id": (0, 0, (1 << 20) - 1),
    "num_labels": (2, 1, MOST_CLASSES),
}
_SHARES = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
           "classifier_dropout_prob": 0.1, "initializer_range": 0.02,
           "layer_norm_eps": 1e-12}  # fmt: skip
_OPTIONAL = ("pad_token_id", "num_labels", "classifier_dropout_prob")


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of a folder's ALBERT, those that are left out with transformers' values.

    Raises InputError with every field of another type or out of range.
    """
    path = folder / CONFIG
    try:
        held = read_json(path, remedy=_REMEDY)
    except InputError as error:
        first = error.problems[0]
        what = f"no ALBERT: {CONFIG} {first.what}"
        raise InputError(Problem(what, first.remedy, first.where)) from error
    if not isinstance(held, dict):
        raise InputError(Problem("no ALBERT: the settings are no object", _REMEDY, str(path)))
    problems = Problems()
    found = dict(held)
    for name, (usual, least, most) in _WHOLE.items():
        value = found.setdefault(name, usual)
        if value is None and name in _OPTIONAL:
            continue
        if type(value) is not int or not least <= value <= most:
            problems.append(_wrong(name, value, f"give a whole number, {least} to {most}", path))
    for name, share in _SHARES.items():
        value = found.setdefault(name, share)
        if value is None and name in _OPTIONAL:
            continue
        if type(value) not in (int, float) or not 0 <= value < 1 or not math.isfinite(value):
            problems.append(_wrong(name, value, "give a number from 0 to below 1", path))
    if not isinstance(found.setdefault("hidden_act", "gelu_new"), str):
        problems.append(_wrong("hidden_act", found["hidden_act"], "use gelu_new", path))
    kind = found.get("position_embedding_type", "absolute")
    if kind not in ("absolute", None):
        problems.append(_wrong("position_embedding_type", kind, "the unit adds places", path))
    if not isinstance(found.get("model_type", "albert"), str):
        problems.append(_wrong("model_type", found["model_type"], "use albert", path))
    problems.stop()
    hidden, heads = found["hidden_size"], found["num_attention_heads"]
    if hidden % heads:
        remedy = "heads divide the columns evenly"
        problems.append(Problem(f"no ALBERT: {heads} heads in {hidden} columns (hidden_size, "
                                "num_attention_heads)", remedy, str(path)))  # fmt: skip
    if found["pad_token_id"] is not None and found["pad_token_id"] >= found["vocab_size"]:
        remedy = f"give one below vocab_size, {found['vocab_size']}"
        problems.append(_wrong("pad_token_id", found["pad_token_id"], remedy, path))
    problems.check(class_names, found, str(path))
    problems.stop()
    return found


def network_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The checked settings that decide what a network computes; all others stay aside."""
    names = (*_WHOLE, *_SHARES, "hidden_act")
    return {name: config[name] for name in names if name != "num_labels"}


def _wrong(name: str, value: Any, remedy: str, path: Path) -> Problem:
    text = repr(value) if isinstance(value, int | float | str | None) else type(value).__name__
    shown = text if len(text) <= 40 else text[:37] + "..."
    return Problem(f"no ALBERT: {name} is {shown}", remedy, str(path))


def class_names(config: Mapping[str, Any], where: str = CONFIG) -> tuple[str, ...]:
    """The labels' names: those of id2label, else "class 0" to num_labels. Raises InputError."""
    names = config.get("id2label")
    if names is None:
        return tuple(f"class {i}" for i in range(config.get("num_labels") or 2))
    keys = [str(i) for i in range(len(names))] if isinstance(names, dict) else []
    good = isinstance(names, dict) and 0 < len(names) <= MOST_CLASSES and set(names) == set(keys)
    if not good or not all(isinstance(own, str) for own in names.values()):
        remedy = 'give {"0": NAME, "1": NAME, ...} without a gap'
        raise InputError(Problem("no ALBERT: id2label has no names of classes", remedy, where))
    return tuple(names[key] for key in keys)


def head_problems(hidden: int, heads: int, where: str = "") -> list[Problem]:
    """Heads of a width that no unit runs."""
    width = hidden // max(heads, 1)
    if heads >= 1 and width * heads == hidden and width in HEAD_WIDTHS:
        return []
    what = f"{heads} heads in {hidden} columns: no unit runs heads of {hidden / max(heads, 1):g}"
    return [Problem(what, "use heads of 16, 64 or 256 columns", where)]


def _shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Tensors whose shapes hold every size, and the fields that ask for them."""
    e, h, f = (config[n] for n in ("embedding_size", "hidden_size", "intermediate_size"))
    layer = "encoder.albert_layer_groups.0.albert_layers.0"
    words = "embeddings.word_embeddings.weight"
    yield words, (config["vocab_size"], e), "vocab_size, embedding_size"
    places = config["max_position_embeddings"], e
    yield "embeddings.position_embeddings.weight", places, "max_position_embeddings"
    types = config["type_vocab_size"], e
    yield "embeddings.token_type_embeddings.weight", types, "type_vocab_size"
    yield "encoder.embedding_hidden_mapping_in.weight", (h, e), "hidden_size, embedding_size"
    for name in ("query", "key", "value", "dense"):
        yield f"{layer}.attention.{name}.weight", (h, h), "hidden_size"
    yield f"{layer}.ffn.weight", (f, h), "intermediate_size, hidden_size"
    yield f"{layer}.ffn_output.weight", (h, f), "hidden_size, intermediate_size"


def size_problems(config: Mapping[str, Any], folder: Path) -> list[Problem]:
    """Tensors that the weights' file does not have, or of other sizes than the settings'.

    What is missing would be random numbers without a word. Only the file's header is read.
    """
    path = folder / WEIGHTS
    problems = Problems()
    header = problems.check(read_header, path, _REMEDY)
    if header is None:
        return problems
    for name, wanted, fields in _shapes(config):
        held = header.shapes.get(f"albert.{name}", header.shapes.get(name))
        if held is None:
            what = f"no ALBERT: no tensor {name}"
            problems.append(Problem(what, _REMEDY, str(path)))
        elif held != wanted:
            what = f"size mismatch: {name} is {held}, {CONFIG} says {wanted} ({fields})"
            problems.append(Problem(what, f"mend {CONFIG}, or save the weights again", str(path)))
    return problems
