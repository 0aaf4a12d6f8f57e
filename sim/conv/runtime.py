"""Builds a design's kernels for one device in this process and runs frames through them.

The text is the one that `aoc` compiles. These -D flags are all that emulation adds:

* ``SF_LOWERED``: one scheduler kernel over bounded FIFOs, for devices without channels;
* ``SF_DEPTH_<channel>``: deeper FIFOs (shallow ones are up to 200 times slower in emulation);
* ``SF_TRACE``: the controller also copies every stored map to global memory;
* ``SF_EMULATOR``: kernels that wait on a channel yield the processor and show it to the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.files import read_bytes
from shiftforge.generator.channel import EMULATION_DEPTH, LOWERED_DEPTH
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.folder import kernel_names
from shiftforge.generator.conv.image import pack_image
from shiftforge.generator.conv.manifest import DATA, ConvManifest, OutputLines
from shiftforge.sim.conv.layout import MapForm, direct_to_map, lines_to_map
from shiftforge.sim.opencl.build import device_text
from shiftforge.sim.opencl.devices import device_spec, open_device
from shiftforge.sim.opencl.launch import Waits, launch_channels, launch_scheduler
from shiftforge.sim.opencl.memory import fetch, filled, room
from shiftforge.sim.opencl.programs import kept_program

__all__ = ["Accelerator", "Outputs"]

FIFO_ALIGNMENT = 256
TYPE_BYTES = {"line_t": 1, "acc_word_t": 4}
ADDRESS_BYTES = 8
"""Of a line's place in global memory, with what aligns the line behind it."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """output: (N, C, H, W) codes of the network's first output; maps: of its others, and the
    stored maps, if traced."""

    output: NDArray[np.int64]
    maps: Mapping[str, NDArray[np.int64]]
    seconds: float


class Accelerator:
    """A design built for a device.

    folder: the design. forms: of the tensors, by name. device: name of an OpenCL device. trace:
    also return every stored map.
    depths: hardware depths instead of emulation's deep ones, where ``strict_depth`` is set.
    """

    def __init__(
        self,
        folder: Path,
        manifest: ConvManifest,
        forms: Mapping[str, MapForm],
        device: str,
        *,
        trace: bool = False,
        strict_depth: bool = False,
    ) -> None:
        import pyopencl as cl

        self.manifest, self.forms, self.trace = manifest, forms, trace
        self.device = open_device(device)
        self.lowered = device_spec(device).channels == "lowered"
        self.context = cl.Context([self.device])
        self.frames = manifest.frames
        self.depths = {
            c.name: self._depth(c.name, c.depth, strict_depth) for c in manifest.channels
        }
        started = time.perf_counter()
        text = folder / "device/accelerator.cl"
        source = device_text(text)
        self._built = kept_program(self.context, source, self._options(), str(text))
        self.program = self._built.program
        self.build_seconds = time.perf_counter() - started
        data = {n: read_bytes(folder / f"data/{n}.bin") for n in DATA}
        self.sizes = {name: len(content) for name, content in data.items()}
        self.constants = {
            name: filled(self.context, np.frombuffer(bytearray(content), np.uint8), constant=True)
            for name, content in data.items()
        }
        # Maps that have no room on chip.
        stored = power_of_two(self._line)
        self.away = room(self.context, max(1, manifest.memory_lines) * stored)
        self.waits = np.zeros(3 * len(self.depths), np.int32)

    def _depth(self, name: str, hardware: int, strict: bool) -> int:
        if strict:
            return hardware
        if not self.lowered:
            return max(hardware, EMULATION_DEPTH)
        # Small FIFOs stay in the processor's cache.
        return max(hardware, LOWERED_DEPTH if name in ("operand", "skip") else 64)

    def _options(self) -> list[str]:
        options = [f"-DSF_DEPTH_{name}={depth}" for name, depth in self.depths.items()]
        options.append("-DSF_LOWERED" if self.lowered else "-DSF_EMULATOR")
        if self.trace:
            options.append(f"-DSF_TRACE={self.manifest.trace_lines}")
        return options

    @property
    def _line(self) -> int:
        """Bytes of a line."""
        return self.manifest.units * self.manifest.pixels * self.frames

    def _word_bytes(self, channel_type: str) -> int:
        if channel_type in ("int", "uint"):
            return 4
        if channel_type == "store_word_t":
            return self._line + ADDRESS_BYTES
        if channel_type in TYPE_BYTES:
            return TYPE_BYTES[channel_type] * self._line
        if channel_type == "weight_word_t":
            return self.manifest.weight_bytes
        # param_word_t: the file tells its length
        own = self.manifest
        beats = own.head_beats + own.record_beats + own.channel_groups
        return self.sizes["params"] // beats

    def _arena(self) -> int:
        """Bytes of all FIFOs; each begins at a multiple of the largest word that has to."""
        types = {c.name: c.type for c in self.manifest.channels}
        sizes = (depth * self._word_bytes(types[name]) for name, depth in self.depths.items())
        return sum(-(-size // FIFO_ALIGNMENT) * FIFO_ALIGNMENT for size in sizes)

    def run(self, codes: NDArray[np.integer], tick: Callable[[], None] | None = None) -> Outputs:
        """Run (N, C, H, W) codes as one inference of N frames: one enqueue of each kernel.

        The frames go in batches of as many as are in flight; frames of zeros fill the last one and
        their results are dropped. Raises CheckFailed where the scheduler stops with words left in
        its FIFOs.
        """
        import pyopencl as cl

        image = pack_image(codes, self.manifest.layout)
        batches, all_outputs = len(image), self.manifest.outputs
        beats = sum(own.beats(self.frames) for own in all_outputs)
        result = np.zeros((batches, beats, self.manifest.output_bytes), np.uint8)
        trace_lines = self.manifest.trace_lines if self.trace else 1
        trace = np.zeros((batches, trace_lines, self._line), np.uint8)
        inputs = filled(self.context, image, constant=True)
        hosts: dict[str, NDArray[Any]] = {"output": result, "trace": trace}
        outputs = {name: room(self.context, host.nbytes) for name, host in hosts.items()}
        started = time.perf_counter()
        if self.lowered:
            self._run_lowered(inputs, outputs, batches)
        else:
            self._run_channels(inputs, outputs, batches, tick)
        seconds = time.perf_counter() - started
        queue = cl.CommandQueue(self.context)
        for name, host in hosts.items():
            fetch(queue, host, outputs[name])
        queue.finish()
        self._built.keep()
        maps = {name: own[: len(codes)] for name, own in self._maps(trace).items()}
        first, *others = (self._output(own, result)[: len(codes)] for own in all_outputs)
        maps |= {own.tensor: codes for own, codes in zip(all_outputs[1:], others, strict=True)}
        return Outputs(first, maps, seconds)

    @property
    def _kernels(self) -> tuple[str, ...]:
        """In the order in which a text that stops tells of them."""
        return kernel_names(bool(self.manifest.memory_lines))

    def _inputs(self, image: Any) -> tuple[Any, ...]:
        """What the lowered texts read, in the order of their arguments."""
        found = (image, *(self.constants[n] for n in DATA))
        return (*found, self.away) if self.manifest.memory_lines else found

    def _run_lowered(self, image: Any, out: Mapping[str, Any], batches: int) -> None:
        arena = self._arena()
        arguments = (*self._inputs(image), out["output"], out["trace"])
        channels = [replace(c, depth=self.depths[c.name]) for c in self.manifest.channels]
        where = f"{'frame' if self.frames == 1 else 'batch'} {{}}, step {{}}"
        launch_scheduler(
            self.context, self.program, arguments, self.depths, arena,
            where, (np.int32(batches),), Waits(self._kernels, channels),
        )  # fmt: skip

    def _run_channels(
        self, image: Any, out: Mapping[str, Any], batches: int, tick: Callable[[], None] | None
    ) -> None:
        c, n = self.constants, np.int32(batches)
        arguments: dict[str, tuple[Any, ...]] = {
            "loader": (image, n),
            "feeder": (c["weights"], c["rests"], n),
            "params": (c["params"], n),
            "controller": (out["trace"], n),
            "conv": (n,),
            "post": (out["output"], n),
        }
        if self.manifest.memory_lines:
            arguments["fetch"] = arguments["store"] = (self.away, n)
        launch_channels(self.context, self.program, arguments, self.waits, tick)

    def _output(self, out: OutputLines, result: NDArray[np.uint8]) -> NDArray[np.int64]:
        at, found = out.first, []
        for rows in out.strips:
            shape = (out.shape[0], rows, out.shape[2])
            size = out.beats(self.frames) * rows // sum(out.strips)
            found.append(self._strip(out, result[:, at : at + size], shape))
            at += size
        return np.concatenate(found, axis=2)

    def _strip(
        self, out: OutputLines, result: NDArray[np.uint8], shape: tuple[int, int, int]
    ) -> NDArray[np.int64]:
        units, pixels = self.manifest.units, self.manifest.pixels
        if out.direct:
            values = np.ascontiguousarray(result).view(np.int32)[:, :, :units]
            return direct_to_map(values, shape, units, pixels, self.frames)
        return self._map(result[:, :, : self._line], MapForm(shape, out.signed))

    def _map(self, lines: NDArray[np.uint8], form: MapForm) -> NDArray[np.int64]:
        units, pixels = self.manifest.units, self.manifest.pixels
        return lines_to_map(np.ascontiguousarray(lines), form, units, pixels, self.frames)

    def _maps(self, trace: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
        if not self.trace:
            return {}
        parts: dict[str, list[NDArray[np.int64]]] = {}
        for entry in sorted(self.manifest.trace, key=lambda own: own.first):
            lines = trace[:, entry.base : entry.base + entry.lines]
            form = self.forms[entry.tensor]
            channels, _, columns = form.shape
            strip = replace(form, shape=(channels, entry.rows, columns))
            parts.setdefault(entry.tensor, []).append(self._map(lines, strip))
        return {name: np.concatenate(rows, axis=2) for name, rows in parts.items()}
