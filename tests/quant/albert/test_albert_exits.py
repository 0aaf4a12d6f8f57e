"""Entropy, exit layers and thresholds against plain loops; operations against the published sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from shiftforge.errors import InputError
from shiftforge.quant.albert.exits.exits import (
    choose_threshold,
    exit_layers,
    exit_point,
    exit_sweep,
    nats,
)
from shiftforge.quant.albert.network.macs import layer_macs, sentence_macs
from shiftforge.quant.albert.network.settings import Shape


def logits_of(seed: int, layers: int = 4, texts: int = 30, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(layers, texts, classes)) * 3


def test_entropy_is_scipys() -> None:
    logits = logits_of(0)
    e = np.exp(logits)
    want = entropy(e / e.sum(axis=2, keepdims=True), axis=2)
    np.testing.assert_allclose(nats(logits), want, atol=1e-12)


def test_entropy_of_huge_logits_is_zero_and_of_equal_ones_the_logarithm() -> None:
    assert nats(np.array([1e4, 0.0, -1e4])) == 0
    assert nats(np.zeros(5)) == pytest.approx(np.log(5))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1.2))
def test_exits_are_those_of_a_loop(seed: int, threshold: float) -> None:
    logits = logits_of(seed)
    labels = np.random.default_rng(seed).integers(0, 3, logits.shape[1])
    found = nats(logits)
    layers, right = [], 0
    for text in range(logits.shape[1]):
        layer = 0
        while layer < len(logits) - 1 and found[layer, text] > threshold:
            layer += 1
        layers.append(layer + 1)
        right += int(logits[layer, text].argmax() == labels[text])
    assert exit_layers(found, threshold).tolist() == layers
    point = exit_point(logits, labels, threshold)
    assert (point.accuracy, point.layer) == (right / len(labels), np.mean(layers))


def test_depth_falls_as_the_threshold_rises() -> None:
    labels = np.zeros(30, dtype=np.int64)
    depth = [p.layer for p in exit_sweep(logits_of(3), labels, np.linspace(0, 1.2, 13).tolist())]
    assert depth == sorted(depth, reverse=True)
    assert depth[-1] == 1


def test_the_chosen_threshold_keeps_the_accuracy() -> None:
    logits = logits_of(5, texts=200)
    labels = logits[-1].argmax(axis=1)
    grid = np.linspace(0, 1.2, 25).tolist()
    chosen = choose_threshold(logits, labels, 0.8, grid)
    assert exit_point(logits, labels, chosen).accuracy >= 0.8
    deeper = [t for t in grid if exit_point(logits, labels, t).accuracy >= 0.8]
    assert chosen == max(deeper)
    assert choose_threshold(logits, 1 - labels.clip(max=1), 1.1, grid) == 0
    with pytest.raises(InputError):
        choose_threshold(logits, labels, 0.8, [])


def test_operations_of_albert_base() -> None:
    base = Shape(768, 12, 3072, 12, 128, 128, 30000)
    assert round(layer_macs(base, 128) / 1e6, 1) == 931.1
    one_off = layer_macs(base, 128) - layer_macs(base, 128, 1)
    assert one_off == 2 * 128 * 128 * 64
    whole = sentence_macs(base, 128, 12, 2)
    assert whole == 12 * layer_macs(base, 128) + 128 * 128 * 768 + 12 * 2 * 768
