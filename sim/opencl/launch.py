"""Starting kernels that talk through channels, and what their FIFOs look like when they stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.channel import Channel
from shiftforge.sim.opencl.memory import room

if TYPE_CHECKING:
    import pyopencl

__all__ = ["STATUS_WORDS", "Waits", "fifo_fills", "launch_channels", "launch_scheduler"]

STATUS_WORDS = 3


def launch_channels(
    context: pyopencl.Context,
    program: pyopencl.Program,
    arguments: Mapping[str, tuple[Any, ...]],
    waits: NDArray[np.int32],
    tick: Callable[[], None] | None = None,
) -> None:
    """Run kernels (arguments by name) at the same time, each on a queue of its own.

    waits: three integers a channel, which the emulator's kernels write (see channels.cl.j2);
    tick: called every 50 ms while they run.
    """
    import pyopencl as cl

    # The host sees this memory while the kernels run: the emulator works on it in place.
    waits[:] = 0
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
    shown = cl.Buffer(context, flags, hostbuf=waits)
    # One queue a kernel: they have to run at the same time.
    queues, events = [], []
    for name, args in arguments.items():
        queue = cl.CommandQueue(context)
        events.append(cl.Kernel(program, name)(queue, (1,), (1,), *args, shown))
        queue.flush()
        queues.append(queue)
    if tick is not None:
        complete = cl.command_execution_status.COMPLETE
        while any(e.command_execution_status > complete for e in events):
            tick()
            time.sleep(0.05)
    for queue in queues:
        queue.finish()


@dataclass(frozen=True)
class Waits:
    """kernels: in the order in which a stopped text says for which channel each waits, by its
    number in ``channels``, from 1; 0 for none."""

    kernels: Sequence[str]
    channels: Sequence[Channel]

    def told(self, numbers: Sequence[int]) -> str:
        """Such as "conv reads empty channel operand (depth 64)"."""
        parts = []
        for kernel, number in zip(self.kernels, numbers, strict=True):
            if 0 < number <= len(self.channels):
                own = self.channels[number - 1]
                verb = "writes full" if own.writer == kernel else "reads empty"
                parts.append(f"{kernel} {verb} channel {own.name} (depth {own.depth})")
        return ", ".join(parts) or "no kernel waits on a channel"


def launch_scheduler(
    context: pyopencl.Context,
    program: pyopencl.Program,
    arguments: tuple[Any, ...],
    depths: Mapping[str, int],
    arena: int,
    where: str,
    tail: tuple[Any, ...] = (),
    waits: Waits | None = None,
) -> None:
    """Run the lowered text's scheduler: arguments, then FIFOs and status, then ``tail``.

    depths: words of each FIFO, in the text's order; arena: bytes of all of them; where: format of
    the two numbers with which a stop is reported; waits: what the status says behind the FIFOs.
    Raises CheckFailed where nothing can move any
    more and the stages are not done.
    """
    import pyopencl as cl

    fifos = room(context, arena)
    more = len(waits.kernels) if waits is not None else 0
    status = np.zeros(STATUS_WORDS + 2 * len(depths) + more, np.int32)
    status_buffer = room(context, status.nbytes)
    queue = cl.CommandQueue(context)
    kernel = cl.Kernel(program, "scheduler")
    kernel(queue, (1,), (1,), *arguments, fifos, status_buffer, *tail)
    cl.enqueue_copy(queue, status, status_buffer)
    queue.finish()
    if not status[0]:
        place = where.format(status[1], status[2])
        if waits is not None:
            place += f": {waits.told(status[-more:].tolist())}"
        raise CheckFailed(f"the kernels stopped in {place}; channels: {fifo_fills(depths, status)}")


def fifo_fills(depths: Mapping[str, int], status: NDArray[np.int32]) -> str:
    """Which FIFOs are full or empty where no stage can move."""
    parts = []
    for i, (name, depth) in enumerate(depths.items()):
        filled, written = (int(v) for v in status[STATUS_WORDS + 2 * i : STATUS_WORDS + 2 * i + 2])
        state = "full" if filled == depth else "empty" if filled == 0 else f"{filled} words"
        parts.append(f"{name} {state} after {written} words")
    return "; ".join(parts)
