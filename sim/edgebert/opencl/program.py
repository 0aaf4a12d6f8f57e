"""The EdgeBERT unit's kernels built for an OpenCL device, running programs of commands.

A whole program is one launch: the kernels go over its commands by themselves, and a command's
operands are fetched after store has said that the results of the command before lie in memory
(a fence and a word on a channel). The text and the definitions added to it for a device are those
of the convolution accelerator (see ``runtime.py``), and so is the watch over hanging kernels.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.channel import EMULATION_DEPTH, LOWERED_DEPTH
from shiftforge.generator.edgebert.kernel_memory import Image
from shiftforge.generator.edgebert.kernels import channel_bytes, render_edgebert, unit_channels
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.opencl.devices import device_spec, open_device
from shiftforge.sim.opencl.launch import launch_channels, launch_scheduler
from shiftforge.sim.opencl.memory import fetch, filled
from shiftforge.sim.opencl.programs import kept_program
from shiftforge.sim.opencl.watch import Watch

__all__ = ["UnitProgram"]


class UnitProgram:
    """A unit built for a device; without special functions the matrix part alone.

    text: the device text, if it is not to be the rendered one. strict_depth: channels as deep as
    in hardware. stall_s: where no word moves on the emulator's channels for this long, the kernels
    count as hung; they cannot be stopped, so that the process is of no use for OpenCL after that.
    """

    def __init__(
        self,
        design: UnitDesign,
        device: str,
        *,
        text: str | None = None,
        strict_depth: bool = False,
        stall_s: float = 20.0,
    ) -> None:
        import pyopencl as cl

        self.sfu, self.stall_s = design.sfu, stall_s
        self.lowered = device_spec(device).channels == "lowered"
        self.context = cl.Context([open_device(device)])
        deep = LOWERED_DEPTH if self.lowered else EMULATION_DEPTH
        self.channels = unit_channels(design)
        self.depths = {
            c.name: c.depth if strict_depth or c.type == "int" else max(c.depth, deep)
            for c in self.channels
        }
        config = design.config
        self.arena = sum(self.depths[c.name] * channel_bytes(config, c) for c in self.channels)
        options = [f"-DSF_DEPTH_{name}={depth}" for name, depth in self.depths.items()]
        options.append("-DSF_LOWERED" if self.lowered else "-DSF_EMULATOR")
        if design.sfu is not None:
            options.append("-DSF_TRACE")
        started = time.perf_counter()
        source = render_edgebert(design) if text is None else text
        self._built = kept_program(self.context, source, options)
        self.program = self._built.program
        self.build_seconds = time.perf_counter() - started
        self.waits = np.zeros(3 * len(self.channels), np.int32)

    def run(self, image: Image) -> float:
        """Run a frozen image's program; its arrays are the results. Returns the kernels' seconds.

        Raises CheckFailed where the kernels stop or hang before they are done.
        """
        import pyopencl as cl

        def copied(array: NDArray[Any], constant: bool = False) -> Any:
            return filled(self.context, array, constant=constant)

        program = (copied(image.program, True), np.int32(len(image.program)))
        tensors = tuple(copied(x) for x in (image.masks, image.values, image.beats))
        post = (copied(image.shift, True), copied(image.bias, True))
        fixed = copied(image.fixed)
        special: tuple[Any, ...] = ()
        trace: tuple[Any, ...] = ()
        if self.sfu is not None:
            special = (copied(image.tables, True), copied(image.outcomes))
            trace = (copied(image.traced),)
        started = time.perf_counter()
        if self.lowered:
            launch_scheduler(
                self.context, self.program, (*program, *tensors, *post, fixed, *special),
                self.depths, self.arena, "command {}, row tile {}", trace,
            )  # fmt: skip
        else:
            arguments = {
                "fetch_a": (*program, *tensors), "fetch_b": (*program, *tensors), "vmac": program,
                "post": (*program, *post), "store": (*program, *tensors, fixed),
            }  # fmt: skip
            if self.sfu is not None:
                arguments["sfu"] = (*program, *special, *trace)
            watch = Watch(self.channels, self.waits, self.stall_s)
            launch_channels(self.context, self.program, arguments, self.waits, watch)
        seconds = time.perf_counter() - started
        hosts: list[NDArray[Any]] = [image.masks, image.values, image.beats, image.fixed]
        buffers = [*tensors, fixed]
        if self.sfu is not None:
            hosts += [image.outcomes, image.traced]
            buffers += [special[1], *trace]
        queue = cl.CommandQueue(self.context)
        for host, buffer in zip(hosts, buffers, strict=True):
            fetch(queue, host, buffer)
        queue.finish()
        self._built.keep()
        return seconds
