"""How pictures come to a network's size, in the model file and in words."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shiftforge.errors import InputError, Problems
from shiftforge.quant.data.images import fit
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.file import load_model, model_bytes, save_model
from shiftforge.quant.graph.jsonform import to_json
from shiftforge.quant.graph.resizing import (
    chosen_resize,
    describe,
    resize_from_json,
    resize_to_json,
)
from shiftforge.quant.graph.types import Preprocess, QuantizedModel, Resize
from shiftforge.quant.graph.verify import verify

MODEL = random_model(0)
RULES = [
    Resize(),
    Resize("squash", (40, 50), "bicubic"),
    Resize("edge", (41,), "lanczos", "white", "even"),
    Resize("none", filter="box"),
    Resize("exact"),
]


def ruled(rule: Resize) -> QuantizedModel:
    return replace(MODEL, preprocess=replace(MODEL.preprocess, resize=rule))


@pytest.mark.parametrize("rule", RULES)
def test_a_model_file_keeps_the_rule(rule: Resize, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(ruled(rule), path)
    assert load_model(path).preprocess == ruled(rule).preprocess


def test_files_without_the_field_squash_and_are_written_as_before() -> None:
    graph, _ = to_json(MODEL)
    assert "resize" not in graph["preprocess"]
    assert resize_from_json(Fields(graph["preprocess"], "preprocess", [])) == Resize()
    assert b'"resize"' not in model_bytes(MODEL)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "stretch"}, "'kind' is none of squash, edge, none, exact"),
        ({"kind": None}, "'kind' is not a string"),
        ({"kind": ["edge"]}, "'kind' is not a string"),
        ({"filter": "BILINEAR"}, "'filter' is none of"),
        ({"alpha": "black"}, "'alpha' is none of"),
        ({"centre": "up"}, "'centre' is none of"),
        ({"sides": "256"}, "'sides' is not a list"),
        ({"sides": [2.5]}, "'sides' is not a list"),
        ({"sides": [True]}, "'sides' is not a list"),
    ],
)
def test_fields_of_another_kind(changes: dict[str, Any], said: str) -> None:
    good = resize_to_json(Resize("edge", (41,)))["resize"]
    problems = Problems()
    resize_from_json(Fields({"resize": {**good, **changes}}, "preprocess", problems))
    assert any(said in problem.what for problem in problems)
    for name in good:
        problems = Problems()
        cut = {key: value for key, value in good.items() if key != name}
        resize_from_json(Fields({"resize": cut}, "preprocess", problems))
        assert any("is missing" in problem.what for problem in problems)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Resize("edge"), "resize edge has 0 sides"),
        (Resize("edge", (1, 2)), "resize edge has 2 sides"),
        (Resize("squash", (4,)), "resize squash has 1 sides"),
        (Resize("none", (4,)), "resize none has 1 sides"),
        (Resize("edge", (0,)), "sides are 1.."),
        (Resize("edge", (1 << 40,)), "sides are 1.."),
        (Resize(filter="best"), "resize has the filter 'best'"),  # type: ignore[arg-type]
    ],
)
def test_rules_that_are_none(rule: Resize, said: str) -> None:
    with pytest.raises(InputError) as caught:
        verify(ruled(rule))
    assert said in str(caught.value)


def test_another_way_is_chosen() -> None:
    usual = Preprocess(3, 64, 48, (0.5,) * 3, (0.5,) * 3)
    cropped = replace(usual, resize=Resize("edge", (72,), "bicubic"))
    assert chosen_resize(cropped, None) == chosen_resize(cropped, "crop") == cropped
    assert chosen_resize(cropped, "squash").resize == Resize(filter="bicubic")
    assert chosen_resize(usual, "crop").resize == Resize("edge", (64,))
    with pytest.raises(InputError, match="unknown way to resize"):
        chosen_resize(usual, "stretch")
    for rule in RULES:
        text = describe(replace(usual, resize=rule))
        assert "64x48" in text
    assert cropped.at(32, 24).resize.sides == (36,)
    squashed = replace(usual, resize=Resize("squash", (80, 60)))
    assert squashed.at(32, 24).resize.sides == (40, 30)


@pytest.mark.parametrize("size", [(87, 61), (61, 88), (20, 20), (31, 19)])
def test_torchvisions_centre(size: tuple[int, int]) -> None:
    """torchvision's CenterCrop: zeros more behind than before, halves rounded to even."""
    rule = Preprocess(3, 24, 25, (), (), Resize("none", centre="even"))
    pixels = np.random.default_rng(0).integers(1, 256, (size[1], size[0], 3), dtype=np.uint8)
    pad = [(max(24 - size[1], 0)), max(25 - size[0], 0)]
    wanted = np.pad(
        pixels, [(pad[0] // 2, -(-pad[0] // 2)), (pad[1] // 2, -(-pad[1] // 2)), (0, 0)]
    )
    top = round((wanted.shape[0] - 24) / 2.0)
    left = round((wanted.shape[1] - 25) / 2.0)
    wanted = wanted[top : top + 24, left : left + 25]
    assert np.array_equal(fit(Image.fromarray(pixels), rule), wanted)


def test_the_manifest_form_has_every_field() -> None:
    assert set(asdict(Resize())) == set(resize_to_json(RULES[1])["resize"])
