"""One node of an ONNX graph as its converter sees it, refused as capture refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from shiftforge.quant.capture.lower import Unsupported

__all__ = ["Call", "Converter", "Function", "Unsupported", "decimal", "floats"]

Function: TypeAlias = Callable[..., Any]
"""Of a node's inputs as tensors, in order; None for one that is left out or holds whole numbers."""


@dataclass(frozen=True, eq=False)
class Call:
    """kind: the operator. inputs, outputs: names, "" for one left out.

    attributes: those that the node gives. opset: of ONNX's own operators. constants: values of the
    inputs that are known beforehand. shapes: of inputs and outputs, with the frames that the model
    declares.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, tuple[int, ...]]

    def has(self, place: int) -> bool:
        """Whether an input is given."""
        return place < len(self.inputs) and self.inputs[place] != ""

    def is_constant(self, place: int) -> bool:
        """Whether an input is known beforehand."""
        return self.has(place) and self.inputs[place] in self.constants

    def constant(self, place: int, what: str) -> NDArray[Any] | None:
        """An input's value; None where it is left out. Raises Unsupported where it is computed."""
        if not self.has(place):
            return None
        if self.inputs[place] not in self.constants:
            raise Unsupported(f"its {what} is computed from the image", f"give a constant {what}")
        return self.constants[self.inputs[place]]

    def number(self, place: int, what: str) -> float | None:
        """An input that is one number."""
        value = self.constant(place, what)
        if value is not None and value.size != 1:
            raise Unsupported(f"its {what} has {value.size} values", "give one")
        return None if value is None else decimal(value.reshape(()))

    def attribute(self, name: str, value: float) -> float:
        """A number that is an attribute, or its value where it is not given."""
        given = self.attributes.get(name)
        return value if given is None else decimal(np.float32(given))

    def numbers(self, what: str, place: int) -> tuple[int, ...] | None:
        """Whole numbers that are an attribute or, in later opsets, an input."""
        if what in self.attributes:
            return tuple(int(n) for n in self.attributes[what])
        value = self.constant(place, what)
        return None if value is None else tuple(int(n) for n in value.reshape(-1))

    def shape(self, place: int = 0) -> tuple[int, ...]:
        """Of an input."""
        return self.shapes[self.inputs[place]]

    @property
    def made(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.shapes[self.outputs[0]]

    def axes(self, place: int, rank: int | None = None) -> tuple[int, ...] | None:
        """Axes counted from 0, sorted; None where none are given."""
        found = self.numbers("axes", place)
        own = len(self.shape()) if rank is None else rank
        return None if found is None else tuple(sorted(a % own for a in found))

    def of_map(self) -> None:
        """Raises Unsupported where the first input is no map (N, C, H, W)."""
        if len(self.shape()) != 4:
            remedy = "give maps (N, C, H, W)"
            raise Unsupported(f"it reads a tensor of {len(self.shape())} axes", remedy)


Converter: TypeAlias = Callable[[Call], Function]


def decimal(value: Any) -> float:
    """A number of float32 as the shortest decimal that is rounded to it: 0.1, not 0.10000000149.

    Others are as they are. An exporter's float32 then means what was written in the network.
    """
    if np.asarray(value).dtype != np.float32 or not np.isfinite(value):
        return float(value)
    return float(np.format_float_scientific(np.float32(value), unique=True))


def floats(value: NDArray[Any]) -> torch.Tensor:
    """A constant in float32."""
    return torch.from_numpy(np.array(value, dtype=np.float32))
