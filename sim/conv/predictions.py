"""What outputs say of each sample: classes, and how likely the host's function makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["Head", "classes", "heads_table", "read_heads"]


@dataclass(frozen=True)
class Head:
    """An output. output: its tensor; shape: (C, H, W). host: what the host computes of it, "" for
    nothing. classes: of the samples; empty where it is a map, whose places have no class in common.
    shares: probability of each class, where the host's function makes one.
    """

    output: str
    shape: tuple[int, int, int]
    host: str
    classes: tuple[int, ...]
    shares: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {
            "output": self.output,
            "shape": list(self.shape),
            "host": self.host,
            "classes": list(self.classes),
            "shares": list(self.shares),
        }


def classes(model: QuantizedModel, output: str, codes: NDArray[Any]) -> tuple[int, ...]:
    """The class of each sample, of codes (N, C, 1, 1) or (N, C) of an output: the first largest.

    A single value behind a sigmoid says yes or no: 1 where its probability is above 1/2. A map has
    no classes.
    """
    if model.tensors[output].shape[1:] != (1, 1):
        return ()
    flat = codes.reshape(len(codes), -1)
    if flat.shape[1] == 1 and model.host.get(output) == "sigmoid":
        return tuple(int(code > 0) for code in flat[:, 0])
    return tuple(int(best) for best in flat.argmax(axis=1))


def read_heads(model: QuantizedModel, codes: Mapping[str, NDArray[Any]]) -> list[Head]:
    """Every output of codes (N, C, H, W) by tensor."""
    return [_head(model, name, codes[name]) for name in model.outputs]


def _head(model: QuantizedModel, name: str, codes: NDArray[Any]) -> Head:
    tensor, host = model.tensors[name], model.host.get(name, "")
    found = classes(model, name, codes)
    if not host or not found:
        return Head(name, tensor.shape, host, found, ())
    real = codes.reshape(len(codes), -1) * 2.0**tensor.grid.exponent
    if host == "sigmoid":
        shares = 0.5 * (1 + np.tanh(real / 2))
        if tensor.channels == 1:
            shares = np.hstack([1 - shares, shares])
    else:
        powers = np.exp(real - real.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
    told = tuple(float(row[best]) for row, best in zip(shares, found, strict=True))
    return Head(name, tensor.shape, host, found, told)


def heads_table(
    names: Sequence[str], labels: Sequence[str], heads: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(columns, a row a sample) of heads as ``Head.to_dict`` gives them; no rows without classes.

    labels: of the first head's classes.
    """
    told = [head for head in heads if head["classes"]]
    several = len(heads) > 1
    columns = ["sample", *(f"class of {own['output']}" if several else "class" for own in told)]

    def cell(head: Mapping[str, Any], sample: int) -> str:
        number = head["classes"][sample]
        named = head is heads[0] and number < len(labels)
        share = f" ({head['shares'][sample]:.1%})" if head["shares"] else ""
        return f"{number} {labels[number]}{share}" if named else f"{number}{share}"

    rows = [(name, *(cell(head, n) for head in told)) for n, name in enumerate(names)]
    return tuple(columns), rows if told else []
