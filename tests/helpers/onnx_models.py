"""Small ONNX models for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Node = tuple[str, Sequence[str], str, Mapping[str, Any]]


def model_of(
    nodes: Sequence[Node],
    constants: Mapping[str, NDArray[Any]],
    shape: Sequence[Any],
    output: str = "y",
    *,
    opset: int = 17,
    domain: str = "",
    rank: int = 4,
) -> Any:
    """nodes: (operator, inputs, output, attributes); the image is x of this shape.

    rank: of the output.
    """
    from onnx import TensorProto, helper, numpy_helper

    made = [
        helper.make_node(kind, list(inputs), [out], name=f"{kind.lower()}_{n}", **attributes)
        for n, (kind, inputs, out, attributes) in enumerate(nodes)
    ]
    graph = helper.make_graph(
        made,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *"CHW"[: rank - 1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=8
    )


def weights(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Of a normal distribution, by fan in."""
    values = np.random.default_rng(seed).normal(size=shape) / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def classifier(opset: int = 17, frames: Any = "N") -> Any:
    """Convolution, batch norm, ReLU, depthwise convolution, residual, pools, two linear layers.

    How operators are written follows the opset: what later became an input is an attribute before.
    """
    ones, constants = np.ones(8, np.float32), dict[str, NDArray[Any]]()
    constants |= {
        "w0": weights(8, 3, 3, 3), "scale": ones * 1.5, "shift": weights(8, 1, seed=1)[:, 0],
        "mean": ones * 0.1, "var": ones * 0.7, "w1": weights(8, 1, 3, 3, seed=2),
        "b1": weights(8, 1, seed=3)[:, 0], "w2": weights(8, 10, seed=4),
        "b2": weights(10, 1, seed=5)[:, 0], "w3": weights(5, 10, seed=6), "six": np.float32(6),
        "zero": np.float32(0), "first": np.array([0, -1]),
    }  # fmt: skip
    nodes: list[Node] = [
        ("Conv", ["x", "w0"], "a", {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("BatchNormalization", ["a", "scale", "shift", "mean", "var"], "b", {}),
        ("Clip", ["b", "zero", "six"], "c", {}),
        ("Conv", ["c", "w1", "b1"], "d", {"group": 8, "auto_pad": "SAME_UPPER"}),
        ("Relu", ["d"], "e", {}),
        ("Add", ["e", "c"], "f", {}),
        ("MaxPool", ["f"], "g", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ]
    if opset >= 18:
        constants["axes"] = np.array([2, 3])
        nodes.append(("ReduceMean", ["g", "axes"], "h", {"keepdims": 0}))
    else:
        nodes.append(("ReduceMean", ["g"], "h", {"axes": [2, 3], "keepdims": 0}))
    nodes += [
        ("MatMul", ["h", "w2"], "i", {}),
        ("Add", ["i", "b2"], "j", {}),
        ("Relu", ["j"], "k", {}),
        ("Reshape", ["k", "first"], "l", {}),
        ("Gemm", ["l", "w3"], "m", {"transB": 1}),
        ("Softmax", ["m"], "y", {"axis": 1}),
    ]
    return model_of(nodes, constants, [frames, 3, 16, 16], opset=opset, rank=2)


def saved(model: Any, folder: Path, name: str = "small.onnx") -> Path:
    """The model's file."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path
