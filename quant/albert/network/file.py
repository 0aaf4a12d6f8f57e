"""The integer classifier's file: safetensors, the rest as JSON in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from shiftforge.errors import InputError, Problem
from shiftforge.files import write_file
from shiftforge.quant.albert.network.embedding import EmbeddingTable
from shiftforge.quant.albert.network.integer import NORMS, IntegerAlbert, IntegerLinear, IntegerNorm

__all__ = ["Package", "load_integer", "load_package", "save_integer"]

_KEY, _KIND, _HEADER = "shiftforge", "albert-integer-2", 8
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
        told = json.dumps(text, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(Problem(f"notes: {error}", "give JSON values", str(path))) from error
    write_file(path, save(arrays, metadata={_KEY: told}))


def load_integer(path: Path) -> IntegerAlbert:
    """The network of a file. Raises InputError for any other or damaged file."""
    return load_package(path).network


def load_package(path: Path) -> Package:
    """Read and check a file. Raises InputError for any other or damaged one."""
    where = str(path)
    try:
        data = path.read_bytes()
        arrays = load(data)
        size = int.from_bytes(data[:_HEADER], "little")
        text = json.loads(json.loads(data[_HEADER : _HEADER + size])["__metadata__"][_KEY])
        if text["kind"] != _KIND:
            raise ValueError(f"kind {text['kind']!r}")
        network = _network(text, arrays)
        tokeniser, notes = text["tokeniser"], text["notes"]
        if not isinstance(tokeniser, str | None) or not isinstance(notes, dict | None):
            raise ValueError("tokeniser or notes of another type")
    except (OSError, SafetensorError) as error:
        raise InputError(Problem(f"no safetensors file: {error}", _REMEDY, where)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"no integer classifier, or a damaged one: {error}"
        raise InputError(Problem(what, _REMEDY, where)) from error
    network.check()
    return Package(network, tokeniser, notes)


def _network(text: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> IntegerAlbert:
    def typed(name: str, dtype: Any, axes: int) -> NDArray[Any]:
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

    if text["weights"] not in ("af", "shift1", "shift2"):
        raise ValueError(f"weights {text['weights']!r}")
    fractions = text["gamma_fractions"]
    norms = {
        n: IntegerNorm(
            typed(f"{n}.gamma", np.int16, 1), typed(f"{n}.beta", np.int32, 1), int(fractions[n])
        )
        for n in NORMS
    }
    names = ("mapping", "q", "k", "v", "output", "ffn1", "ffn2")
    return IntegerAlbert(
        text["weights"],
        int(text["heads"]),
        int(text["fraction"]),
        str(text["epsilon"]),
        tuple(str(c) for c in text["classes"]),
        EmbeddingTable(
            int(text["columns"]),
            typed("word.mask", np.uint8, 2),
            typed("word.values", np.uint8, 1),
            int(text["embedding_biases"]["word"]),
        ),
        typed("place", np.uint8, 3),
        {name: linear(name) for name in names},
        norms,
        tuple(linear(f"ramp {i}") for i in range(len(text["biases"]))),
        {str(k): int(v) for k, v in text["embedding_biases"].items()},
        tuple({str(k): int(v) for k, v in own.items()} for own in text["biases"]),
        typed("spans", np.uint16, 2) if "spans" in arrays else None,
        int(text["bits"]),
    )
