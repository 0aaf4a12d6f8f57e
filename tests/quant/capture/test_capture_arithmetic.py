"""Constants, averages, linear layers over maps: exact, or refused with what to write."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from tiers import thinned
from torch import nn
from torch.nn import functional

from shiftforge.errors import InputError
from shiftforge.quant.capture.draft import Value
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.lower import Lowering, Poisoned, Unsupported
from shiftforge.quant.capture.operators import OPERATORS
from shiftforge.quant.capture.trace import Trace
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.graph.types import Preprocess

SHAPE = (3, 9, 8)
Forward = Callable[["Net", torch.Tensor], torch.Tensor]


class Net(nn.Module):
    """Layers and constants that a forward of the tests may use."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.body = forward
        self.conv = nn.Conv2d(3, 6, 3)
        self.after = nn.Conv2d(6, 4, 3)
        self.padded = nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Linear(6, 5)
        self.live = nn.BatchNorm2d(6, track_running_stats=False)
        self.norm = nn.BatchNorm2d(6)
        self.gamma = nn.Parameter(torch.rand(6) + 0.5)
        self.register_buffer("mean", torch.rand(1, 3, 1, 1))
        self.register_buffer("std", torch.rand(1, 3, 1, 1) + 0.5)
        self.register_buffer("zero", torch.zeros(1))
        self.register_buffer("wave", torch.rand(2, 6, 7, 6, dtype=torch.complex64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self, x)


def made(forward: Forward, shape: tuple[int, int, int] = SHAPE) -> tuple[Net, FloatGraph]:
    torch.manual_seed(7)
    network = Net(forward).eval()
    half = (0.5,) * shape[0]
    return network, capture(network, shape, Preprocess(*shape, mean=half, std=half), "m")


def exact(forward: Forward, nodes: int, shape: tuple[int, int, int] = SHAPE) -> None:
    """The graph has this many nodes and computes what the network computes."""
    network, graph = made(forward, shape)
    x = torch.randn(2, *shape)
    with torch.no_grad():
        wanted = network(x)
    values = run_float(graph, x)
    for name, held in graph.shapes.items():
        assert tuple(values[name].shape[1:]) == held
    got = values[graph.output].reshape(wanted.shape)
    assert float((got - wanted).abs().max() / wanted.abs().max()) < 1e-5
    assert len(graph.nodes) == nodes


def refused(forward: Forward, *said: str) -> None:
    with pytest.raises(InputError) as caught:
        made(forward)
    for part in said:
        assert part in str(caught.value)
    assert all(problem.remedy for problem in caught.value.problems)


CONSTANTS: list[tuple[str, int, Forward]] = [
    ("normalised image", 2, lambda s, x: s.after(s.conv((x - s.mean) / s.std).relu())),
    ("layer scale", 1, lambda s, x: s.gamma.view(1, -1, 1, 1) * s.conv(x)),
    ("expanded", 1, lambda s, x: s.conv(x) + s.gamma.view(-1, 1, 1).expand(2, 6, 7, 6)),
    ("numbers", 1, lambda s, x: (s.conv(x) * 2 + 3) / 4 - 1),
    ("reversed", 1, lambda s, x: 1 - s.conv(x)),
    ("reversed parameter", 1, lambda s, x: s.gamma[:, None, None] - s.conv(x)),
    ("negated", 1, lambda s, x: -s.conv(x)),
    ("alpha", 1, lambda s, x: torch.add(s.conv(x), s.gamma[:, None, None], alpha=2)),
    ("alpha of the map", 1, lambda s, x: torch.sub(s.gamma[:, None, None], s.conv(x), alpha=-2)),
    ("in place", 1, lambda s, x: s.conv(x).mul_(2).add_(1)),
    ("computed", 1, lambda s, x: s.conv(x) / s.gamma[:, None, None].exp()),
    ("ones", 1, lambda s, x: s.conv(x) * torch.ones(1) * 3),
    ("temperature", 3, lambda s, x: s.head(s.conv(x).relu().mean((2, 3))) / 2.5),
    ("after a pool", 3, lambda s, x: s.conv(x).mean((2, 3)) * 2),
    ("before a linear layer", 3, lambda s, x: s.head(s.conv(x).relu().mean((2, 3)) / 3 - 1)),
    ("scale before padding", 2, lambda s, x: s.padded(s.conv(x).relu() * s.gamma[:, None, None])),
    ("offset before padding", 3, lambda s, x: s.padded(s.conv(x).relu() + 1)),
    ("offset without padding", 2, lambda s, x: s.after(s.conv(x).relu() + 1)),
    ("two readers", 4, lambda s, x: (lambda y: s.padded(y * 2) + s.padded(y))(s.conv(x))),
    ("flattened", 1, lambda s, x: s.conv(x).flatten(1) * 2),
    ("flattened twice", 3, lambda s, x: (lambda y: y.relu() + y)(s.conv(x).flatten(1))),
]
AVERAGES: list[tuple[str, Forward]] = [
    ("flatten and mean", lambda s, x: s.head(s.conv(x).flatten(2).mean(-1))),
    ("view and mean", lambda s, x: s.head(s.conv(x).view(2, 6, -1).mean(2))),
    ("kept", lambda s, x: s.head(s.conv(x).flatten(2).mean(-1, keepdim=True).squeeze(-1))),
    (
        "adaptive 1d",
        lambda s, x: functional.adaptive_avg_pool1d(s.conv(x).flatten(2), 1).flatten(1),
    ),
    ("1d", lambda s, x: functional.avg_pool1d(s.conv(x).flatten(2), 42).flatten(1)),
    ("and back", lambda s, x: s.conv(x).flatten(2).view(2, 6, 7, 6).mean([-1, -2])),
]
REFUSED: list[tuple[Forward, tuple[str, ...]]] = [
    (lambda s, x: s.conv(x) - s.conv(x).mean(), ("operator mean", "all frames at once")),
    (lambda s, x: s.conv(x).mean(dim=()), ("rows and columns",)),
    (lambda s, x: functional.adaptive_avg_pool2d(s.conv(x).flatten(2), 1), ("rows and columns",)),
    (lambda s, x: s.conv(x).flatten(1).mean(1), ("flattened", "x.mean((2, 3))")),
    (lambda s, x: functional.dropout(s.conv(x), 0.3), ("dropout is active", "nn.Dropout")),
    (lambda s, x: functional.dropout2d(s.conv(x), 0.3), ("dropout is active", "nn.Dropout")),
    (
        lambda s, x: functional.conv2d(x, functional.dropout(s.conv.weight, 0.5)),
        ("dropout is active",),
    ),
    (
        lambda s, x: functional.conv2d(x, torch.randn_like(s.conv.weight)),
        ("random numbers",),
    ),
    (lambda s, x: s.live(s.conv(x)), ("no running statistics", "track_running_stats")),
    (
        lambda s, x: functional.batch_norm(
            s.conv(x), s.norm.running_mean, s.norm.running_var, training=True
        ),
        ("frames at hand", "training=self.training"),
    ),
    (lambda s, x: functional.group_norm(s.conv(x), 2), ("BatchNorm2d",)),
    (lambda s, x: s.conv(x) / s.zero, ("divides by 0",)),
    (lambda s, x: s.conv(x) * float("inf"), ("not finite",)),
    (lambda s, x: s.conv(x) * 1j, ("real number",)),
    (lambda s, x: s.conv(x) * s.wave, ("complex",)),
    (lambda s, x: s.conv(x) * torch.arange(6.0), ("within a channel", "(C, 1, 1)")),
    (lambda s, x: s.conv(x).mean((2, 3), keepdim=True) * torch.ones(6, 7, 6), ("larger",)),
    (lambda s, x: s.conv(x) * s.conv(x), ("two feature maps",)),
    (lambda s, x: s.gamma[:, None, None] / s.conv(x), ("divides by a feature map",)),
    (lambda s, x: torch.div(s.conv(x), 2, rounding_mode="floor"), ("rounds",)),
    (lambda s, x: s.padded(functional.pad(s.conv(x), (1, 1, 1, 1)) * 2), ("zero-padded",)),
    (lambda s, x: s.conv(x).view(torch.int32), ("torch.int32",)),
    (lambda s, x: s.conv(x).to(torch.float8_e5m2), ("float8",)),
    (lambda s, x: s.conv(x).nonzero(), ("operator nonzero",)),
    (lambda s, x: functional.linear(s.conv(x).mean((2, 3)), s.gamma), ("one axis",)),
    (lambda s, x: s.conv(x) * torch.ones(1 << 25).sum(), ("33,554,432",)),
    (lambda s, x: torch.ones(2, 4), ("does not depend",)),
]


@pytest.mark.parametrize(("name", "nodes", "forward"), thinned(CONSTANTS, 2), ids=lambda v: v)
def test_constants_are_folded(name: str, nodes: int, forward: Forward) -> None:
    exact(forward, nodes)


def test_offset_of_the_image_before_padding_is_kept_apart() -> None:
    """A padded zero lies behind the offset; a scale alone may cross the padding."""
    padded = functional.conv2d
    exact(lambda s, x: padded((x - s.mean) / s.std, s.conv.weight, padding=1), 2)
    exact(lambda s, x: padded(x / s.std, s.conv.weight, padding=1), 1)


@pytest.mark.parametrize(("name", "forward"), AVERAGES, ids=lambda v: v)
def test_averages_over_flattened_maps_are_global_pooling(name: str, forward: Forward) -> None:
    exact(forward, 3 if "mean" in name or name == "kept" else 2)


@pytest.mark.parametrize(("high", "wide"), [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 2), (3, 3)])
def test_linear_over_a_small_map(high: int, wide: int) -> None:
    weight = torch.sin(torch.arange(5.0 * 6 * high * wide)).view(5, -1)

    def forward(s: Net, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(s.conv(x).flatten(1), weight)

    exact(forward, 2, (3, high + 2, wide + 2))
    _, graph = made(forward, (3, high + 2, wide + 2))
    kernel = graph.nodes[-1].weight.shape[2:]  # type: ignore[union-attr]
    assert kernel in ((1, 1), (3, 3))


@pytest.mark.parametrize("side", [3, 5, 7])
def test_linear_over_a_small_image(side: int) -> None:
    weight = torch.sin(torch.arange(5.0 * 3 * side * side)).view(5, -1)
    exact(lambda s, x: functional.linear(x.flatten(1), weight), 1, (3, side, side))


def test_linear_over_a_larger_map_is_a_convolution_of_its_size() -> None:
    weight = torch.sin(torch.arange(5.0 * 6 * 7 * 6)).view(5, -1)

    def forward(s: Net, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(s.conv(x).flatten(1), weight)

    exact(forward, 2)
    node = made(forward)[1].nodes[-1]
    assert isinstance(node, FloatConv)
    assert (node.weight.shape[2:], node.padding) == ((7, 6), (0, 0, 0, 0))


@pytest.mark.parametrize(("forward", "said"), thinned(REFUSED, 2))
def test_refused_with_what_to_write(forward: Forward, said: tuple[str, ...]) -> None:
    refused(forward, *said)


def overloads() -> list[torch._ops.OpOverload]:
    found = []
    for name in OPERATORS:
        packet = getattr(torch.ops.aten, name.removeprefix("aten."))
        found += [getattr(packet, overload) for overload in packet.overloads()]
    return found


@pytest.mark.parametrize("overload", thinned(overloads(), 3), ids=str)
def test_no_overload_of_a_known_operator_ends_in_an_error(overload: torch._ops.OpOverload) -> None:
    """Whatever arguments an overload has: it is lowered or refused, never a KeyError."""
    schema = overload._schema
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    x.meta["val"] = torch.zeros(2, 3, 8, 8)
    plain = {"Tensor": x, "int": 1, "float": 1.0, "number": 1, "bool": False, "str": "constant"}
    arguments = []
    for argument in schema.arguments:
        kind = str(argument.type)
        arguments.append(plain.get(kind, [1, 1] if "List" in kind else None))
    node = graph.call_function(overload, tuple(arguments))
    node.meta["val"] = torch.zeros(2, 3, 8, 8)
    state = lowering(graph, x, node)
    with contextlib.suppress(Unsupported, Poisoned):
        OPERATORS[str(overload).rpartition(".")[0]](state, node)


def lowering(graph: torch.fx.Graph, x: torch.fx.Node, node: torch.fx.Node) -> Lowering:
    users = {x: 1, node: 1}
    state = Lowering(Trace((node,), x, (node,), {}, users))
    state.values[x] = Value("input", (3, 8, 8), False, True)
    return state
