"""docs/OPERATORS.md: every operator, what becomes it, and what the accelerator says of it.

``python -m shiftforge.generator.conv.operators_page docs/OPERATORS.md`` writes the page (``make
operators``). What stands in the column of the accelerator is asked: a small network with the
operator goes through ``check``, so that the page says of an operator what a user is told.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shiftforge.atomic import write_file
from shiftforge.generator.conv.check import check_network
from shiftforge.quant.capture.catalogue import ABSORBED, NODES, REFUSED
from shiftforge.quant.capture.function import Function, X
from shiftforge.quant.capture.types import (
    FloatAdd,
    FloatAveragePool,
    FloatConcat,
    FloatConv,
    FloatGraph,
    FloatMaxPool,
    FloatNode,
    FloatPool,
    FloatShuffle,
    FloatSlice,
    FloatTable,
    FloatUpsample,
)
from shiftforge.quant.graph.types import Preprocess

__all__ = ["convolutions", "page", "places"]

_HEAD = """# Operators

<!-- Written by `make operators`; do not edit. -->

The integer graph has {count} kinds of node. Their exact semantics stand at the top of
`quant/graph/types.py`; this page says what becomes one, and where it runs. `shiftforge check
SOURCE` says it of a network, node by node and by kinds.
"""
_MOVES = """
Copies are passes of their own, which `shiftforge check` and `plan.json` name. An addition or a
global pool whose operands no convolution's pass makes for it alone gets one, too, and so does what
is an output of the network.

Average pools whose windows count different numbers of places (`count_include_pad=False` at a padded
border, `ceil_mode` past the end) are captured, quantised and exported; the accelerator refuses them
by name: count the padding, or pad less.
"""
_TAIL = """
Constants before a padded convolution are a depthwise convolution of their own, but a network's own
`(x − mean) / std` of its image joins the mean and std of the preprocessing.

A network may return several maps, each of which leaves as 32-bit integers: a convolution's result
that nothing reads as it is, any other from a pass that copies it. `sigmoid`, `softmax` and
`log_softmax` over the channels are left to the host where the network ends in them: the model
records which output has which.

Any other operator is refused by name and module path, all of them at once.

What has been captured is then run beside the network itself, on single frames of noise and at two
calls: a `forward` that depends on the number of frames, on a count of its calls, on random numbers
of Python's, on a clock or on being compiled gives other outputs than its trace, and is refused.
"""
_SIDE = 16


@dataclass
class _Probe:
    """A small network: a stem, what is asked about, and a layer behind it."""

    shapes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    nodes: list[FloatNode] = field(default_factory=list)
    last: str = "input"

    def __post_init__(self) -> None:
        self.shapes["input"] = (3, _SIDE, _SIDE)

    def add(
        self, make: Callable[..., FloatNode], shape: tuple[int, int, int], *own: Any,
        parts: tuple[str, ...] = (),
    ) -> str:  # fmt: skip
        """A node that reads the newest tensor, or ``parts``."""
        name = f"n{len(self.nodes)}"
        read: tuple[Any, ...] = (parts or self.last,)
        self.nodes.append(make(name, name, *read, name, *own))
        self.shapes[name], self.last = shape, name
        return name

    def conv(
        self, out: int, kernel: tuple[int, int], stride: int = 1, groups: int = 1,
        dilation: int = 1, padding: tuple[int, int, int, int] | None = None,
    ) -> str:  # fmt: skip
        channels, height, width = self.shapes[self.last]
        reach = [dilation * (k - 1) for k in kernel]
        pad = padding or (reach[0] // 2, reach[1] // 2, reach[0] // 2, reach[1] // 2)
        rows = (height + pad[0] + pad[2] - reach[0] - 1) // stride + 1
        columns = (width + pad[1] + pad[3] - reach[1] - 1) // stride + 1
        weight = np.zeros((out, channels // groups, *kernel), np.float32)
        bias = np.zeros(out, np.float32)
        return self.add(
            FloatConv, (out, rows, columns), weight, bias, stride, pad, dilation, groups, "relu"
        )

    def told(self, name: str, *, detail: bool = False) -> str:
        """What `check` says of a node. detail: in more words, where it runs."""
        half = (0.5,) * 3
        graph = FloatGraph(
            "probe", Preprocess(3, _SIDE, _SIDE, half, half), "input", self.last, self.shapes,
            tuple(self.nodes),
        )  # fmt: skip
        row = next(row for row in check_network(graph, {}).rows if row.node == name)
        if not row.problems:
            return f"{row.maps}; {row.detail}" if detail else row.maps or row.detail
        problem = row.problems[0]
        return f"refused: {problem.what}; {problem.remedy}" if problem.remedy else problem.what


_WINDOW = ((2, 2), (2, 2), (0, 0, 0, 0))
_MAPS: Mapping[str, tuple[Any, ...]] = {
    "Pool": (FloatPool, (8, 1, 1)),
    "MaxPool": (FloatMaxPool, (8, 8, 8), *_WINDOW),
    "AveragePool": (FloatAveragePool, (8, 8, 8), *_WINDOW, (0, 0, 0, 0)),
    "Table": (FloatTable, (8, 16, 16), Function("tanh", (X,))),
    "Upsample": (FloatUpsample, (8, 32, 32), (2, 2), "nearest"),
}


def places() -> dict[str, str]:
    """What the accelerator says of each kind of node, by class."""
    found = dict.fromkeys(("Conv", "Concat", "Slice", "Shuffle"), "see below")
    probe = _Probe()
    first = probe.conv(8, (3, 3))
    second = probe.conv(8, (3, 3))
    probe.nodes.append(FloatAdd("sum", "sum", first, second, "sum", "none"))
    probe.shapes["sum"], probe.last = probe.shapes[first], "sum"
    probe.conv(4, (1, 1))
    found["Add"] = probe.told("sum")
    for kind, (make, shape, *own) in _MAPS.items():
        probe = _Probe()
        probe.conv(8, (3, 3))
        name = probe.add(make, shape, *own)
        probe.conv(4, (1, 1))
        found[kind] = probe.told(name)
    return found


_CONVOLUTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("1×1", {"out": 8, "kernel": (1, 1)}),
    ("1×1, stride 2", {"out": 8, "kernel": (1, 1), "stride": 2}),
    ("3×3", {"out": 8, "kernel": (3, 3)}),
    ("3×3, stride 2", {"out": 8, "kernel": (3, 3), "stride": 2}),
    ("3×3, stride 3", {"out": 8, "kernel": (3, 3), "stride": 3}),
    ("3×3, dilation 2", {"out": 8, "kernel": (3, 3), "dilation": 2}),
    ("3×3, 2 groups", {"out": 8, "kernel": (3, 3), "groups": 2}),
    ("1×1, 4 groups", {"out": 8, "kernel": (1, 1), "groups": 4}),
    ("3×3, padding 2", {"out": 8, "kernel": (3, 3), "padding": (2, 2, 2, 2)}),
    ("depthwise 3×3", {"out": 8, "kernel": (3, 3), "groups": 8}),
    ("depthwise 3×3, stride 2", {"out": 8, "kernel": (3, 3), "groups": 8, "stride": 2}),
    ("depthwise 3×3, multiplier 2", {"out": 16, "kernel": (3, 3), "groups": 8}),
    ("depthwise 5×5", {"out": 8, "kernel": (5, 5), "groups": 8}),
    ("depthwise 7×7", {"out": 8, "kernel": (7, 7), "groups": 8}),
    ("1×3", {"out": 8, "kernel": (1, 3)}),
    ("2×2", {"out": 8, "kernel": (2, 2), "padding": (0, 0, 1, 1)}),
    ("5×5", {"out": 8, "kernel": (5, 5)}),
    ("7×7", {"out": 8, "kernel": (7, 7)}),
    ("11×11", {"out": 8, "kernel": (11, 11)}),
    ("linear over 16×16", {"out": 8, "kernel": (16, 16), "padding": (0, 0, 0, 0)}),
)
_ON_IMAGE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("3×3 on the image, stride 2", {"out": 8, "kernel": (3, 3), "stride": 2}),
    ("7×7 on the image, stride 2", {"out": 8, "kernel": (7, 7), "stride": 2}),
    ("11×11 on the image, stride 4", {"out": 8, "kernel": (11, 11), "stride": 4}),
)


def convolutions() -> list[tuple[str, str]]:
    """(geometry, what the accelerator says of it) of convolutions, between layers and on images."""
    found = []
    for image, cases in ((True, _ON_IMAGE), (False, _CONVOLUTIONS)):
        for name, own in cases:
            probe = _Probe()
            if not image:
                probe.conv(8, (3, 3))
            asked = probe.conv(**own)
            probe.conv(4, (1, 1))
            found.append((name, probe.told(asked)))
    return found


_READERS: dict[str, dict[str, Any]] = {
    "1×1": {"out": 4, "kernel": (1, 1)},
    "depthwise 3×3": {"out": 0, "kernel": (3, 3), "groups": 0},
}


def moves() -> list[tuple[str, str, str]]:
    """(what moves channels, the convolution that reads them, what the accelerator says of it)."""
    halves = tuple(range(0, 32, 2)), tuple(range(1, 32, 2))
    cases: tuple[tuple[str, tuple[int, ...], Callable[[_Probe, list[str]], str]], ...] = (
        ("concat of 16 and 32 channels", (16, 32), _joined),
        ("concat of 8 and 32 channels", (8, 32), _joined),
        ("concat of a map and itself", (16,), lambda own, parts: _joined(own, parts * 2)),
        ("channels 16 to 32 of 32", (32,),
         lambda own, _: own.add(FloatSlice, (16, _SIDE, _SIDE), 16, 32)),
        ("channels 4 to 20 of 32", (32,),
         lambda own, _: own.add(FloatSlice, (16, _SIDE, _SIDE), 4, 20)),
        ("shuffle of 32 channels", (32,),
         lambda own, _: own.add(FloatShuffle, (32, _SIDE, _SIDE), halves[0] + halves[1])),
    )  # fmt: skip
    found = []
    for name, channels, make in cases:
        for reader, own in _READERS.items():
            probe = _Probe()
            stem = probe.conv(8, (3, 3))
            parts = []
            for out in channels:
                probe.last = stem
                parts.append(probe.conv(out, (1, 1)))
            asked = make(probe, parts)
            size = probe.shapes[asked][0]
            filled: dict[str, Any] = {key: value or size for key, value in own.items()}
            probe.conv(**filled)
            probe.conv(4, (1, 1))
            found.append((name, reader, probe.told(asked, detail=True)))
    return found


def _joined(probe: _Probe, parts: list[str]) -> str:
    channels = sum(probe.shapes[name][0] for name in parts)
    return probe.add(FloatConcat, (channels, _SIDE, _SIDE), parts=tuple(parts))


def page() -> str:
    """The whole page."""
    where = places()
    nodes = [(f"`{kind}`", row.made_of, row.computes, where[kind]) for kind, row in NODES.items()]
    count = {10: "ten"}.get(len(NODES), str(len(NODES)))
    parts = [
        _HEAD.format(count=count),
        _table(("Node", "Made of (ATen)", "Computes", "On the accelerator"), nodes),
        "\nConvolutions on the accelerator, by geometry:\n",
        _table(("Convolution", "Runs as"), convolutions()),
        "\nWhat moves channels, on an array of 16 units:\n",
        _table(("Operator", "Read by", "Runs as"), moves()),
        _MOVES,
        "\nNo node of their own:\n",
        _table(("ATen", "What becomes of it"), ABSORBED),
        "\nRefused, with what to write instead:\n",
        _table(("ATen", "Because"), REFUSED),
        _TAIL,
    ]
    return "\n".join(part.rstrip("\n") if k < len(parts) - 1 else part
                     for k, part in enumerate(parts))  # fmt: skip


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Write the page to the path that is given, or print it."""
    if arguments:
        write_file(Path(arguments[0]), page().encode())
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
