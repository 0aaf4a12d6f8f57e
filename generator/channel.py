"""Channels between kernels, of either accelerator."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EMULATION_DEPTH", "LOWERED_DEPTH", "Channel"]

EMULATION_DEPTH = 4096
"""Words of a channel in emulation."""

LOWERED_DEPTH = 256
"""Words of a deep FIFO in global memory: small ones stay in the processor's cache."""


@dataclass(frozen=True)
class Channel:
    """A FIFO between two kernels; depth in words as compiled for hardware."""

    name: str
    type: str
    writer: str
    reader: str
    depth: int
