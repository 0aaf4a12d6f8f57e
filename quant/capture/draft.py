"""Mutable drafts of the folded float graph while a traced network is being lowered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.quant.capture.types import Activation, FloatConcat, FloatMap, FloatPool

__all__ = [
    "NO_PADDING",
    "Draft",
    "DraftAdd",
    "DraftConv",
    "DraftMap",
    "Padding",
    "Value",
    "live_drafts",
    "merge_scales",
]

Padding: TypeAlias = tuple[int, int, int, int]
NO_PADDING: Padding = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Value:
    """What a traced tensor stands for in the drafted graph.

    tensor: the drafted tensor that holds the numbers; shape: its (C, H, W).
    flat: the network holds it as (N, C*H*W) rather than (N, C, H, W).
    sole: the drafted tensor has this one reader, so that its producer may absorb what follows.
    padding: (top, left, bottom, right) still to be merged into what reads it, and what stands
    there: fill is 0 or minus infinity.
    lines: the network holds it as (N, C, H*W).
    channels: the network holds it as (N, ..., H, W) with channels of the tensor, by number, in
    several axes; None where there is one axis of all of them.
    """

    tensor: str
    shape: tuple[int, int, int]
    flat: bool
    sole: bool
    padding: Padding = NO_PADDING
    lines: bool = False
    fill: float = 0.0
    channels: NDArray[np.int64] | None = None


@dataclass
class DraftConv:
    """A convolution in float64; scale marks a lone ``x * gain + offset``, a 1x1 depthwise one."""

    source: str
    operator: str
    input: str
    output: str
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    stride: int = 1
    padding: Padding = NO_PADDING
    dilation: int = 1
    groups: int = 1
    activation: Activation = "none"
    scale: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors read."""
        return (self.input,)

    def rescale(self, gain: NDArray[np.float64], offset: NDArray[np.float64]) -> None:
        """Absorb ``y * gain + offset`` (per output channel) that follows this convolution."""
        self.weight = self.weight * gain[:, None, None, None]
        self.bias = self.bias * gain + offset

    def absorb_input(self, gain: NDArray[np.float64], offset: NDArray[np.float64]) -> None:
        """Absorb ``x * gain + offset`` (per input channel) that precedes it.

        Exact without padding, or where the offset is 0.
        """
        outputs, per_group = self.weight.shape[:2]
        group = np.arange(outputs) // (outputs // self.groups)
        channel = group[:, None] * per_group + np.arange(per_group)[None, :]
        constant = self.weight * offset[channel][:, :, None, None]
        self.bias = self.bias + constant.sum(axis=(1, 2, 3))
        self.weight = self.weight * gain[channel][:, :, None, None]


@dataclass
class DraftAdd:
    """A residual addition."""

    source: str
    operator: str
    a: str
    b: str
    output: str
    activation: Activation = "none"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors read."""
        return (self.a, self.b)


@dataclass
class DraftMap:
    """What pools, moves or looks up values. node: its float node, without names.

    soles: by input, whether nothing else reads that tensor.
    """

    source: str
    operator: str
    inputs: tuple[str, ...]
    output: str
    node: FloatPool | FloatMap
    soles: tuple[bool, ...] = ()

    def named(self, name: str, source: str, inputs: tuple[str, ...]) -> FloatPool | FloatMap:
        """The float node, whose output has its name."""
        if isinstance(self.node, FloatConcat):
            return FloatConcat(name, source, inputs, name)
        return replace(self.node, name=name, source=source, input=inputs[0], output=name)


Draft: TypeAlias = DraftConv | DraftAdd | DraftMap


def live_drafts(drafts: list[Draft], outputs: Collection[str]) -> list[Draft]:
    """Those that the outputs depend on."""
    needed, kept = set(outputs), []
    for draft in reversed(drafts):
        if draft.output in needed:
            needed |= set(draft.inputs)
            kept.append(draft)
    return kept[::-1]


def merge_scales(drafts: list[Draft], outputs: Collection[str]) -> list[Draft]:
    """Fold each lone scale and offset into the convolution that follows it, where that is exact.

    It is exact when that convolution is its only reader and pads nothing or the offset is 0: a
    padded zero lies behind the offset, so a border would otherwise receive it.
    """
    kept: list[Draft] = []
    readers: dict[str, list[Draft]] = {}
    for draft in drafts:
        for name in draft.inputs:
            readers.setdefault(name, []).append(draft)
    for draft in drafts:
        after = readers.get(draft.output, [])
        if (
            isinstance(draft, DraftConv)
            and draft.scale
            and draft.activation == "none"
            and draft.output not in outputs
            and len(after) == 1
            and isinstance(after[0], DraftConv)
            and (after[0].padding == NO_PADDING or not draft.bias.any())
        ):
            after[0].absorb_input(draft.weight[:, 0, 0, 0], draft.bias)
            after[0].input = draft.input
            after[0].scale = False
            readers[draft.input] = [after[0] if r is draft else r for r in readers[draft.input]]
        else:
            kept.append(draft)
    return kept
