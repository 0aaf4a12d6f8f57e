"""How near the quantised network is to the float one: logit SQNR and top-1 agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.simulate import run_fake_quantised, run_float_checkpoints

__all__ = ["Agreement", "agreement", "evaluate", "quantised_logits", "sqnr_db"]

_CHUNK = 8


@dataclass(frozen=True)
class Agreement:
    """sqnr_db: 10 log10(sum f^2 / sum (f - q)^2) over all logits. top1: share of images, 0..1."""

    sqnr_db: float
    top1: float
    images: int


def sqnr_db(wanted: NDArray[np.floating], given: NDArray[np.floating]) -> float:
    """Signal over error power in dB; at most 200."""
    signal = float(np.square(wanted, dtype=np.float64).sum())
    error = float(np.square(np.subtract(wanted, given, dtype=np.float64)).sum())
    if signal == 0 or error == 0:
        return 200.0 if error == 0 else -200.0
    return min(200.0, float(10 * np.log10(signal / error)))


def agreement(wanted: NDArray[np.floating], given: NDArray[np.floating]) -> Agreement:
    """Two sets of logits (N, classes) compared; ties go to the first class in both."""
    same = wanted.argmax(axis=1) == given.argmax(axis=1)
    return Agreement(sqnr_db(wanted, given), float(same.mean()), len(wanted))


def quantised_logits(model: QuantizedModel, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The fake-quantised network's output in real values, (N, C*H*W); of several, one by one."""
    codes = to_codes(images, model.preprocess, model.tensors[model.input].grid)
    found: list[list[NDArray[np.float64]]] = [[] for _ in model.outputs]
    for i in range(0, len(codes), _CHUNK):
        made = run_fake_quantised(model, codes[i : i + _CHUNK])
        for parts, name in zip(found, model.outputs, strict=True):
            exponent = model.tensors[name].grid.exponent
            parts.append(np.ldexp(made[name].astype(np.float64), exponent))
    return np.concatenate([_flat(parts) for parts in found], axis=1)


def _flat(parts: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Chunks (n, C, H, W) as (N, C*H*W)."""
    whole = np.concatenate(parts).astype(np.float64)
    return whole.reshape(len(whole), -1)


def evaluate(model: QuantizedModel, images: NDArray[np.uint8]) -> Agreement:
    """The model against its own float checkpoint on images (N, height, width, channels), 0..255."""
    floats: list[list[NDArray[np.float32]]] = [[] for _ in model.outputs]
    for i in range(0, len(images), _CHUNK):
        made = run_float_checkpoints(model, images[i : i + _CHUNK])
        for parts, name in zip(floats, model.outputs, strict=True):
            parts.append(made[name])
    wanted = np.concatenate([_flat(parts) for parts in floats], axis=1)
    return agreement(wanted, quantised_logits(model, images))
