"""Natural photographs that scikit-image and scikit-learn carry in their wheels."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.data.images import centre_crop, fit, open_image
from shiftforge.quant.graph.types import Preprocess

__all__ = ["load_photos", "photo_paths"]

_SOURCES = (
    ("sklearn", "datasets/images", ("china.jpg", "flower.jpg")),
    (
        "skimage",
        "data",
        (
            "astronaut.png",
            "chelsea.png",
            "coffee.png",
            "rocket.jpg",
            "motorcycle_left.png",
            "camera.png",
            "coins.png",
            "grass.png",
            "gravel.png",
            "brick.png",
            "hubble_deep_field.jpg",
            "ihc.png",
            "moon.png",
            "retina.jpg",
        ),
    ),
)
# Whole photographs first, then closer crops: a small limit sees every scene once.
_CROPS = [(1.0, 0.5, 0.5)] + [
    (share, x, y)
    for share in (0.7, 0.4)
    for x, y in ((0.5, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
]


def photo_paths() -> tuple[Path, ...]:
    """The photographs installed on this machine, in a fixed order; neither package is imported."""
    found = []
    for package, folder, names in _SOURCES:
        spec = find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec is not None else ():
            found += [p for p in (Path(root) / folder / n for n in names) if p.is_file()]
    return tuple(found)


def load_photos(
    preprocess: Preprocess, limit: int | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Square crops, each taken for a picture and brought to uint8 (N, height, width, channels) as
    preprocess says, and their names.

    Order: the largest centre crop of every photograph, then crops of 0.7 and 0.4 of its shorter
    side at the centre and the four corners; 11 a photograph unless limit stops earlier. Raises
    InputError where no photograph is installed.
    """
    paths = photo_paths()
    if not paths:
        raise InputError(
            Problem(
                "no sample photographs are installed",
                "pip install scikit-image or scikit-learn, or give a folder of images",
                "photos",
            )
        )
    wanted = [(path, crop) for crop in _CROPS for path in paths][:limit]
    held = {
        path: open_image(path, preprocess.channels) for path in dict.fromkeys(p for p, _ in wanted)
    }
    frames = [fit(centre_crop(held[path], *crop), preprocess) for path, crop in wanted]
    names = tuple(f"{path.name}@{share:g},{x:g},{y:g}" for path, (share, x, y) in wanted)
    return np.stack(frames), names
