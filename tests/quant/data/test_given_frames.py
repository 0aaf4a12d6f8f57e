"""Frames from Python: arrays, tensors, loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from shiftforge.errors import InputError
from shiftforge.quant.data.given import given_frames, is_given
from shiftforge.quant.graph.types import Preprocess

PRE = Preprocess(3, 4, 5, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
CLASSES = torch.arange(7) % 3


def normalised() -> torch.Tensor:
    x = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2)).float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (PRE.mean, PRE.std))
    return (x - mean) / std


def batches() -> Iterator[dict[str, Any]]:
    for i in range(0, 7, 2):
        yield {"pixel_values": normalised()[i : i + 2], "labels": CLASSES[i : i + 2]}


@pytest.mark.parametrize(
    ("make", "labelled"),
    [
        (lambda: IMAGES, False),
        (lambda: torch.from_numpy(IMAGES), False),
        (normalised, False),
        (lambda: normalised().numpy(), False),
        (lambda: normalised().requires_grad_(), False),
        (lambda: DataLoader(TensorDataset(normalised(), CLASSES), batch_size=3), True),
        (lambda: DataLoader(TensorDataset(normalised()), batch_size=3), False),
        (batches, True),
        (lambda: [(normalised(), CLASSES)], True),
        (lambda: [IMAGES[:3], IMAGES[3:]], False),
    ],
)
def test_every_form_is_the_same_frames(make: Callable[[], Any], labelled: bool) -> None:
    value = make()
    assert is_given(value)
    frames = given_frames(value, PRE)
    assert np.array_equal(frames.images, IMAGES) and frames.notes == ()
    if labelled:
        assert frames.labels is not None and frames.labels.tolist() == CLASSES.tolist()
    else:
        assert frames.labels is None
    few = given_frames(make(), PRE, 4)
    assert np.array_equal(few.images, IMAGES[:4])


def test_frames_between_two_pixels_are_rounded_and_it_is_said() -> None:
    frames = given_frames(normalised() + 0.008, PRE)
    (note,) = frames.notes
    assert "of a pixel" in note
    assert np.abs(frames.images.astype(int) - IMAGES).max() <= 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((2, 4, 5, 3)), "float"),
        (np.zeros((0, 4, 5, 3), np.uint8), "N >= 1"),
        (torch.zeros(2, 3, 5, 4), "float"),
        (torch.full((2, 3, 4, 5), float("nan")), "NaN"),
        (iter(()), "no batch"),
        (iter([["text"]]), "gives a list"),
        (iter([{"other": 3}]), "gives a dict"),
    ],
)
def test_other_things(value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        given_frames(value, PRE)


@pytest.mark.parametrize("value", [3, "photos", b"x", [], ["a"], {"images": 1}, np.array(3), None])
def test_what_holds_no_frames(value: Any) -> None:
    assert not is_given(value)


def failing(error: BaseException) -> Iterator[torch.Tensor]:
    yield normalised()
    raise error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: normalised().to("meta"), "a tensor of torch.float32 has no values to read"),
        (lambda: normalised().to_sparse(), "a tensor of torch.float32 has no values to read"),
        (lambda: [normalised().to("meta")], "has no values to read"),
        (lambda: torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float(), "as pixels of 0 to 255"),
        (lambda: normalised() * 1e30, "as pixels of 0 to 255"),
        (lambda: failing(ZeroDivisionError("of mine")), "raised ZeroDivisionError: of mine"),
        (lambda: failing(SystemExit(3)), "the loader raised SystemExit: 3"),
    ],
)
def test_frames_that_cannot_be_read(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        given_frames(make(), PRE)
    assert all(problem.remedy for problem in caught.value.problems)


def test_bfloat16_is_read() -> None:
    found = given_frames(normalised().bfloat16(), PRE)
    assert np.abs(found.images.astype(int) - IMAGES).max() <= 2


def test_interrupting_a_loader_is_no_fault_of_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        given_frames(failing(KeyboardInterrupt()), PRE)
