"""Batch norms that were never trained are settled on frames, and the user's network is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import shiftforge
from shiftforge.cli.main import run
from shiftforge.errors import InputError
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.settle import settled, settles
from shiftforge.quant.data.inputs import load_frames
from shiftforge.quant.graph.types import Preprocess

PRE = Preprocess(3, 16, 16, (0.5,) * 3, (0.25,) * 3)


def network() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    with torch.no_grad():
        for layer in (made[0], made[4]):
            layer.weight *= 0.1
    made.input_shape = (3, 16, 16)
    return made.eval()


def test_statistics_are_those_of_the_frames() -> None:
    raw = network()
    before = {name: value.clone() for name, value in raw.state_dict().items()}
    own = settled(raw, PRE, "random:0")
    assert all(torch.equal(value, before[name]) for name, value in raw.state_dict().items())
    first, second = settles(own)
    with torch.no_grad():
        x = torch.from_numpy(normalise(load_frames("random:0", PRE, limit=64).images, PRE))
        seen = own[0](x)
        behind = own[4](own[2](own[1](seen)))
    assert torch.allclose(first.running_mean, seen.mean((0, 2, 3)), atol=1e-6)
    # Those behind see what settled ones give.
    assert torch.allclose(second.running_var, behind.var((0, 2, 3)), rtol=1e-2)
    assert not own.training and first.momentum == 0.1


def test_quantize_takes_it(tmp_path: Path) -> None:
    model = shiftforge.quantize(
        network(), calib="random:1", settle_batchnorm="random:0", rounding="nearest",
        bias_correction=False,
    )  # fmt: skip
    assert model.conv_nodes()


def test_where_there_is_nothing_to_settle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="no batch norm"):
        settled(nn.Conv2d(3, 4, 3), PRE, "random:0")
    with pytest.raises(InputError, match="settle_batchnorm is of the type int"):
        shiftforge.check(network(), settle_batchnorm=3)
    path = tmp_path / "x.onnx"
    path.write_bytes(b"")
    assert run(["check", str(path), "--settle-batchnorm", "random:0"]) == 2
    assert "are not settled" in capsys.readouterr().err
