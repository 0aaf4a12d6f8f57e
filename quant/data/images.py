"""Picture files and arrays to uint8 frames of the size that a network takes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file
from shiftforge.quant.data.memory import check_memory
from shiftforge.quant.graph.types import Preprocess, Resize

__all__ = ["FORMATS", "SUFFIXES", "centre_crop", "fit", "from_array", "open_image", "resize"]

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow may take a file for. Of its others some start programs (EPS: Ghostscript)."""

_MODE = {1: "L", 3: "RGB"}
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
_REMEDY = "give another file, or remove it from the folder"
# Decoded, turned and converted: of each at most four bytes a pixel.
_BYTES = 12


def _mode(channels: int) -> str:
    if channels not in _MODE:
        raise InputError(
            Problem(
                f"the network takes {channels} channels; pictures have 1 or 3", "give an .npy batch"
            )
        )
    return _MODE[channels]


def open_image(path: Path, channels: int, *, white: bool = False) -> Image.Image:
    """Read one picture as 8-bit grey (channels 1) or RGB (3), turned as its EXIF data says.

    white: what is transparent is drawn on white; otherwise an alpha channel is dropped. Of an
    animation the first frame is taken. The content decides what a file is, among FORMATS. Raises
    InputError for a file that is missing, no regular file, no picture, damaged, of more than 8 bits
    a sample, or of more pixels than Pillow deems safe (about 89 million) or memory holds.
    """
    mode, where = _mode(channels), str(path)
    with open_file(path, "give a picture") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of damaged EXIF data
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(stream, formats=FORMATS) as image:
                if image.mode not in _EIGHT_BIT:
                    what = f"samples of mode {image.mode}, not 8 bits"
                    raise InputError(Problem(what, "convert it to 8 bits", where))
                size = f"{image.width}x{image.height} pixels"
                check_memory(_BYTES * image.width * image.height, size, _REMEDY, where)
                return _converted(ImageOps.exif_transpose(image), mode, white)
        except InputError:
            raise
        except UnidentifiedImageError as error:
            what = "not a picture of a kind that is read"
            raise InputError(Problem(what, "give PNG or JPEG", where)) from error
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            what = f"more pixels than the {Image.MAX_IMAGE_PIXELS:,} that are read"
            raise InputError(Problem(what, "make it smaller", where)) from error
        # Decoders raise nearly anything where a file is damaged: struct.error, IndexError...
        except Exception as error:
            what = f"cannot be read: {error or type(error).__name__}"
            raise InputError(Problem(what, _REMEDY, where)) from error


def _converted(image: Image.Image, mode: str, white: bool) -> Image.Image:
    transparent = "A" in image.getbands() or image.info.get("transparency") is not None
    if white and transparent:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image).convert("RGB")
    return image.convert(mode)


def from_array(pixels: NDArray[np.uint8], channels: int) -> Image.Image:
    """A picture of uint8 (H, W) or (H, W, 1 or 3), converted to grey or RGB."""
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(flat)).convert(_mode(channels))


def fit(image: Image.Image, preprocess: Preprocess, where: str = "") -> NDArray[np.uint8]:
    """A picture at the network's size, uint8 (height, width, C), as ``preprocess.resize`` says.

    Raises InputError for one that is so narrow that, resized, it has too many pixels, and for one
    of another size where the network takes no other.
    """
    rule, height, width = preprocess.resize, preprocess.height, preprocess.width
    rows, columns = _resized_size(image, rule, height, width)
    if rows * columns > (Image.MAX_IMAGE_PIXELS or rows * columns):
        what = f"{image.width}x{image.height} pixels, resized to {columns}x{rows}, are too many"
        raise InputError(Problem(what, "cut it to a less narrow picture", where))
    if rule.kind == "exact" and image.size != (width, height):
        what = f"{image.width}x{image.height} pixels, and the network takes {width}x{height} alone"
        raise InputError(Problem(what, "resize it, or quantise with --resize squash", where))
    if image.size != (columns, rows):
        image = image.resize((columns, rows), Image.Resampling[rule.filter.upper()])
    left, top = (_before(a - b, rule) for a, b in ((columns, width), (rows, height)))
    if (columns, rows) != (width, height):
        image = image.crop((left, top, left + width, top + height))
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _resized_size(image: Image.Image, rule: Resize, height: int, width: int) -> tuple[int, int]:
    """(rows, columns) after the resize and before the crop."""
    if rule.kind in ("none", "exact"):
        return image.height, image.width
    if rule.kind == "squash":
        rows, columns = rule.sides or (height, width)
        return rows, columns
    short = rule.sides[0]
    long = int(short * max(image.size) / min(image.size))
    return (long, short) if image.width <= image.height else (short, long)


def _before(excess: int, rule: Resize) -> int:
    """Rows or columns cut away before the centre; negative: zeros put there."""
    if rule.centre == "down":
        return excess // 2
    return round(excess / 2) if excess >= 0 else -(-excess // 2)


def resize(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """PIL's bilinear resize (with its antialiasing when shrinking) to uint8 (height, width, C)."""
    return fit(image, Preprocess(len(image.getbands()), height, width, (), ()))


def centre_crop(image: Image.Image, share: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    """A square of ``share`` times the shorter side; x, y in [0, 1] place it (0.5: centre)."""
    side = max(1, round(min(image.size) * share))
    left = round((image.width - side) * x)
    top = round((image.height - side) * y)
    return image.crop((left, top, left + side, top + side))
