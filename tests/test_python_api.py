"""The Python functions on objects: modules, arrays and texts in, arrays out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import shiftforge
from shiftforge.errors import InputError


def test_a_module_and_arrays_go_all_the_way(tmp_path: Path, lowered: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, 2, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(8, 4),
    ).eval()  # fmt: skip
    module.input_shape = (1, 20, 12)  # type: ignore[assignment]
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 12, 1), dtype=np.uint8)
    model = shiftforge.quantize(module, calib=images)
    design = shiftforge.generate(model, "a10gx1150", units=16, pixels=4, output=tmp_path / "p")
    assert design.report["kind"] == "conv"
    run = shiftforge.emulate(tmp_path / "p", lowered, input=images, check=True)
    assert run.bit_exact and run.samples == 5 and run.outputs.shape == (5, 4)
    with torch.no_grad():
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2)).float() / 127.5 - 1
        wanted = module(pixels).numpy()
    exponent = model.tensors[model.output].grid.exponent
    noise = np.ldexp(run.outputs.astype(np.float64), exponent) - wanted
    assert 10 * np.log10(np.square(wanted).sum() / np.square(noise).sum()) > 20
    (pair,) = shiftforge.compare(tmp_path / "p", input=images, pairs=(("golden", lowered),))
    assert pair.passed and pair.values > run.outputs.size
    with pytest.raises(InputError, match="give uint8"):
        shiftforge.emulate(tmp_path / "p", lowered, input=images[:, :, :, 0])
    with pytest.raises(InputError, match="no option is called 'lanes'"):
        shiftforge.generate(model, "a10gx1150", lanes=4)
