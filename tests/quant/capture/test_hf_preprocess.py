"""Frames are those of transformers' own image processors, pixel for pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.mobilenet_v1.image_processing_pil_mobilenet_v1 import (
    MobileNetV1ImageProcessorPil,
)
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import (
    MobileNetV2ImageProcessorPil,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from shiftforge.errors import InputError
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.loaders.hf_preprocess import read_preprocess
from shiftforge.quant.data.inputs import load_frames
from shiftforge.quant.graph.types import Resize

# The processors by Pillow; those by torchvision need that package, and round in other places.
V2, V1 = MobileNetV2ImageProcessorPil, MobileNetV1ImageProcessorPil
VIT, CONVNEXT = ViTImageProcessorPil, ConvNextImageProcessorPil
SMALL = {"size": {"shortest_edge": 41}, "crop_size": {"height": 32, "width": 36}}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "v2 defaults": (V2, {}),
    "v2 small": (V2, SMALL),
    "v2 padded": (V2, {"size": {"shortest_edge": 30}, "crop_size": {"height": 35, "width": 47}}),
    "v2 ints": (V2, {"size": 40, "crop_size": 33, "image_mean": 0.4, "image_std": 0.3}),
    "v2 squash and crop": (V2, {"size": {"height": 40, "width": 50}, "crop_size": 32}),
    "v2 no resize": (V2, {"do_resize": False, "crop_size": {"height": 32, "width": 40}}),
    "v2 no crop": (V2, {"size": {"height": 40, "width": 50}, "do_center_crop": False}),
    "v2 rescale": (V2, {**SMALL, "rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0]}),
    "v2 raw": (V2, {**SMALL, "do_rescale": False, "image_mean": [120.0, 110.0, 100.0]}),
    "v2 plain": (V2, {**SMALL, "do_normalize": False}),
    "v2 white": (V2, {**SMALL, "do_convert_rgb": True}),
    "v1": (V1, {**SMALL, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.2, 0.3, 0.4]}),
    "vit": (VIT, {"size": {"height": 31, "width": 45}}),
    "vit int": (VIT, {"size": 44}),
    "convnext": (CONVNEXT, {"size": {"shortest_edge": 37}}),
    "convnext int": (CONVNEXT, {"size": 48, "crop_pct": 0.9}),
    "convnext large": (CONVNEXT, {}),
    **{f"filter {n}": (V2, {**SMALL, "resample": n}) for n in range(6)},
}  # fmt: skip


def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(height).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Odd sizes, portrait and landscape, grey, transparent, a palette, turned by EXIF."""
    folder = tmp_path_factory.mktemp("pictures")
    images = {
        "landscape.png": Image.fromarray(noise(57, 91)),
        "portrait.png": Image.fromarray(noise(123, 64)),
        "square.png": Image.fromarray(noise(41, 41)),
        "tiny.png": Image.fromarray(noise(5, 7)),
        "grey.png": Image.fromarray(noise(60, 75, 1)),
        "clear.png": Image.fromarray(noise(70, 45, 4), "RGBA"),
        "grey_clear.png": Image.fromarray(noise(70, 45, 4), "RGBA").convert("LA"),
        "palette.gif": Image.fromarray(noise(50, 61)).quantize(17),
        "photo.jpg": Image.fromarray(noise(90, 131)),
    }
    for name, image in images.items():
        image.save(folder / name)
    for turn in (3, 6, 7):
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(noise(61, 87)).save(folder / f"turned{turn}.jpg", exif=exif)
    return sorted(folder.iterdir())


def opened(path: Path, settings: dict[str, Any]) -> Image.Image:
    """As transformers' load_image opens a file; transparency is the processor's where it asks."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(Image.open(path))
    return image if settings.get("do_convert_rgb") else image.convert("RGB")


@pytest.mark.parametrize("case", CASES)
def test_frames_are_the_processors(case: str, pictures: list[Path], tmp_path: Path) -> None:
    kind, settings = CASES[case]
    processor = kind(**settings)
    processor.save_pretrained(tmp_path)
    given = json.loads((tmp_path / "preprocessor_config.json").read_text())
    preprocess = read_preprocess(given, 3, 48, "preprocessor_config.json")
    bare = kind(**{**settings, "do_rescale": False, "do_normalize": False})
    for path in pictures:
        frame = load_frames(str(path), preprocess).images
        image = opened(path, settings)
        pixels = np.asarray(bare(image, return_tensors="np")["pixel_values"][0])
        assert np.array_equal(frame[0].transpose(2, 0, 1), pixels), path.name
        wanted = np.asarray(processor(image, return_tensors="np")["pixel_values"][0])
        found = normalise(frame, preprocess)[0]
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5), path.name


def test_an_array_of_another_size_is_resized_as_a_picture_is(tmp_path: Path) -> None:
    preprocess = read_preprocess(SMALL, 3, 48, "here")
    assert preprocess.resize == Resize("edge", (41,))
    pixels = noise(57, 91)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", pixels[None])
    picture, array = (load_frames(str(tmp_path / f"a.{e}"), preprocess) for e in ("png", "npy"))
    assert np.array_equal(picture.images, array.images)
    own = noise(32, 36)
    np.save(tmp_path / "own.npy", own)
    assert np.array_equal(load_frames(str(tmp_path / "own.npy"), preprocess).images[0], own)


def test_what_is_left_out_or_null_is_the_classes_own() -> None:
    usual = read_preprocess({}, 3, 64, "here")
    assert (usual.height, usual.width, usual.resize) == (224, 224, Resize("edge", (256,)))
    assert usual.mean == (0.5,) * 3 and usual.std == (0.5,) * 3
    old = {"feature_extractor_type": "ViTFeatureExtractor", "size": 64, "do_center_crop": None}
    assert read_preprocess(old, 3, 64, "here").resize == Resize()
    still = read_preprocess({"do_resize": False, "do_center_crop": False}, 3, 64, "here")
    assert (still.height, still.width, still.resize) == (64, 64, Resize("exact"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_processor_type": "EfficientNetImageProcessor"}, "is not known"),
        ({"do_flip_channel_order": True}, "not understood: do_flip_channel_order"),
        ({"do_pad": True, "rescale_offset": True}, "do_pad, rescale_offset"),
        ({"crop_pct": 0.9}, "crop_pct"),
        ({"size": {"shortest_edge": 40, "longest_edge": 60}}, "longest_edge"),
        ({"size": {"max_height": 40, "max_width": 60}}, "max_height"),
        ({"size": []}, "shortest_edge is []"),
        ({"size": {"shortest_edge": 0}}, "is 0"),
        ({"size": {"shortest_edge": True}}, "is True"),
        ({"size": {"shortest_edge": 2.5}}, "is 2.5"),
        ({"size": {"height": 1 << 40, "width": 3}}, "height is"),
        ({"do_center_crop": False}, "nothing is cropped"),
        ({"crop_size": {"shortest_edge": 4}}, "crop_size has shortest_edge"),
        ({"resample": 9}, "resample is 9"),
        ({"resample": "bicubic"}, "resample is 'bicubic'"),
        ({"do_resize": "yes"}, "do_resize is 'yes'"),
        ({"rescale_factor": 0}, "rescale_factor is 0"),
        ({"rescale_factor": "1/255"}, "rescale_factor"),
        ({"image_mean": [0.5]}, "1 values, the network takes 3"),
        ({"image_mean": ["a", 1, 2]}, "not a list of numbers"),
        ({"image_std": [0.5, 0, 0.5]}, "not above 0"),
        ({"image_std": [10**400] * 3}, "not a list of numbers"),
        (
            {
                "image_processor_type": "ConvNextImageProcessor",
                "size": 64,
                "do_center_crop": True,
                "crop_size": 32,
            },
            "crop twice",
        ),
    ],
)
def test_what_is_not_understood_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_preprocess(settings, 3, 64, "preprocessor_config.json")
    assert said in str(caught.value)
    assert all(p.remedy and p.where for p in caught.value.problems)


def test_every_fault_is_told_at_once() -> None:
    settings = {"do_pad": True, "resample": 9, "image_std": 0, "image_processor_type": "Own"}
    with pytest.raises(InputError) as caught:
        read_preprocess(settings, 3, 64, "here")
    assert len(caught.value.problems) == 4
