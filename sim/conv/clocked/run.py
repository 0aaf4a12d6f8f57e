"""What a clocked run gives: when each kernel worked on each layer, and when layers ended.

All times are cycles of the kernel clock since the run began. A frame of a run is what the kernels
take at once: the batch, where several images are in flight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.folder import THROUGH_KERNELS

__all__ = [
    "ARRAY_KERNEL", "MEMORY", "STREAMS", "ClockedOutputs", "ClockedRun", "Span", "stream_kernels",
]  # fmt: skip

ARRAY_KERNEL = "conv"
"""The kernel whose iterations are the array's cycles."""
STREAMS = ("loader", "feeder", "params")
"""Kernels without layers: one invocation a run. Their spans, one a frame, stand at layer 0."""
MEMORY = "memory"
"""What a kernel waits for where it waits for no channel: beats of global memory."""


def stream_kernels(through: bool) -> tuple[str, ...]:
    """Kernels without layers, in the order of their spans. through: maps lie in global memory."""
    return (*STREAMS, *THROUGH_KERNELS) if through else STREAMS


@dataclass(frozen=True)
class Span:
    """A kernel's invocation for a layer of a frame.

    start: cycle of the first iteration slot. end: cycle when it has drained, start < end. busy:
    iterations issued, at most one a cycle. stalled: cycles in which none was issued, by the channel
    that stopped it, or ``MEMORY``.
    """

    frame: int
    layer: int
    kernel: str
    start: int
    end: int
    busy: int
    stalled: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ClockedRun:
    """A run of some frames, one after the other, without host work between them.

    layer_ends: int64 (frames, layers), cycle of the layer's last stored result (of the last layer,
    where its results leave directly, the last one that left). first: cycle at which frame 0 begins.
    frame_starts: int64 (frames,), cycle when the loader takes the frame's first beat of the image.
    high_water: the most words that were in each channel; depths: what each has room for. traffic:
    bytes of a frame from and to global memory.
    """

    spans: tuple[Span, ...]
    layer_ends: NDArray[np.int64]
    first: int
    frame_starts: NDArray[np.int64]
    high_water: Mapping[str, int]
    depths: Mapping[str, int]
    traffic: int = 0

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.layer_ends)

    def layer_cycles(self) -> NDArray[np.int64]:
        """Cycles int64 (frames, layers): from the end of the layer before to the layer's own.

        The first layer's begin where the frame before ends, so that a frame's sum is its period.
        """
        flat = self.layer_ends.reshape(-1)
        return np.diff(flat, prepend=self.first).reshape(self.layer_ends.shape)

    def periods(self) -> NDArray[np.int64]:
        """Cycles int64 (frames,) from the end of the frame before to the frame's own."""
        return np.asarray(self.layer_cycles().sum(axis=1), np.int64)


@dataclass(frozen=True, eq=False)
class ClockedOutputs:
    """What the frames of a clocked run gave.

    output: codes (N, K) of all images. maps: every stored map as codes (N, C, H, W) by tensor,
    where the run was asked to check; else empty. platform: of the device, in words.
    """

    output: NDArray[Any]
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    platform: str = ""
