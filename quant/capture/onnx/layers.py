"""Products with weights, normalisation, and the functions that networks end in."""

from __future__ import annotations

import torch
from torch.nn import functional

from shiftforge.quant.capture.onnx.call import Call, Converter, Function, Unsupported

__all__ = ["LAYERS"]


def _gemm(call: Call) -> Function:
    """y = alpha A B + beta C."""
    if call.is_constant(0) or not call.is_constant(1):
        raise Unsupported("its second matrix is no constant", "give it constant weights")
    if call.attributes.get("transA", 0):
        raise Unsupported("it transposes the frames", "give frames as rows")
    matrix, added = call.constant(1, "weight"), call.constant(2, "bias")
    assert matrix is not None
    alpha, beta = (float(call.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    turned = bool(call.attributes.get("transB", 0))
    outputs = matrix.shape[0 if turned else 1]
    if added is not None and (
        added.size not in (1, outputs) or (added.ndim == 2 and added.shape[0] != 1)
    ):
        raise Unsupported(f"it adds a matrix of shape {added.shape}", "add one number an output")

    def product(x: torch.Tensor, w: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        w = w if turned else w.T
        bias = None if c is None else (c.reshape(-1) * beta).expand(outputs)
        return functional.linear(x, w if alpha == 1.0 else w * alpha, bias)

    return product


def _matmul(call: Call) -> Function:
    if call.is_constant(0) or not call.is_constant(1):
        raise Unsupported(
            "it multiplies two maps, or a constant by a map", "multiply by a constant"
        )
    if len(call.shape(0)) != 2 or len(call.shape(1)) != 2:
        raise Unsupported(f"a product of shapes {call.shape(0)} and {call.shape(1)}", "use vectors")
    return lambda x, w: functional.linear(x, w.T)


def _batch_norm(call: Call) -> Function:
    trained = call.attributes.get("training_mode", 0) or any(call.outputs[1:])
    if trained:
        raise Unsupported("it normalises by what the frames at hand give", "export for evaluation")
    for place, what in enumerate(("scale", "bias", "mean", "variance"), 1):
        call.constant(place, what)
    epsilon = float(call.attributes.get("epsilon", 1e-5))
    return lambda x, scale, bias, mean, variance: functional.batch_norm(
        x, mean, variance, scale, bias, False, 0.0, epsilon
    )


def _softmax(call: Call) -> Function:
    shape, newer = call.shape(), call.opset >= 13
    axis = int(call.attributes.get("axis", -1 if newer else 1)) % max(len(shape), 1)
    # Before opset 13 it runs over all that lies behind the axis.
    if not newer and any(n != 1 for n in shape[axis + 1 :]):
        raise Unsupported(
            f"softmax over all axes from {axis} on", "export it with opset 13 or later"
        )
    function = functional.softmax if call.kind == "Softmax" else functional.log_softmax
    return lambda x: function(x, dim=axis)


LAYERS: dict[str, Converter] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
}
