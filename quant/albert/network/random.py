"""Random ALBERT classifiers of any size, and Hugging Face folders whose off-ramps are untrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import Problem, Problems
from shiftforge.quant.albert.network.convert import convert
from shiftforge.quant.albert.network.integer import IntegerAlbert, Weights
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.network.stages import LINEARS, NORMS, FloatNetwork
from shiftforge.quant.formats.adaptivfloat_calibration import Method

__all__ = ["ALBERT_BASE", "from_pretrained_folder", "random_albert", "random_ids", "random_network"]

ALBERT_BASE = Shape(
    hidden=768, heads=12, ffn=3072, layers=12, length=128, embedding=128, vocabulary=30000
)
"""ALBERT-base v2's sizes (transformers' AlbertConfig of it), for sentences of 128 tokens."""
CALIBRATION = 2  # sentences: random tokens are all alike
TYPES = 2
EPSILON = 1e-12
# Standard deviation of a matrix times the root of its inputs: 1 keeps that of what goes in.
GAINS = {"q": 1.6, "k": 1.6, "v": 1.0, "output": 0.5, "ffn1": 1.0, "ffn2": 1.5, "mapping": 1.0}
ALIKE = 0.5  # correlation of the key's matrix with the query's

Ints = NDArray[np.int64]


def random_ids(shape: Shape, count: int, seed: int = 0) -> list[Ints]:
    """``count`` sentences of ``shape.length`` random tokens."""
    rng = np.random.default_rng([1, seed])
    return [rng.integers(0, shape.vocabulary, shape.length) for _ in range(count)]


def random_network(shape: Shape, classes: int = 2, seed: int = 0) -> FloatNetwork:
    """A random ALBERT with an off-ramp a layer.

    transformers' initial weights, of a standard deviation of 0.02, leave scores near 0 and so every
    probability near 1/L. Here matrices have GAINS over the root of their inputs, and what makes all
    tokens alike after a few passes of one random layer is held back: keys resemble queries (ALIKE),
    so that a token looks at itself among others; attention adds less than the input holds; and
    the rows of ``ffn2`` sum to 0, so that the mean of GELU adds nothing to every token. At
    ALBERT-base's sizes the mean cosine of two tokens is then 0.1 after the first layer and 0.7
    after the twelfth. With independent keys and gains of 1.5 for q, k and output it is 1.00 from
    the seventh on.
    """
    rng = np.random.default_rng([0, seed])
    h, f, e = shape.hidden, shape.ffn, shape.embedding
    sizes: dict[str, tuple[int, int]] = {"mapping": (h, e), "ffn1": (f, h), "ffn2": (h, f)}
    sizes |= {name: (h, h) for name in LINEARS if name not in sizes}
    sizes |= {f"ramp {i}": (classes, h) for i in range(shape.layers)}
    values: dict[str, Any] = {
        "word": rng.normal(size=(shape.vocabulary, e)),
        "position": 0.5 * rng.normal(size=(shape.length, e)),
        "type": 0.3 * rng.normal(size=(TYPES, e)),
    }
    for name, (rows, depth) in sizes.items():
        gain = GAINS.get(name, 1.0)
        values[name] = rng.normal(size=(rows, depth)) * (gain / np.sqrt(depth))
        values[f"{name}.bias"] = 0.1 * rng.normal(size=rows)
    values["k"] = ALIKE * values["q"] + np.sqrt(1 - ALIKE**2) * values["k"]
    values["ffn2"] -= values["ffn2"].mean(axis=1, keepdims=True)
    for name in ("embedding_norm", *NORMS):
        size = e if name == "embedding_norm" else h
        values[f"{name}.gamma"] = 1 + 0.1 * rng.normal(size=size)
        values[f"{name}.beta"] = 0.1 * rng.normal(size=size)
    return FloatNetwork(values, shape.heads, shape.layers, EPSILON, _names(classes))


def random_albert(
    shape: Shape, weights: Weights = "af", classes: int = 2, seed: int = 0, *,
    method: Method = "mse", sentences: int = CALIBRATION,
) -> IntegerAlbert:  # fmt: skip
    """``random_network`` in integers, calibrated on random sentences of its full length.

    Raises InputError where it does not fit the unit.
    """
    network = random_network(shape, classes, seed)
    return convert(network, random_ids(shape, sentences, seed), weights, method)


def from_pretrained_folder(
    folder: Path, classes: Sequence[str], calibration: Sequence[Ints], *, length: int = 128,
    weights: Weights = "af", method: Method = "mse", seed: int = 0,
) -> IntegerAlbert:  # fmt: skip
    """The integers of a Hugging Face folder's ALBERT (safetensors), with random off-ramps.

    classes: names of the labels. calibration: token identities (L,) of sentences of its tokeniser.
    length: of the longest sentence; places past it are left out. seed: of the off-ramps, which are
    not trained: labels and entropies mean nothing before they are. Raises InputError.
    """
    from shiftforge.quant.albert.network.folder import float_network, pretrained

    names = tuple(classes)
    model = pretrained(folder, len(names))
    network = float_network(model, names)
    most, words = min(length, network.length), len(network.values["word"])
    problems = Problems()
    if len(names) < 2:
        problems.append(Problem(f"{len(names)} classes", "give at least 2", "classes"))
    if length < 1:
        problems.append(Problem(f"{length} tokens", "give at least 1", "length"))
    for index, ids in enumerate(calibration):
        where = f"calibration sentence {index}"
        if ids.ndim != 1 or not 1 <= len(ids) <= most:
            problems.append(Problem(f"shape {ids.shape}", f"give 1 to {most} tokens", where))
        elif ids.min() < 0 or ids.max() >= words:
            problems.append(Problem(f"a token past {words}", "use its tokeniser", where))
    problems.stop()
    rng = np.random.default_rng([2, seed])
    width = network.values["mapping"].shape[0]
    values = {**network.values, "position": network.values["position"][:most]}
    for index in range(network.layers):
        values[f"ramp {index}"] = rng.normal(size=(len(names), width)) / np.sqrt(width)
        values[f"ramp {index}.bias"] = np.zeros(len(names))
    return convert(replace(network, values=values), calibration, weights, method)


def _names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(classes))
