"""The training loop: repeatable, resumable, and picky about what it resumes from."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.graph.types import Preprocess
from shiftforge.quant.models.batches import Examples, TrainingSet, normalised, training_batches
from shiftforge.quant.models.checkpoint import load_checkpoint
from shiftforge.quant.models.fit import Progress, Recipe, Stage, accuracy, fit, learning_rate

PREPROCESS = Preprocess(1, 8, 8, (0.25,), (0.5,))
RECIPE = Recipe(epochs=3, rate=0.1, batch=8, shift=1, seed=5)


def tiny(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, 2),
    )


def examples(count: int = 20) -> Examples:
    """Two classes: the upper or the lower half is bright."""
    rng = np.random.default_rng(1)
    labels = np.arange(count, dtype=np.int64) % 2
    images = rng.integers(0, 60, (count, 8, 8, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4] += 150
    return Examples.of(images, labels, PREPROCESS, torch.device("cpu"))


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, optimiser: str) -> None:
    data = examples()
    recipe = replace(RECIPE, optimiser=optimiser)
    whole, again, broken = tiny(), tiny(), tiny()
    reached = fit(whole, TrainingSet(data, data), recipe, Stage("t"))
    fit(again, TrainingSet(data, data), recipe, Stage("t"))
    assert same(whole, again)
    fit(broken, TrainingSet(data, data), recipe, Stage("t", tmp_path, keep=None, stop_after=1))
    assert not same(whole, broken)
    resumed, kept = tiny(seed=9), Stage("t", tmp_path, keep=None)
    assert fit(resumed, TrainingSet(data, data), recipe, kept) == reached[1:]
    assert same(whole, resumed)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"t-00{i}.safetensors" for i in (1, 2, 3)]
    # A finished run only loads.
    loaded = tiny(seed=9)
    assert fit(loaded, TrainingSet(data, data), recipe, Stage("t", folder=tmp_path)) == []
    assert same(whole, loaded)


def test_another_seed_gives_another_network() -> None:
    data = examples()
    one, other = tiny(), tiny()
    fit(one, TrainingSet(data, data), RECIPE, Stage("t"))
    fit(other, TrainingSet(data, data), replace(RECIPE, seed=6), Stage("t"))
    assert not same(one, other)


def test_it_learns() -> None:
    data = examples(64)
    network = tiny()
    fit(network, TrainingSet(data, data), replace(RECIPE, epochs=6), Stage("t"))
    assert accuracy(network, data) > 0.9


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    data = examples()
    fit(tiny(), TrainingSet(data, data), RECIPE, Stage("t", folder=tmp_path, stop_after=1))
    with pytest.raises(InputError, match="another training recipe"):
        fit(tiny(), TrainingSet(data, data), replace(RECIPE, rate=0.2), Stage("t", folder=tmp_path))
    with pytest.raises(InputError, match="another training recipe"):
        fit(tiny(), TrainingSet(examples(18), data), RECIPE, Stage("t", folder=tmp_path))
    with pytest.raises(InputError, match="another training recipe"):
        fit(tiny(), TrainingSet(data, data), RECIPE, Stage("t", folder=tmp_path, facts={"bits": 3}))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    data = examples()
    fit(tiny(), TrainingSet(data, data), RECIPE, Stage("t", folder=tmp_path, stop_after=1))
    path = tmp_path / "t-001.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(InputError, match="no safetensors file"):
        fit(tiny(), TrainingSet(data, data), RECIPE, Stage("t", folder=tmp_path))
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="no safetensors file"):
        load_checkpoint(path)
    with pytest.raises(InputError, match="no such file"):
        load_checkpoint(tmp_path / "absent.safetensors")


def test_bad_recipes_list_every_problem() -> None:
    data = examples()
    bad = Recipe(epochs=0, rate=math.nan, batch=64, shift=-1)
    with pytest.raises(InputError) as error:
        fit(tiny(), TrainingSet(data, data), bad, Stage("t"))
    assert len(error.value.problems) == 4


def test_divergence_is_reported() -> None:
    data = examples()
    with pytest.raises(InputError, match="diverged"):
        fit(tiny(), TrainingSet(data, data), replace(RECIPE, rate=1e30, warmup=0.0), Stage("t"))


def test_progress_ends_with_no_time_left() -> None:
    data = examples()
    seen: list[Progress] = []
    fit(tiny(), TrainingSet(data, data), RECIPE, Stage("t", report=seen.append))
    assert (seen[-1].epoch, seen[-1].step, seen[-1].steps) == (3, 2, 2)
    assert seen[-1].seconds_left == 0 and seen[0].seconds_left > 0
    assert seen[0].accuracy is None and seen[-1].accuracy is not None


def test_the_schedule_rises_and_falls_to_nothing() -> None:
    rates = [learning_rate(RECIPE, step, 100) for step in range(100)]
    assert rates[9] == RECIPE.rate == max(rates)
    assert rates[0] == pytest.approx(RECIPE.rate / 10) and rates[-1] < 0.001 * RECIPE.rate
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_batches_are_flips_and_shifts_of_the_images() -> None:
    data = examples()
    count = 0
    for images, labels in training_batches(data, 8, 1, seed=3):
        for image, label in zip(images, labels, strict=True):
            count += 1
            variants = []
            for source in data.images[data.labels == label]:
                padded = nn.functional.pad(source, (1, 1, 1, 1))
                for flipped in (padded, padded.flip(2)):
                    variants += [
                        flipped[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)
                    ]
            found = normalised(torch.stack(variants), PREPROCESS)
            assert (found == image).flatten(1).all(1).any()
    assert count == 16


def test_normalisation_matches_the_formula() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    wanted = (np.arange(256) / 255 - 0.25) / 0.5
    found = normalised(pixels, PREPROCESS).numpy().ravel()
    assert np.abs(found - wanted).max() < 1e-6
