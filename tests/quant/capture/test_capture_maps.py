"""Pools, channels, tables and enlargements: captured as what they are, exactly, or refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from tiers import thinned
from torch import nn
from torch.nn import functional

from shiftforge.errors import InputError
from shiftforge.quant.capture.evaluate import run_float
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.function import text
from shiftforge.quant.capture.types import FloatConv, FloatGraph, FloatTable
from shiftforge.quant.graph.types import Preprocess

SHAPE = (4, 12, 9)
Forward = Callable[["Net", torch.Tensor], torch.Tensor]


class Net(nn.Module):
    """Layers that a forward of the tests may use."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.body = forward
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.other = nn.Conv2d(4, 8, 1)
        self.after = nn.Conv2d(8, 6, 3, padding=1)
        self.slope = nn.PReLU(init=0.2)
        self.slopes = nn.PReLU(8)
        self.register_buffer("order", torch.tensor([3, 0, 7, 1, -1]))
        self.register_buffer("mixed", torch.randn(4))
        with torch.no_grad():
            self.slopes.weight.uniform_(0.1, 0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self, x)


def made(forward: Forward) -> tuple[Net, FloatGraph]:
    torch.manual_seed(7)
    network = Net(forward).eval()
    half = (0.5,) * SHAPE[0]
    return network, capture(network, SHAPE, Preprocess(*SHAPE, mean=half, std=half), "m")


def exact(network: nn.Module, graph: FloatGraph, shape: tuple[int, int, int] = SHAPE) -> None:
    """The graph computes what the network computes, in float64 to 1e-9 of its largest value."""
    network, x = network.double(), torch.randn(3, *shape, dtype=torch.float64) * 2
    with torch.no_grad():
        wanted = network(x)
    values = run_float(graph, x)
    for name, held in graph.shapes.items():
        assert tuple(values[name].shape[1:]) == held
    got = values[graph.output].reshape(wanted.shape)
    assert float((got - wanted).abs().max()) <= 1e-9 * float(wanted.abs().max())


def kinds(graph: FloatGraph) -> str:
    """Kinds of nodes in order, with what convolutions are: "conv max_pool conv"."""
    names = {"FloatConv": "conv", "FloatMaxPool": "max", "FloatAveragePool": "average"}
    return " ".join(names.get(type(n).__name__, type(n).__name__[5:].lower()) for n in graph.nodes)


F = functional
CASES: list[tuple[str, Forward]] = [
    # maxima
    ("conv max", lambda s, x: F.max_pool2d(s.conv(x).relu(), 3, 2, 1)),
    ("conv max", lambda s, x: F.max_pool2d(s.conv(x), 3, 2, 1, ceil_mode=True)),
    ("conv max", lambda s, x: F.max_pool2d(s.conv(x), (3, 2), (1, 3), (1, 0), ceil_mode=True)),
    ("conv max", lambda s, x: F.max_pool2d(s.conv(x), 2, return_indices=True)[0]),
    ("conv max", lambda s, x: F.max_pool2d(s.conv(x), 2).relu()),
    ("conv max max", lambda s, x: F.relu6(F.max_pool2d(F.max_pool2d(s.conv(x), 2, 1), 1))),
    ("max conv", lambda s, x: s.conv(F.max_pool2d(x, 2))),
    ("max", lambda s, x: F.max_pool2d(x, 2)),
    ("conv max", lambda s, x: s.conv(x).amax((2, 3))),
    ("conv max", lambda s, x: s.conv(x).amax((2, 3), keepdim=True)),
    ("conv max", lambda s, x: F.adaptive_max_pool2d(s.conv(x), 1)),
    ("conv max", lambda s, x: F.adaptive_max_pool2d(s.conv(x), (4, 3))),
    ("conv max", lambda s, x: F.max_pool2d(s.conv(x), (12, 9))),
    ("conv max", lambda s, x: s.conv(x).flatten(2).max(-1).values),
    ("conv max", lambda s, x: s.conv(x).flatten(2).amax(2)),
    ("conv max max", lambda s, x: s.conv(x).max(3)[0].max(2)[0]),
    ("conv max", lambda s, x: F.max_pool1d(s.conv(x).flatten(2), 108)),
    ("conv max", lambda s, x: F.adaptive_max_pool1d(s.conv(x).flatten(2), 1)),
    ("conv max", lambda s, x: s.conv(x).amax(3, keepdim=True)),
    ("conv max", lambda s, x: F.max_pool2d(F.pad(s.conv(x).relu(), (0, 1, 0, 1)), 3, 2)),
    (
        "conv max",
        lambda s, x: F.max_pool2d(F.pad(s.conv(x), (0, 1, 1, 1), value=-math.inf), 3, 2),
    ),
    # averages
    ("conv average", lambda s, x: F.avg_pool2d(s.conv(x), 2)),
    ("conv average", lambda s, x: F.avg_pool2d(s.conv(x), 3, 2, 1)),
    ("conv average", lambda s, x: F.avg_pool2d(s.conv(x), 3, 2, 1, ceil_mode=True)),
    ("conv average", lambda s, x: F.avg_pool2d(s.conv(x), 3, 2, 1, count_include_pad=False)),
    ("conv average", lambda s, x: F.avg_pool2d(s.conv(x), (2, 4), (3, 2), (1, 2), True, False)),
    ("conv average", lambda s, x: F.avg_pool2d(F.pad(s.conv(x), (1, 0, 2, 1)), 3, 3)),
    (
        "conv average",
        lambda s, x: F.avg_pool2d(F.pad(s.conv(x), (1, 0, 1, 0)), 4, 2, 1, False, False),
    ),
    ("conv average conv", lambda s, x: F.avg_pool2d(s.conv(x), 3, 2, 1, divisor_override=5)),
    ("conv average", lambda s, x: F.adaptive_avg_pool2d(s.conv(x), (4, 3))),
    ("conv average", lambda s, x: F.adaptive_avg_pool2d(s.conv(x), (None, 3))),
    ("conv", lambda s, x: F.adaptive_avg_pool2d(s.conv(x), (12, 9))),
    ("conv pool", lambda s, x: F.adaptive_avg_pool2d(s.conv(x), 1)),
    ("conv pool", lambda s, x: s.conv(x).mean(3).mean(2)),
    ("conv pool", lambda s, x: s.conv(x).mean(2, keepdim=True).mean(3, keepdim=True)),
    ("conv pool", lambda s, x: s.conv(x).mean(-1).mean(-1)),
    ("conv pool", lambda s, x: s.conv(x).flatten(2).relu().mean(-1)),
    ("conv pool", lambda s, x: torch.mean(s.conv(x), dim=[2, 3])),
    ("conv pool", lambda s, x: F.avg_pool2d(s.conv(x), s.conv(x).shape[2:])),
    ("conv pool conv", lambda s, x: s.conv(x).sum((2, 3)) / 108),
    ("conv average", lambda s, x: s.conv(x).mean(3, keepdim=True)),
    ("conv average conv", lambda s, x: s.conv(x).sum(2, keepdim=True)),
    ("conv table max", lambda s, x: F.max_pool2d(s.conv(x).sigmoid(), 2)),
    # channels
    ("conv conv concat", lambda s, x: torch.cat([s.conv(x), s.other(x)], 1)),
    ("conv conv concat", lambda s, x: torch.concat((s.conv(x), s.other(x), x), -3)),
    ("conv conv concat", lambda s, x: torch.cat([s.conv(x), s.other(x)], 1).relu()),
    (
        "conv pool conv pool concat",
        lambda s, x: torch.cat([s.conv(x).mean((2, 3)), s.other(x).mean((2, 3))], 1),
    ),
    ("concat", lambda s, x: torch.cat([x, x], 1)),
    ("conv slice", lambda s, x: s.conv(x)[:, 1:5]),
    ("conv slice", lambda s, x: s.conv(x).narrow(1, 2, 3)),
    ("conv slice slice add", lambda s, x: (lambda y: y[0] + y[1])(s.conv(x).chunk(2, 1))),
    ("conv slice", lambda s, x: s.conv(x).split(3, 1)[1]),
    ("conv slice slice", lambda s, x: s.conv(x).split([1, 5, 2], 1)[1].split(2, 1)[2]),
    ("conv slice", lambda s, x: s.conv(x).tensor_split(3, 1)[-1]),
    ("conv shuffle", lambda s, x: s.conv(x)[:, ::2]),
    ("conv shuffle", lambda s, x: s.conv(x)[:, [2, 0, 1]]),
    ("conv shuffle", lambda s, x: s.conv(x).index_select(1, s.order[:4])),
    ("conv shuffle", lambda s, x: s.conv(x)[:, s.order]),
    ("conv shuffle", lambda s, x: s.conv(x).flip(1)),
    ("conv shuffle", lambda s, x: s.conv(x).roll(3, 1)),
    ("conv shuffle", lambda s, x: F.channel_shuffle(s.conv(x), 4)),
    ("conv shuffle", lambda s, x: shuffle(s.conv(x), 2)),
    ("conv shuffle", lambda s, x: shuffle(s.conv(x).relu(), 4).relu()),
    (
        "conv shuffle",
        lambda s, x: s.conv(x).reshape(-1, 4, 2, 12, 9).permute(0, 2, 1, 3, 4).flatten(1, 2),
    ),
    (
        "conv shuffle",
        lambda s, x: s.conv(x).unflatten(1, (2, 4)).transpose(2, 1).reshape(x.shape[0], 8, 12, 9),
    ),
    ("conv slice", lambda s, x: s.conv(x).view(x.shape[0], 2, 4, 12, 9)[:, 1]),
    ("conv slice slice add", lambda s, x: sum(s.conv(x).view(-1, 2, 4, 12, 9).unbind(1))),
    ("conv", lambda s, x: s.conv(x).view(-1, 2, 4, 12, 9).flatten(1, 2)),
    ("conv", lambda s, x: s.conv(x).view(-1, 2, 4, 12, 9).flatten(1)),
    (
        "conv conv concat shuffle",
        lambda s, x: torch.stack([s.conv(x), s.other(x)], 2).flatten(1, 2),
    ),
    ("conv conv concat", lambda s, x: torch.stack([s.conv(x), s.other(x)], 1).flatten(1, 2)),
    # enlargements
    ("conv upsample", lambda s, x: F.interpolate(s.conv(x), scale_factor=2)),
    ("conv upsample", lambda s, x: F.interpolate(s.conv(x), size=(24, 27))),
    ("conv upsample", lambda s, x: F.interpolate(s.conv(x), scale_factor=2, mode="nearest-exact")),
    ("conv upsample", lambda s, x: F.interpolate(s.conv(x), scale_factor=3).relu()),
    ("conv upsample", lambda s, x: F.adaptive_avg_pool2d(s.conv(x), (24, 18))),
    (
        "conv upsample upsample",
        lambda s, x: s.conv(x).repeat_interleave(2, 2).repeat_interleave(2, dim=3),
    ),
    # sums of any maps
    ("add", lambda s, x: x + x),
    ("conv slice add", lambda s, x: x + s.conv(x)[:, :4]),
    ("conv conv add", lambda s, x: s.conv(x) - s.other(x)),
    ("conv conv add", lambda s, x: torch.add(s.conv(x), s.other(x), alpha=0.5)),
]  # fmt: skip


def shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """As ShuffleNet writes it."""
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width)
    return x.transpose(1, 2).contiguous().view(batch, -1, height, width)


@pytest.mark.parametrize(
    ("wanted", "forward"), thinned(CASES, 2), ids=lambda v: v if isinstance(v, str) else ""
)
def test_captured_as_what_it_is(wanted: str, forward: Forward) -> None:
    network, graph = made(forward)
    assert kinds(graph) == wanted
    exact(network, graph)


TABLES: list[tuple[str, Forward]] = [
    ("leaky_relu(x, 0.1)", lambda s, x: F.leaky_relu(s.conv(x), 0.1)),
    ("leaky_relu(x, 0.2)", lambda s, x: s.slope(s.conv(x))),
    ("at_most(at_least(x, -1), 1)", lambda s, x: F.hardtanh(s.conv(x))),
    ("at_most(at_least(x, 0), 1)", lambda s, x: s.conv(x).clamp(0, 1)),
    ("at_most(x, 0.5)", lambda s, x: s.conv(x).clamp(max=0.5)),
    ("at_least(x, -0.5)", lambda s, x: s.conv(x).clamp_min(-0.5)),
    ("hardswish", lambda s, x: F.hardswish(s.conv(x))),
    ("hardsigmoid", lambda s, x: F.hardsigmoid(s.conv(x))),
    ("silu", lambda s, x: F.silu(s.conv(x), inplace=True)),
    ("tanh", lambda s, x: s.conv(x).tanh()),
    ("elu(x, 0.7, 1, 1)", lambda s, x: F.elu(s.conv(x), 0.7)),
    ("elu(x, 0.5, 1, 2)", lambda s, x: F.celu(s.conv(x), 0.5)),
    ("elu(x, 1.67326, 1.0507, 1)", lambda s, x: F.selu(s.conv(x))),
    ("gelu", lambda s, x: F.gelu(s.conv(x))),
    ("gelu_tanh", lambda s, x: F.gelu(s.conv(x), approximate="tanh")),
    ("softplus(x, 2, 20)", lambda s, x: F.softplus(s.conv(x), 2)),
    ("mish", lambda s, x: F.mish(s.conv(x))),
    ("log_sigmoid", lambda s, x: F.logsigmoid(s.conv(x))),
    ("threshold(x, 0.1, -0.2)", lambda s, x: F.threshold(s.conv(x), 0.1, -0.2)),
    ("leaky_relu(x, 0.229167)", lambda s, x: F.rrelu(s.conv(x))),
    ("abs", lambda s, x: s.conv(x).abs()),
    ("square", lambda s, x: s.conv(x).square()),
    ("pow(x, 2)", lambda s, x: s.conv(x) ** 2),
    ("exp", lambda s, x: s.conv(x).exp()),
    # what follows is part of it, and so are numbers before it
    ("tanh(softplus(x, 1, 20))", lambda s, x: F.softplus(s.conv(x)).tanh()),
    ("add(mul(sigmoid(x), 2), -1)", lambda s, x: s.conv(x).sigmoid() * 2 - 1),
    ("relu(tanh(x))", lambda s, x: s.conv(x).tanh().relu()),
    # products of a map with functions of itself
    ("mul(x, sigmoid(x))", lambda s, x: (lambda y: y * y.sigmoid())(s.conv(x))),
    (
        "mul(mul(x, at_most(relu(add(x, 3)), 6)), 0.166667)",
        lambda s, x: (lambda y: y * F.relu6(y + 3) / 6)(s.conv(x)),
    ),
    (
        "mul(x, div(at_most(relu(add(x, 3)), 6), 6))",
        lambda s, x: (lambda y: y * (F.relu6(y + 3) / 6))(s.conv(x)),
    ),
    (
        "mul(x, tanh(softplus(x, 1, 20)))",
        lambda s, x: (lambda y: y * F.softplus(y).tanh())(s.conv(x)),
    ),
    ("div(x, add(abs(x), 1))", lambda s, x: F.softsign(s.conv(x))),
    ("mul(x, x)", lambda s, x: (lambda y: y * y)(s.conv(x))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "forward"), thinned(TABLES, 2), ids=[name for name, _ in TABLES]
)
def test_activations_are_tables(wanted: str, forward: Forward) -> None:
    network, graph = made(forward)
    assert [type(n) for n in graph.nodes] == [FloatConv, FloatTable]
    assert text(graph.nodes[1].function) == wanted  # type: ignore[union-attr]
    exact(network, graph)


def test_gelu_written_out_is_one_table() -> None:
    def gelu(x: torch.Tensor) -> torch.Tensor:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))
        return 0.5 * x * (1 + torch.tanh(inner))

    network, graph = made(lambda s, x: gelu(s.conv(x)))
    assert kinds(graph) == "conv table"
    exact(network, graph)


def test_relus_need_no_table() -> None:
    for forward in (
        lambda s, x: F.relu6(s.conv(x)),
        lambda s, x: s.conv(x).clamp(0, 6),
        lambda s, x: s.conv(x).clamp(min=0),
        lambda s, x: F.hardtanh(s.conv(x), 0, 6),
    ):
        network, graph = made(forward)
        assert kinds(graph) == "conv"
        exact(network, graph)


CONVOLUTIONS = [
    (kernel, stride, dilation, groups)
    for kernel in (1, 2, 3, 5, 7, 11, (1, 3), (5, 2), (11, 1))
    for stride, dilation, groups in ((1, 1, 1), (2, 1, 2), (3, 2, 4), (4, 1, 8), (1, 3, 8))
]


@pytest.mark.parametrize(("kernel", "stride", "dilation", "groups"), thinned(CONVOLUTIONS, 3))
def test_convolutions_of_any_geometry(
    kernel: int | tuple[int, int], stride: int, dilation: int, groups: int
) -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(8, 16, kernel, stride, "valid" if stride > 1 else "same", dilation, groups)
    shape = (8, 34, 35)
    graph = capture(layer.eval(), shape, Preprocess(*shape, (0.5,) * 8, (0.5,) * 8), "m")
    (node,) = graph.nodes
    assert isinstance(node, FloatConv)
    assert (node.stride, node.groups) == (stride, groups)
    exact(layer, graph, shape)


def test_axes_that_differ_where_it_does_not_matter() -> None:
    """A dilation along an axis of one tap, a stride along one of one row."""
    shape = (4, 5, 20)
    for layer in (
        nn.Conv2d(4, 4, (1, 3), dilation=(2, 4)),
        nn.Conv2d(4, 4, (5, 3), stride=(1, 2)),
        nn.Conv2d(4, 4, (5, 2), stride=(3, 1)),
    ):
        graph = capture(layer.eval(), shape, Preprocess(*shape, (0.5,) * 4, (0.5,) * 4), "m")
        exact(layer, graph, shape)


TRANSPOSED = [
    (kernel, stride, padding, more, dilation, groups)
    for kernel in (1, 2, 3, 4, 5, (3, 2))
    for stride in (1, 2, 3, (2, 1))
    for padding in (0, 1, 2)
    for more in (0, 1)
    for dilation, groups in ((1, 1), (2, 2), (1, 4))
    if more < max(stride if isinstance(stride, int) else min(stride), dilation)
    and padding <= dilation * ((kernel if isinstance(kernel, int) else min(kernel)) - 1)
]


@pytest.mark.slow
@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_every_transposed_convolution(case: tuple) -> None:
    one_transposed(case)


@pytest.mark.parametrize("case", TRANSPOSED[::17], ids=str)
def test_transposed_convolutions(case: tuple) -> None:
    one_transposed(case)


def one_transposed(case: tuple) -> None:
    torch.manual_seed(2)
    kernel, stride, padding, more, dilation, groups = case
    layer = nn.ConvTranspose2d(8, 12, kernel, stride, padding, more, groups, True, dilation)
    shape = (8, 5, 6)
    graph = capture(layer.eval(), shape, Preprocess(*shape, (0.5,) * 8, (0.5,) * 8), "m")
    assert kinds(graph) == ("conv" if stride == 1 else "upsample conv")
    assert min(graph.nodes[-1].padding) >= 0  # type: ignore[union-attr]
    exact(layer, graph, shape)


def test_linear_layers_over_maps_are_convolutions_of_their_size() -> None:
    layers = nn.Sequential(
        nn.Conv2d(4, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 4 * 5, 10),
        nn.ReLU(), nn.Dropout(), nn.Linear(10, 3),
    )  # fmt: skip
    shape = (4, 12, 14)
    graph = capture(layers.eval(), shape, Preprocess(*shape, (0.5,) * 4, (0.5,) * 4), "m")
    assert kinds(graph) == "conv max conv conv"
    sizes = [n.weight.shape[2:] for n in graph.nodes if isinstance(n, FloatConv)]
    assert sizes == [(5, 5), (4, 5), (1, 1)]
    exact(layers, graph, shape)


REFUSED: list[tuple[Forward, tuple[str, ...]]] = [
    (lambda s, x: F.max_pool2d(s.conv(x), 2, dilation=2), ("max_pool2d", "dilation 1")),
    (lambda s, x: F.max_pool2d(F.pad(s.conv(x), (1, 1, 1, 1)), 2), ("zero-padded", "in the pool")),
    (lambda s, x: s.after(F.pad(s.conv(x), (1, 1, 1, 1), value=-math.inf)), ("minus infinity",)),
    (lambda s, x: F.adaptive_avg_pool2d(s.conv(x), 5), ("does not divide", "AdaptiveAvgPool2d(1)")),
    (lambda s, x: s.conv(x).amax(1, keepdim=True), ("rows and columns", "x.amax((2, 3))")),
    (lambda s, x: s.conv(x).amax(), ("rows and columns", "x.amax((2, 3))")),
    (lambda s, x: F.avg_pool1d(s.conv(x).flatten(2), 4), ("one axis", "x.mean((2, 3))")),
    (lambda s, x: F.max_pool2d(s.conv(x), 2, return_indices=True)[1] * 1.0, ("first of its",)),
    (lambda s, x: torch.cat([s.conv(x), s.other(x)], 2), ("joins rows", "torch.cat(maps, 1)")),
    (
        lambda s, x: torch.cat([s.conv(x).flatten(1), s.other(x).flatten(1)], 1),
        ("flattened map", "do it before flattening"),
    ),
    (lambda s, x: s.conv(x)[:, :, 1:], ("rows, columns or frames", "x[:, a:b]")),
    (lambda s, x: s.conv(x)[:, 2], ("one row, column, frame or channel", "x[:, k:k + 1]")),
    (lambda s, x: s.conv(x).flip(3), ("flips rows", "on the host")),
    (lambda s, x: s.conv(x).roll(1, 2), ("rows, columns or frames round",)),
    (lambda s, x: s.conv(x).split(4, 2)[0], ("splits rows", "x.chunk(n, 1)")),
    (lambda s, x: s.conv(x).permute(0, 2, 3, 1), ("rows, columns or frames to other", "1x1")),
    (lambda s, x: s.conv(x).view(-1, 2, 4, 12, 9).relu().flatten(1, 2), ("several axes", "view")),
    (lambda s, x: F.interpolate(s.conv(x), scale_factor=1.5), ("by no whole number", "nearest")),
    (lambda s, x: F.interpolate(s.conv(x), scale_factor=2, mode="bilinear"), ("bilinear2d",)),
    (lambda s, x: F.pixel_shuffle(s.conv(x), 2), ("pixel_shuffle",)),
    (lambda s, x: s.slopes(s.conv(x)), ("8 slopes, one a channel", "nn.PReLU() with one")),
    (lambda s, x: s.conv(x) * s.other(x), ("two feature maps", "functions of itself")),
    (lambda s, x: s.conv(x) * s.conv(x).mean((2, 3), True).sigmoid(), ("two feature maps",)),
    (lambda s, x: s.conv(x).clamp(s.mixed[0], s.mixed[1]), ("bounds are tensors", "use numbers")),
    (
        lambda s, x: F.conv2d(x, s.conv.weight, stride=(1, 2)),
        ("stride (1, 2) differs", "make it square"),
    ),
    (
        lambda s, x: F.conv_transpose2d(x, s.conv.weight[:4, :4], padding=3),
        ("cuts away more", "at most 2"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "said"), thinned(REFUSED, 2))
def test_refused_with_what_to_write(forward: Forward, said: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        made(forward)
    for part in said:
        assert part in str(caught.value)
    assert all(problem.remedy for problem in caught.value.problems)


def test_every_kind_of_float_node_is_captured() -> None:
    found: Counter[str] = Counter()
    # One network of each sequence of kinds.
    for forward in {**dict(CASES), **dict(TABLES[:1])}.values():
        found.update(kinds(made(forward)[1]).split())
    assert set(found) == {
        "conv", "add", "pool", "max", "average", "concat", "slice", "shuffle", "table", "upsample",
    }  # fmt: skip


def test_a_wrong_order_of_a_shuffle_would_be_seen() -> None:
    """The planted fault: groups transposed the other way."""
    network, graph = made(lambda s, x: shuffle(s.conv(x), 2))
    other = made(lambda s, x: shuffle(s.conv(x), 4))[1]
    exact(network, graph)
    with pytest.raises(AssertionError):
        exact(network, other)
