"""Networks that cannot be captured are refused with everything that is wrong, by module path."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.capture.export import capture
from shiftforge.quant.graph.types import Preprocess

SHAPE = (3, 16, 16)
PREPROCESS = Preprocess(*SHAPE, mean=(0.5,) * 3, std=(0.5,) * 3)


def refusal(module: nn.Module, **changes: object) -> InputError:
    settings = {"labels": (), **changes}
    with pytest.raises(InputError) as caught:
        capture(module, SHAPE, PREPROCESS, "m", **settings)  # type: ignore[arg-type]
    return caught.value


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8))
        self.pool = nn.MaxPool2d(2, dilation=2, padding=1)
        self.body = nn.ModuleDict({"up": nn.PixelShuffle(2), "prelu": nn.PReLU(2)})
        self.odd = nn.Conv2d(2, 8, 3, stride=(1, 2))
        self.circular = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
        self.head = nn.Linear(8, 4)
        with torch.no_grad():
            self.body["prelu"].weight[0] = 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pool(self.stem(x))
        y = self.body["prelu"](self.body["up"](y))
        y = self.circular(self.odd(y)).logcumsumexp(1)
        return torch.softmax(self.head(y.mean((2, 3))), dim=0)


def test_every_unsupported_operator_is_listed() -> None:
    problems = refusal(Unsupported()).problems
    listed = {(p.where, p.what.split(" ")[1]) for p in problems}
    assert listed >= {
        ("stem.1", "group_norm"),
        ("pool", "max_pool2d"),
        ("body.up", "pixel_shuffle"),
        ("body.prelu", "prelu"),
        ("odd", "conv2d"),
        ("circular", "pad"),
        ("", "logcumsumexp"),
        ("", "softmax"),
    }
    assert len(problems) == len(listed) == 8
    assert all(p.remedy for p in problems)


def test_unsupported_operator_off_the_output_path_does_not_matter() -> None:
    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            torch.nn.functional.max_pool2d(y, 2)
            return y

    assert [n.name for n in capture(Dead(), SHAPE, PREPROCESS, "m").nodes] == ["conv"]


def test_parameters_that_are_not_finite_are_named() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] = math.nan
        network[1].running_var[2] = math.inf
        network[3].bias[1] = -math.inf
    problems = refusal(network).problems
    assert {p.where for p in problems} == {"0.weight", "1.running_var", "3.bias"}
    assert all(p.remedy for p in problems)


def test_variance_that_is_not_positive() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    network[1].running_var.fill_(-1)
    assert "variance" in refusal(network).problems[0].what


def test_folded_weight_that_overflows() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with torch.no_grad():
        network[0].weight.fill_(1e30)
        network[1].weight.fill_(1e30)
    assert "float32" in str(refusal(network))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Sequential(nn.Conv2d(4, 4, 3)), "cannot trace"),
        (nn.Flatten(), "no layer"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ZeroPad2d(1)), "no layer"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ZeroPad2d(1), nn.ReLU()), "zero-padded"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConstantPad2d(1, 1.0)), "pads with"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(3)), "average"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4, 0.1), nn.PReLU(3)), "cannot trace"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(14, 2)), "flatten"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(1, 2)), "makes"),
    ],
)
def test_uses_that_cannot_be_mapped(module: nn.Module, said: str) -> None:
    assert said in str(refusal(module))


def test_labels_and_shapes_must_agree() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert "2 labels for 4 outputs" in str(refusal(network, labels=("a", "b")))
    with pytest.raises(InputError, match="preprocessing makes"):
        capture(network, (3, 8, 8), PREPROCESS, "m")
