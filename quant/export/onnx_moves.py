"""Values that are as they were, elsewhere, as ONNX operators: the same of floats and of codes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from shiftforge.quant.capture.types import (
    FloatConcat,
    FloatMaxPool,
    FloatShuffle,
    FloatSlice,
    FloatUpsample,
)
from shiftforge.quant.export.onnx_nodes import OnnxNodes
from shiftforge.quant.graph.types import Concat, MaxPool, Shuffle, Slice, Upsample

__all__ = ["Move", "moved"]

Move: TypeAlias = (
    MaxPool | Concat | Slice | Shuffle | Upsample
    | FloatMaxPool | FloatConcat | FloatSlice | FloatShuffle | FloatUpsample
)  # fmt: skip


def moved(
    build: OnnxNodes,
    node: Move,
    shape: tuple[int, int, int],
    size: tuple[int, int],
    output: str,
) -> str:
    """Append a node; shape: (C, H, W) of what it reads, size: rows and columns of what it makes."""
    match node:
        case MaxPool() | FloatMaxPool():
            return build.op(
                "MaxPool",
                [node.input],
                output,
                kernel_shape=list(node.kernel),
                strides=list(node.stride),
                pads=list(node.padding),
            )
        case Concat() | FloatConcat():
            return build.op("Concat", node.inputs, output, axis=1)
        case Slice() | FloatSlice():
            ends = [
                build.constant(f"{node.name}.{what}", np.array([number], np.int64))
                for what, number in (("start", node.start), ("stop", node.stop), ("axis", 1))
            ]
            return build.op("Slice", [node.input, *ends], output)
        case Shuffle() | FloatShuffle():
            order = build.constant(f"{node.name}.order", np.array(node.order, np.int64))
            return build.op("Gather", [node.input, order], output, axis=1)
        case Upsample() | FloatUpsample():
            return _enlarged(build, node, shape, size, output)


def _enlarged(
    build: OnnxNodes,
    node: Upsample | FloatUpsample,
    shape: tuple[int, int, int],
    size: tuple[int, int],
    output: str,
) -> str:
    fh, fw = node.factor
    if node.mode == "nearest":
        scales = build.constant(f"{node.name}.scales", np.array([1, 1, fh, fw], np.float32))
        return build.op(
            "Resize",
            [node.input, "", scales],
            output,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    # Zeros behind every value: (N, C, H, 1, W, 1) padded to (N, C, H, fh, W, fw).
    def sizes(what: str, numbers: list[int]) -> str:
        return build.constant(f"{node.name}.{what}", np.array(numbers, np.int64))

    channels, height, width = shape
    apart = sizes("apart", [0, channels, height, 1, width, 1])
    value = build.op("Reshape", [node.input, apart], f"{node.name}.apart.map")
    pads = sizes("pads", [0, 0, 0, 0, 0, 0, 0, 0, 0, fh - 1, 0, fw - 1])
    value = build.op("Pad", [value, pads], f"{node.name}.padded")
    joined = sizes("joined", [0, channels, height * fh, width * fw])
    value = build.op("Reshape", [value, joined], f"{node.name}.joined.map")
    ends = [sizes("first", [0, 0]), sizes("last", list(size)), sizes("axes", [2, 3])]
    return build.op("Slice", [value, *ends], output)
