"""Random ALBERT classifiers of any size, lively in all layers; untrained Hugging Face folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AlbertModel

from shiftforge.errors import InputError
from shiftforge.quant.albert.network.model import configuration
from shiftforge.quant.albert.network.random import (
    ALBERT_BASE,
    from_pretrained_folder,
    random_albert,
    random_ids,
    random_network,
)
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.albert.network.stages import FloatNetwork, Stages, float_stages

SHAPE = Shape(hidden=64, heads=1, ffn=128, layers=12, length=24, embedding=16, vocabulary=60)


def alike(stages: Stages) -> float:
    """Mean cosine of two tokens after a layer."""
    x = stages["norm2"]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return float((unit @ unit.T)[~np.eye(len(x), dtype=bool)].mean())


def spread(stages: Stages) -> float:
    """Mean entropy of a row of attention over that of equal probabilities."""
    p = stages["probabilities"]
    own = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=2)
    return float(own.mean() / np.log(p.shape[2]))


def run(network: FloatNetwork) -> list[Stages]:
    return float_stages(network, random_ids(SHAPE, 1)[0])[1]


def test_activations_stay_lively() -> None:
    layers = run(random_network(SHAPE))
    assert len(layers) == 12
    for stages in layers:
        assert 0.05 < spread(stages) < 0.95 and alike(stages) < 0.9
    # transformers' own scale gives what this one is chosen against.
    network = random_network(SHAPE)
    values = {**network.values, **{n: 0.02 * network.values[n] for n in ("q", "k")}}
    assert spread(run(replace(network, values=values))[0]) > 0.99


def test_albert_base_has_the_published_sizes() -> None:
    b = ALBERT_BASE
    found = (b.vocabulary, b.embedding, b.layers, b.hidden, b.heads, b.ffn, b.length)
    assert found == (30000, 128, 12, 768, 12, 3072, 128)


@pytest.mark.parametrize("weights", ["af", "shift1", "shift2"])
def test_a_random_network_in_integers(weights: str) -> None:
    shape = replace(SHAPE, layers=3)
    network = random_albert(shape, weights, classes=4, seed=3)  # type: ignore[arg-type]
    assert (network.layers, network.length, network.ffn) == (3, 24, 128)
    assert len(network.classes) == 4 and len(network.word) == 60
    again = random_albert(shape, weights, classes=4, seed=3)  # type: ignore[arg-type]
    for name, array in network.arrays().items():
        assert np.array_equal(array, again.arrays()[name]), name
    other = random_albert(shape, weights, classes=4, seed=4)  # type: ignore[arg-type]
    assert not np.array_equal(network.linears["q"].codes, other.linears["q"].codes)


def folder(path: Path) -> Path:
    torch.manual_seed(0)
    model = AlbertModel(configuration(replace(SHAPE, layers=2), SHAPE.vocabulary))
    model.save_pretrained(path, safe_serialization=True)
    return path


def test_a_hugging_face_folder(tmp_path: Path) -> None:
    calibration = [np.arange(4, 20), np.arange(30, 42)]
    network = from_pretrained_folder(folder(tmp_path), ("no", "yes"), calibration, length=16)
    assert (network.layers, network.length, network.classes) == (2, 16, ("no", "yes"))
    again = from_pretrained_folder(tmp_path, ("no", "yes"), calibration, length=16)
    for name, array in network.arrays().items():
        assert np.array_equal(array, again.arrays()[name]), name


def test_folders_and_sentences_that_do_not_go(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ALBERT"):
        from_pretrained_folder(tmp_path / "none", ("a", "b"), [np.arange(4)])
    wrong = [np.arange(40), np.array([60])]
    with pytest.raises(InputError) as caught:
        from_pretrained_folder(folder(tmp_path), ("a",), wrong, length=16)
    assert len(caught.value.problems) == 3
