"""What averages of a map and of its windows share: a sum times a constant, as codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.export.qdq_builder import Builder, codes_name
from shiftforge.quant.graph.types import AveragePool, Pool

__all__ = ["pool_rounded"]


def pool_rounded(
    build: Builder, node: AveragePool | Pool, total: str, factor: NDArray[np.float64] | np.float64
) -> None:
    """A sum of real values times what makes codes of a sum of codes, rounded and clamped."""
    proto = build.onnx.TensorProto
    source, grid = build.model.tensors[node.input], build.model.tensors[node.output].grid
    wide = build.op("Cast", [total], f"{node.name}.wide", to=proto.DOUBLE)
    held = build.constant(
        f"{node.name}.factor", np.asarray(np.ldexp(factor, -source.grid.exponent))
    )
    scaled = build.op("Mul", [wide, held], f"{node.name}.scaled")
    rounded = build.op("Round", [scaled], f"{node.name}.rounded")
    ends = [
        build.constant(f"double.{code}", np.array(code, dtype=np.float64))
        for code in (node.lo, node.hi)
    ]
    value = build.op("Clip", [rounded, *ends], f"{node.name}.clamped")
    kind = proto.INT8 if grid.signed else proto.UINT8
    build.op("Cast", [value], codes_name(node.output), to=kind)
    build.dequantise(node.output)
