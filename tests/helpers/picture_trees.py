"""Trees and lists of labelled pictures for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["COLOURS", "picture_tree"]

COLOURS = {"blue": (40, 60, 220), "green": (30, 190, 60), "red": (230, 50, 40)}


def picture_tree(folder: Path, each: int = 4, side: int = 12, seed: int = 0) -> Path:
    """Class folders of pictures in one colour and noise; the folder."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for n in range(each):
            noise = rng.integers(-30, 30, (side, side, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{n}.png")
    return folder
