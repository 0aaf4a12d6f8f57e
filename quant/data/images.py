"""Picture files and arrays to uint8 frames of the size that a network takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from shiftforge.errors import InputError, Problem

__all__ = ["SUFFIXES", "centre_crop", "from_array", "resize", "open_image"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
)

_MODE = {1: "L", 3: "RGB"}
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


def _mode(channels: int) -> str:
    if channels not in _MODE:
        raise InputError(
            Problem(
                f"the network takes {channels} channels; pictures have 1 or 3", "give an .npy batch"
            )
        )
    return _MODE[channels]


def open_image(path: Path, channels: int) -> Image.Image:
    """Read one picture as 8-bit grey (channels 1) or RGB (3), turned as its EXIF data says.

    An alpha channel is dropped; of an animation the first frame is taken. Raises InputError for a
    file that is missing, no picture, damaged, or of more than 8 bits a sample.
    """
    mode = _mode(channels)
    try:
        with Image.open(path) as image:
            if image.mode not in _EIGHT_BIT:
                raise InputError(
                    Problem(
                        f"samples of mode {image.mode}, not 8 bits",
                        "convert it to 8 bits",
                        str(path),
                    )
                )
            return ImageOps.exif_transpose(image).convert(mode)
    except UnidentifiedImageError as error:
        raise InputError(
            Problem("not a picture PIL can read", "give PNG or JPEG", str(path))
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            Problem(f"cannot be read: {error}", "check the file", str(path))
        ) from error


def from_array(pixels: NDArray[np.uint8], channels: int) -> Image.Image:
    """A picture of uint8 (H, W) or (H, W, 1 or 3), converted to grey or RGB."""
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(flat)).convert(_mode(channels))


def resize(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """PIL's bilinear resize (with its antialiasing when shrinking) to uint8 (height, width, C)."""
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def centre_crop(image: Image.Image, share: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    """A square of ``share`` times the shorter side; x, y in [0, 1] place it (0.5: centre)."""
    side = max(1, round(min(image.size) * share))
    left = round((image.width - side) * x)
    top = round((image.height - side) * y)
    return image.crop((left, top, left + side, top + side))
