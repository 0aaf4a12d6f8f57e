"""A captured network computes what the network does: on single frames, and at every call."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import nn

from shiftforge.errors import InputError
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.types import Preprocess

HALF = (0.5, 0.5, 0.5)
Forward = Callable[["Net", torch.Tensor], torch.Tensor]


class Net(nn.Module):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.body = forward
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.calls = 0
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self, x)


def taken(network: nn.Module) -> FloatGraph:
    return capture(network, (3, 8, 9), Preprocess(3, 8, 9, HALF, HALF), "m")


def counted(s: Net, x: torch.Tensor) -> torch.Tensor:
    s.count.add_(1)
    return s.conv(x) * s.count


def rebound(s: Net, x: torch.Tensor) -> torch.Tensor:
    s.count = s.count + 1
    return s.conv(x) * s.count


def counted_in_python(s: Net, x: torch.Tensor) -> torch.Tensor:
    s.calls += 1
    return s.conv(x) * s.calls


OTHERS: list[tuple[str, Forward]] = [
    ("by the number of frames", lambda s, x: s.conv(x) / x.shape[0]),
    ("by the number of values", lambda s, x: s.conv(x) / x.numel()),
    ("one way for two frames", lambda s, x: s.conv(x) if len(x) == 2 else s.conv(x).relu()),
    ("while it is traced", lambda s, x: s.conv(x) * (2 if torch.compiler.is_compiling() else 1)),
    ("random numbers", lambda s, x: s.conv(x) * (1 + random.random())),
    ("a buffer that counts", counted),
    ("a buffer that is replaced", rebound),
    ("an attribute that counts", counted_in_python),
]


@pytest.mark.parametrize("forward", [f for _, f in OTHERS], ids=[name for name, _ in OTHERS])
def test_what_a_trace_would_freeze_is_refused(forward: Forward) -> None:
    torch.manual_seed(0)
    network = Net(forward)
    with pytest.raises(InputError, match="frame") as caught:
        taken(network)
    (problem,) = caught.value.problems
    assert "function of the image alone" in problem.remedy
    assert float(network.count) == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_coarse_types_are_what_they_are(dtype: torch.dtype) -> None:
    """Rounding of a network's own type is no difference."""
    torch.manual_seed(0)
    network = Net(lambda s, x: s.norm(s.conv(x)).relu().mean((2, 3))).to(dtype)
    assert len(taken(network).nodes) == 2


def test_a_network_is_left_as_it_was() -> None:
    """The image that is written into, the mode, the numbers of batch norm."""
    torch.manual_seed(0)
    network = Net(lambda s, x: s.norm(s.conv(x.sub_(0.25).mul_(2)))).train()
    before = {name: held.clone() for name, held in network.state_dict().items()}
    taken(network)
    assert network.training
    assert all(torch.equal(held, before[n]) for n, held in network.state_dict().items())


def test_a_network_of_two_frames_alone_is_compared_on_two() -> None:
    torch.manual_seed(0)
    assert len(taken(Net(lambda s, x: s.conv(x).view(2, 4, 6, 7))).nodes) == 1
    odd = Net(lambda s, x: s.conv(x).view(2, 4, 6, 7) * (1 + random.random()))
    with pytest.raises(InputError, match="on 2 frames"):
        taken(odd)


def test_outputs_without_a_bound_are_not_compared() -> None:
    torch.manual_seed(0)
    network = Net(lambda s, x: s.conv(x) * 1e38)
    assert len(taken(network).nodes) == 1
