"""The watch over hanging kernels on the emulator, and who waits for whom."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.channel import Channel

__all__ = ["Watch", "describe_waits"]

COMPILE_SECONDS = 60.0
"""Allowance for the compilation of a first launch on a busy machine, on top of the stall limit."""


class Watch:
    """Called now and then while kernels run: raises CheckFailed where no word moves any more.

    channels: in the order of ``waits``, three integers each, which the emulator's kernels write
    (reader waits, writer waits, words read). stall_s: how long nothing may move. Kernels that hang
    cannot be stopped: the process is of no use for OpenCL after that.
    """

    def __init__(
        self, channels: Sequence[Channel], waits: NDArray[np.int32], stall_s: float
    ) -> None:
        self.channels, self.waits, self.stall_s = channels, waits, stall_s
        self.words, self.since = -1, time.monotonic()

    def __call__(self) -> None:
        waits = self.waits.reshape(-1, 3)
        words = int(waits[:, 2].astype(np.int64).sum())
        if words != self.words:
            self.words, self.since = words, time.monotonic()
            return
        # Before the first word the runtime is still compiling for the processor.
        patience = self.stall_s + (0.0 if words else COMPILE_SECONDS)
        if time.monotonic() - self.since >= patience:
            raise CheckFailed("the kernels hang: " + describe_waits(self.channels, waits))


def describe_waits(channels: Sequence[Channel], waits: NDArray[np.int32]) -> str:
    """Who waits for what, from rows (reader waits, writer waits, words read) of all channels."""
    parts = []
    for channel, (reader, writer, words) in zip(channels, waits.tolist(), strict=True):
        if reader:
            parts.append(f"{channel.reader} reads empty channel {channel.name}")
        if writer:
            parts.append(f"{channel.writer} writes full channel {channel.name}")
        if reader or writer:
            parts[-1] += f" (after {words} words)"
    return "; ".join(parts) or "no kernel waits on a channel"
