"""The host program of a project makes the same codes of a picture as the commands do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.target import generate
from shiftforge.quant.data.inputs import load_frames, to_codes
from shiftforge.quant.graph.example import ModelOptions, random_model
from shiftforge.quant.graph.types import Resize

RULES = [
    Resize(),
    Resize("squash", (40, 50), "bicubic"),
    Resize("edge", (41,), "lanczos", "white"),
    Resize("edge", (41,), centre="even"),
    Resize("edge", (20,), centre="even"),
    Resize("none", filter="box"),
]


def pictures(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, size, mode in (("a", (57, 91), "RGB"), ("b", (88, 61), "RGBA"), ("c", (9, 14), "L")):
        shape = (size[1], size[0], len(mode)) if len(mode) > 1 else (size[1], size[0])
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}.png")
    turned = Image.fromarray(rng.integers(0, 256, (61, 87, 3), dtype=np.uint8))
    turned.save(folder / "d.jpg", exif=exif)
    return sorted(folder.glob("?.*"))


@pytest.mark.parametrize("rule", RULES)
def test_codes_of_a_picture(rule: Resize, tmp_path: Path) -> None:
    pytest.importorskip("pyopencl")
    made = random_model(3, ModelOptions(height=32, width=32, in_channels=3))
    model = replace(made, preprocess=replace(made.preprocess, resize=rule))
    design = generate(model, load_board("a10gx1150"))
    host: dict[str, Any] = {"__file__": str(tmp_path / "host" / "host.py"), "__name__": "host"}
    exec(compile(design.files["host/host.py"], "host.py", "exec"), host)
    for path in pictures(tmp_path):
        frames = load_frames(str(path), model.preprocess)
        wanted = to_codes(frames.images, model.preprocess, model.tensors[model.input].grid)
        assert np.array_equal(host["load_codes"](str(path), design.manifest), wanted), path.name


def test_a_picture_of_another_size_where_none_is_taken(tmp_path: Path) -> None:
    pytest.importorskip("pyopencl")
    made = random_model(3, ModelOptions(height=32, width=32, in_channels=3))
    model = replace(made, preprocess=replace(made.preprocess, resize=Resize("exact")))
    design = generate(model, load_board("a10gx1150"))
    host: dict[str, Any] = {"__file__": str(tmp_path / "host" / "host.py"), "__name__": "host"}
    exec(compile(design.files["host/host.py"], "host.py", "exec"), host)
    Image.new("RGB", (33, 32)).save(tmp_path / "a.png")
    with pytest.raises(host["Refused"], match="takes 32x32 alone"):
        host["load_codes"](str(tmp_path / "a.png"), design.manifest)
