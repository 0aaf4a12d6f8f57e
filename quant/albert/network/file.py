"""The integer classifier's file: safetensors, the rest as JSON in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem
from shiftforge.jsontext import parse_json
from shiftforge.quant.albert.network.config import MOST_CLASSES
from shiftforge.quant.albert.network.embedding import EmbeddingTable
from shiftforge.quant.albert.network.integer import (
    LINEARS,
    NORMS,
    IntegerAlbert,
    IntegerLinear,
    IntegerNorm,
)
from shiftforge.quant.tensor_file import KEY, read_tensors

__all__ = ["Package", "load_integer", "load_package", "save_integer"]

_KIND = "albert-integer-2"
_MOST, _DIGITS, _MOST_LAYERS = 1 << 31, 40, 255
_FIELDS = {"weights", "heads", "fraction", "epsilon", "classes", "gamma_fractions",
           "embedding_biases", "biases", "columns", "bits", "tokeniser", "notes"}  # fmt: skip
_REMEDY = "convert the network again"


@dataclass(frozen=True, eq=False)
class Package:
    """network, and what goes with it: tokeniser, the text of its ``tokenizer.json``, and notes,
    where the file has them."""

    network: IntegerAlbert
    tokeniser: str | None
    notes: Mapping[str, Any] | None


def save_integer(
    network: IntegerAlbert,
    path: Path,
    *,
    tokeniser: str | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write the file, whole or not at all; equal networks give equal bytes.

    tokeniser: the text of its ``tokenizer.json``. notes: values that JSON holds.
    Raises InputError where the network is not valid or the notes are no JSON.
    """
    network.check()
    text = {
        "kind": _KIND,
        "weights": network.weights,
        "heads": network.heads,
        "fraction": network.fraction,
        "epsilon": network.epsilon,
        "classes": list(network.classes),
        "gamma_fractions": {name: n.gamma_fraction for name, n in network.norms.items()},
        "embedding_biases": dict(network.embedding_biases),
        "biases": [dict(own) for own in network.biases],
        "columns": network.words.columns,
        "bits": network.bits,
        "tokeniser": tokeniser,
        "notes": None if notes is None else dict(notes),
    }
    arrays = {name: np.ascontiguousarray(a) for name, a in sorted(network.arrays().items())}
    try:
        told = json.dumps(text, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(Problem(f"notes: {error}", "give JSON values", str(path))) from error
    write_file(path, save(arrays, metadata={KEY: told}))


def load_integer(path: Path) -> IntegerAlbert:
    """The network of a file. Raises InputError for any other or damaged file."""
    return load_package(path).network


def load_package(path: Path) -> Package:
    """Read and check a file. Raises InputError for any other or damaged one."""
    where = str(path)
    arrays, metadata = read_tensors(path, _REMEDY)
    try:
        text = parse_json(metadata[KEY], where, _REMEDY)
        if not isinstance(text, dict) or text.get("kind") != _KIND:
            kind = text.get("kind") if isinstance(text, dict) else None
            raise ValueError(f"kind {kind!r:.40}")
        network = _network(text, arrays)
        tokeniser, notes = text["tokeniser"], text["notes"]
        if not isinstance(tokeniser, str | None) or not isinstance(notes, dict | None):
            raise ValueError("tokeniser or notes of another type")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"no integer classifier, or a damaged one: {error}"
        raise InputError(Problem(what, _REMEDY, where)) from error
    try:
        network.check()
    except InputError as error:
        found = [Problem(p.what, _REMEDY, f"{where}: {p.where}") for p in error.problems]
        raise InputError(found) from error
    return Package(network, tokeniser, notes)


def _whole(value: Any, name: str) -> int:
    if type(value) is not int or not abs(value) < _MOST:
        raise ValueError(f"{name} is {value!r:.40}, no whole number of its range")
    return value


def _wholes(value: Any, name: str) -> dict[str, int]:
    """Whole numbers by name."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return {key: _whole(own, f"{key} of {name}") for key, own in value.items()}


def _names(value: Any) -> tuple[str, ...]:
    good = isinstance(value, list) and 2 <= len(value) <= MOST_CLASSES
    if not good or not all(isinstance(own, str) for own in value):
        raise ValueError(f"classes are no list of 2 to {MOST_CLASSES} names")
    return tuple(value)


def _network(text: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> IntegerAlbert:
    def typed(name: str, dtype: Any, axes: int) -> NDArray[Any]:
        if name not in arrays:
            raise ValueError(f"no array {name}")
        array = arrays[name]
        if array.dtype != dtype or array.ndim != axes:
            raise ValueError(f"{name} is {array.dtype} with {array.ndim} axes")
        return array

    def linear(name: str) -> IntegerLinear:
        return IntegerLinear(
            typed(name, np.uint8, 2),
            typed(f"{name}.exponent", np.int8, 1),
            typed(f"{name}.bias", np.int32, 1),
        )

    missing = sorted(_FIELDS - set(text))
    if missing:
        raise ValueError(f"no {', '.join(missing)} in the header")
    if text["weights"] not in ("af", "shift1", "shift2"):
        raise ValueError(f"weights {text['weights']!r:.40}")
    if not isinstance(text["epsilon"], str) or len(text["epsilon"]) > _DIGITS:
        raise ValueError(f"epsilon is {text['epsilon']!r:.40}")
    biases = text["biases"]
    if not isinstance(biases, list) or not 1 <= len(biases) <= _MOST_LAYERS:
        raise ValueError(f"biases are no list of 1 to {_MOST_LAYERS} layers")
    fractions = _wholes(text["gamma_fractions"], "gamma_fractions")
    embedding = _wholes(text["embedding_biases"], "embedding_biases")
    for name, held in (("gamma_fractions", fractions), ("embedding_biases", embedding)):
        if absent := set(NORMS if held is fractions else ("word",)) - set(held):
            raise ValueError(f"no {', '.join(sorted(absent))} in {name}")
    norms = {
        n: IntegerNorm(
            typed(f"{n}.gamma", np.int16, 1), typed(f"{n}.beta", np.int32, 1), fractions[n]
        )
        for n in NORMS
    }
    return IntegerAlbert(
        text["weights"],
        _whole(text["heads"], "heads"),
        _whole(text["fraction"], "fraction"),
        text["epsilon"],
        _names(text["classes"]),
        EmbeddingTable(
            _whole(text["columns"], "columns"),
            typed("word.mask", np.uint8, 2),
            typed("word.values", np.uint8, 1),
            embedding["word"],
        ),
        typed("place", np.uint8, 3),
        {name: linear(name) for name in LINEARS},
        norms,
        tuple(linear(f"ramp {i}") for i in range(len(biases))),
        embedding,
        tuple(_wholes(own, f"biases of layer {i}") for i, own in enumerate(biases)),
        typed("spans", np.uint16, 2) if "spans" in arrays else None,
        _whole(text["bits"], "bits"),
    )
