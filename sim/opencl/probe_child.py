"""The child of ``probe``: builds and runs the probe's kernel on a device, compares its numbers.

Usage: ``python -m shiftforge.sim.opencl.probe_child DEVICE``; one JSON line on stdout.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, ToolFailed
from shiftforge.sim.opencl.build import build_program
from shiftforge.sim.opencl.child import end_with_parent
from shiftforge.sim.opencl.devices import device_spec, open_device

if TYPE_CHECKING:
    import pyopencl

__all__ = ["check_probe", "main"]

_WORDS = 64


def check_probe(name: str) -> str:
    """Build and run the probe's kernel here; returns what the device calls itself.

    Raises InputError where the device is not installed, ToolFailed where it does not build or its
    numbers are wrong.
    """
    device = open_device(name)
    import pyopencl as cl

    context = cl.Context([device])
    text = resources.files("shiftforge.kernels").joinpath("probe.cl").read_text(encoding="utf-8")
    lowered = device_spec(name).channels == "lowered"
    program = build_program(context, text, [] if lowered else ["-DPROBE_CHANNELS"])
    data = np.random.default_rng(1).integers(0, 256, (2, _WORDS, 8), dtype=np.uint8)
    wide, narrow = _run(context, program, data, lowered)
    want_wide, want_narrow = _expected(data)
    _check("wide", wide, want_wide)
    _check("narrow", narrow, want_narrow)
    platform = device.platform
    return f"{platform.name}, {platform.version.strip()}, {device.name.strip()}"


def _check(what: str, got: NDArray[Any], want: NDArray[Any]) -> None:
    if not np.array_equal(got, want):
        at = tuple(int(i) for i in np.argwhere(got != want)[0])
        raise ToolFailed(
            f"it computes wrong numbers: {what}{list(at)} is {got[at]}, expected {want[at]}"
        )


def _run(
    context: pyopencl.Context, program: pyopencl.Program, data: NDArray[np.uint8], lowered: bool
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    import pyopencl as cl

    flags = cl.mem_flags
    source = cl.Buffer(context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=data)
    wide, narrow = np.zeros((_WORDS, 8), np.int32), np.zeros((_WORDS, 8), np.uint8)
    results = [cl.Buffer(context, flags.READ_WRITE, array.nbytes) for array in (wide, narrow)]
    queue = cl.CommandQueue(context)
    if lowered:
        cl.Kernel(program, "probe")(queue, (1,), (1,), source, *results)
    else:
        sender = cl.CommandQueue(context)
        cl.Kernel(program, "probe_send")(sender, (1,), (1,), source)
        sender.flush()
        cl.Kernel(program, "probe_take")(queue, (1,), (1,), *results)
        queue.finish()
        sender.finish()
    hosts: list[NDArray[Any]] = [wide, narrow]
    for array, buffer in zip(hosts, results, strict=True):
        cl.enqueue_copy(queue, array, buffer)
    queue.finish()
    return wide, narrow


def _expected(data: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The kernel's numbers from the formula in its header."""
    weights = data[1].view(np.int8).astype(np.int64)
    terms = data[0].astype(np.int64) << (weights & 7)
    # The terms of 255 << 7 pass 16 bits, in which the kernel holds them.
    terms = terms.astype(np.int16).astype(np.int64)
    negated = (-terms).astype(np.int16).astype(np.int64)
    sums = np.cumsum(np.where(weights < 0, negated, terms), axis=0)
    scaled = sums * 1_000_003
    low, floor = scaled & 127, scaled >> 7
    rounded = floor + ((low > 64) | ((low == 64) & (floor % 2 != 0)))
    wide = rounded.astype(np.int32)
    return wide, (np.clip(wide, -128, 127) & 255).astype(np.uint8)


def main() -> None:
    """The child: one JSON line, then out without the runtimes' exit handlers, which can abort."""
    # Runtimes print to the standard output: keep the answer apart from that.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer: dict[str, Any]
    warnings.filterwarnings("ignore")
    end_with_parent()
    try:
        detail = check_probe(sys.argv[1])
        answer = {"found": True, "usable": True, "detail": detail, "remedy": ""}
    except InputError as error:
        problem = error.problems[0]
        detail, remedy = problem.what, problem.remedy
        answer = {"found": False, "usable": False, "detail": detail, "remedy": remedy}
    except Exception as error:  # whatever a runtime raises is the reason that is told
        text = str(error) if isinstance(error, ToolFailed) else f"{type(error).__name__}: {error}"
        # The first error is the reason; what a compiler says after it is for its own user.
        detail = ": ".join(text.splitlines()[:2])
        answer = {"found": True, "usable": False, "detail": detail, "remedy": ""}
    answers.write("\n" + json.dumps(answer) + "\n")
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
