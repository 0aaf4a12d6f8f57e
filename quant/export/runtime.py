"""ONNX Runtime as an independent check of the integer graph: the codes of every tensor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.export.float_onnx import export_float
from shiftforge.quant.export.qdq import codes_name, export_onnx
from shiftforge.quant.graph.types import QuantizedModel

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["run_float_onnx", "run_onnx"]

_CHUNK = 16


def run_onnx(
    model: QuantizedModel, codes: NDArray[np.integer], *, optimise: bool = False
) -> dict[str, NDArray[np.int64]]:
    """Codes of every tensor by name, int64 (N, C, H, W), for input codes (N, C, H, W).

    optimise False: ONNX Runtime computes the float operators as written, which is exact. True lets
    it fuse them into its integer kernels, as it does by default; on processors without VNNI some of
    those add products of int8 weights in 16 bits that saturate.
    Raises InputError where onnxruntime is missing or the model cannot be exported exactly.
    """
    session = _session(export_onnx(model, every_tensor=True), optimise)
    names = [node.output for node in model.nodes]
    kind = np.int8 if model.tensors[model.input].grid.signed else np.uint8
    parts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    for start in range(0, len(codes), _CHUNK):
        part = np.ascontiguousarray(codes[start : start + _CHUNK].astype(kind))
        found = session.run([codes_name(n) for n in names], {codes_name(model.input): part})
        for name, value in zip(names, found, strict=True):
            parts[name].append(np.asarray(value).astype(np.int64))
    return {
        model.input: codes.astype(np.int64),
        **{name: np.concatenate(held) for name, held in parts.items()},
    }


def run_float_onnx(
    graph: FloatGraph, frames: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """The float network's outputs (N, C, H, W) by name, for normalised frames (N, C, H, W).

    Raises InputError where onnxruntime is missing.
    """
    session = _session(export_float(graph), False)
    names = list(graph.outputs)
    found = [
        session.run(names, {graph.input: np.ascontiguousarray(frames[i : i + _CHUNK])})
        for i in range(0, len(frames), _CHUNK)
    ]
    return {name: np.concatenate([part[k] for part in found]) for k, name in enumerate(names)}


def _session(model: ModelProto, optimise: bool) -> Any:
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise InputError(
            Problem("the package onnxruntime is not installed", "pip install 'shiftforge[bench]'")
        ) from error
    options = runtime.SessionOptions()
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
