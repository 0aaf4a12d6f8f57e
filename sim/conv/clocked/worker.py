"""The child's part of a clocked run: builds the text with simulated time, reads what it counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.array import power_of_two
from shiftforge.generator.conv.latencies import Latencies
from shiftforge.generator.conv.manifest import ConvManifest
from shiftforge.sim.conv.clocked.run import MEMORY, ClockedOutputs, ClockedRun, Span, stream_kernels
from shiftforge.sim.conv.layout import MapForm
from shiftforge.sim.conv.runtime import Accelerator
from shiftforge.sim.conv.worker import open_folder
from shiftforge.sim.opencl.launch import STATUS_WORDS, Waits
from shiftforge.sim.opencl.memory import fetch, room

__all__ = ["ClockedJob", "run_job"]

# Kernels in the order of their spans, after those without layers.
_LAYERED = ("controller", "conv", "post")
# Words that a delay line and a channel's own latency may hold beside the channel's depth.
_SPARE = 64
# Cycles without any movement after which nothing moves any more, beside all latencies.
_PATIENCE = 4096


@dataclass(frozen=True, eq=False)
class ClockedJob:
    """codes: (N, C, H, W), every frame of the run, in batches of those in flight. bytes_per_cycle:
    of global memory."""

    folder: Path
    device: str
    codes: NDArray[Any]
    latencies: Latencies
    bytes_per_cycle: float
    check: bool


class ClockedAccelerator(Accelerator):
    """A design built with simulated time."""

    def __init__(
        self, job: ClockedJob, manifest: ConvManifest,
        forms: Mapping[str, MapForm],
    ) -> None:  # fmt: skip
        self.job = job
        self.counted: ClockedRun | None = None
        super().__init__(job.folder, manifest, forms, job.device, trace=job.check)

    def _depth(self, name: str, hardware: int, strict: bool) -> int:
        longest = max(self.job.latencies.to_dict().values()) + self.job.latencies.global_load
        return power_of_two(hardware + longest + _SPARE)

    def _options(self) -> list[str]:
        return [*super()._options(), "-DSF_CLOCKED"]

    def _run_lowered(self, image: Any, out: Mapping[str, Any], batches: int) -> None:
        frames = batches  # as the run has them: what is in flight at once
        import pyopencl as cl

        context, manifest, job = self.context, self.manifest, self.job
        names = [c.name for c in manifest.channels]
        latencies = job.latencies.to_dict()
        patience = _PATIENCE + 8 * sum(latencies.values())
        numbers = np.array(
            [*latencies.values(), round(job.bytes_per_cycle * 256), patience], np.int32
        )
        layers = manifest.steps
        passes = {"controller": frames * manifest.passes, "conv": frames * layers + 1,
                  "post": frames * layers}  # fmt: skip
        width = len(names) + 5
        streams = stream_kernels(bool(manifest.memory_lines))
        rows = len(streams) * frames + sum(passes.values()) + 3
        spans, ends = (
            np.zeros((rows, width), np.int64),
            np.zeros(frames * (layers + 1) + 1, np.int64),
        )
        status = np.zeros(STATUS_WORDS + 4 * len(names) + 3, np.int32)
        arena = self._arena()
        copy = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        held = [cl.Buffer(context, copy, hostbuf=a) for a in (spans, ends, status, numbers)]
        queue = cl.CommandQueue(context)
        cl.Kernel(self.program, "clocked")(
            queue, (1,), (1,),
            *self._inputs(image), out["output"], out["trace"], room(context, arena), *held[2:],
            room(context, 16 * sum(self.depths.values())), held[0], held[1], np.int32(frames),
        )  # fmt: skip
        for host, buffer in ((spans, held[0]), (ends, held[1]), (status, held[2])):
            fetch(queue, host, buffer)
        queue.finish()
        high, deep = status[STATUS_WORDS + 2 * len(names) + 3 :].reshape(2, -1).tolist()
        # The text's own: it may have been edited.
        channels = [replace(c, depth=d) for c, d in zip(manifest.channels, deep, strict=True)]
        if not status[0]:
            raise CheckFailed(_stopped(status, channels))
        self.counted = ClockedRun(
            spans=_spans(spans, passes, frames, manifest, names),
            layer_ends=ends[: frames * layers].reshape(frames, layers),
            first=0,
            frame_starts=ends[frames * layers : -1],
            traffic=int(ends[-1]) // frames,
            high_water=dict(zip(names, high, strict=True)),
            depths=dict(zip(names, deep, strict=True)),
        )


def _spans(
    raw: NDArray[np.int64], passes: Mapping[str, int], frames: int, manifest: ConvManifest,
    names: list[str],
) -> tuple[Span, ...]:  # fmt: skip
    found, at = [], 0
    extra = manifest.passes - manifest.steps
    for kernel in stream_kernels(bool(manifest.memory_lines)):
        for frame in range(frames):
            found.append(_span(raw[at], frame, 0, kernel, names))
            at += 1
    for kernel in _LAYERED:
        for i in range(passes[kernel]):
            if kernel == "controller":
                frame, own = divmod(i, manifest.passes)
                layer = max(0, own - extra)
            elif kernel == "conv":
                # Its first invocation only reads weights.
                frame, layer = divmod(max(0, i - 1), manifest.steps)
            else:
                frame, layer = divmod(i, manifest.steps)
            found.append(_span(raw[at], frame, layer, kernel, names))
            at += 1
    return tuple(found)


def _span(row: NDArray[np.int64], frame: int, layer: int, kernel: str, names: list[str]) -> Span:
    waits = dict(zip([*names, MEMORY], row[4:].tolist(), strict=True))
    stalled = {name: cycles for name, cycles in waits.items() if cycles}
    return Span(frame, layer, kernel, int(row[0]), int(row[1]), int(row[2]), stalled)


def _stopped(status: NDArray[np.int32], channels: Sequence[Channel]) -> str:
    """Who waits for what where nothing moves any more."""
    first = STATUS_WORDS + 2 * len(channels)
    counts = status[STATUS_WORDS:first].reshape(-1, 2).tolist()
    told = Waits(_LAYERED, channels).told(status[first : first + len(_LAYERED)].tolist())
    held = "; ".join(
        f"{c.name} {fill} of {c.depth} after {words} words"
        for c, (fill, words) in zip(channels, counts, strict=True)
    )
    return f"the kernels stopped in frame {status[1]}, step {status[2]}: {told}; channels: {held}"


def run_job(job: ClockedJob) -> tuple[ClockedOutputs, ClockedRun]:
    """Run a job's frames, all in one run. Raises InputError for codes outside the input's grid."""
    manifest, forms = open_folder(job.folder, job.codes)
    accelerator = ClockedAccelerator(job, manifest, forms)
    found = accelerator.run(job.codes)
    assert accelerator.counted is not None
    platform = accelerator.device.platform
    told = f"{platform.name}, {platform.version.strip()}"
    output = found.output.reshape(len(job.codes), -1).astype(np.int32)
    return ClockedOutputs(output, found.maps, told), accelerator.counted
