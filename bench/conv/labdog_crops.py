"""Square crops of photographs that Python packages carry, for ``labdog_distil.py``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shiftforge.quant.data.images import open_image
from shiftforge.quant.data.photos import photo_paths

__all__ = ["crop", "crops", "photographs", "varied"]


def photographs(names: tuple[str, ...]) -> list[Image.Image]:
    """The named photographs in RGB."""
    paths = {path.name: path for path in photo_paths()}
    spec = find_spec("matplotlib")
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in (Path(root) / "mpl-data" / "sample_data").glob("*.jpg"):
            paths[path.name] = path
    missing = [name for name in names if name not in paths]
    if missing:
        raise SystemExit(f"missing: {missing}; pip install scikit-image scikit-learn matplotlib")
    return [open_image(paths[name], 3) for name in names]


def crop(image: Image.Image, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random square, mirrored half the time, resized to uint8 (size, size, 3)."""
    side = int(rng.integers(min(size, *image.size), min(image.size) + 1))
    left = int(rng.integers(0, image.width - side + 1))
    top = int(rng.integers(0, image.height - side + 1))
    box = (left, top, left + side, top + side)
    found = np.asarray(image.crop(box).resize((size, size), Image.Resampling.BILINEAR))
    return np.ascontiguousarray(found[:, ::-1] if rng.random() < 0.5 else found)


def varied(frames: list[NDArray[np.uint8]], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Ten photographs made more: a third with colours swapped, a third blended with the next one,
    all in another brightness and contrast. uint8 (N, H, W, 3).
    """
    found = []
    for place, frame in enumerate(frames):
        x = frame.astype(np.float32)
        if rng.random() < 1 / 3:
            x = x[..., rng.permutation(3)]
        if rng.random() < 1 / 3:
            share = rng.uniform(0.3, 0.7)
            x = share * x + (1 - share) * frames[(place + 1) % len(frames)]
        x = (x - x.mean()) * rng.uniform(0.7, 1.3) + x.mean() * rng.uniform(0.7, 1.3)
        found.append(np.clip(np.rint(x), 0, 255).astype(np.uint8))
    return np.stack(found)


def crops(
    images: list[Image.Image], each: int, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """``each`` crops of every image, (N, size, size, 3), in the images' order."""
    return np.stack([crop(image, size, rng) for image in images for _ in range(each)])
