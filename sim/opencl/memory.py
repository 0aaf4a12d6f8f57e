"""Device memory. OpenCL has no buffer of 0 bytes: one for nothing holds a word nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyopencl

__all__ = ["fetch", "filled", "room"]

_LEAST = 64
"""The largest word of a kernel's: what a pointer to nothing points to."""


def room(context: pyopencl.Context, size: int) -> pyopencl.Buffer:
    """Memory of so many bytes that kernels read and write."""
    import pyopencl as cl

    return cl.Buffer(context, cl.mem_flags.READ_WRITE, max(int(size), _LEAST))


def filled(
    context: pyopencl.Context, array: NDArray[Any], *, constant: bool = False
) -> pyopencl.Buffer:
    """Memory with an array's bytes; constant: kernels only read it."""
    import pyopencl as cl

    flags = cl.mem_flags
    data = np.ascontiguousarray(array) if array.nbytes else np.zeros(_LEAST, np.uint8)
    access = flags.READ_ONLY if constant else flags.READ_WRITE
    return cl.Buffer(context, access | flags.COPY_HOST_PTR, hostbuf=data)


def fetch(queue: pyopencl.CommandQueue, array: NDArray[Any], buffer: pyopencl.Buffer) -> None:
    """Memory into an array of the host's."""
    import pyopencl as cl

    if array.nbytes:
        cl.enqueue_copy(queue, array, buffer)
