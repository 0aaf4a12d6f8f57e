"""Runs a generated project on an OpenCL device and holds every result against the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shiftforge.quant.graph.types import QuantizedModel
    from shiftforge.sim.compare import Divergence

__all__ = ["EmulationReport", "Progress", "codes_of", "emulate_codes", "golden_frames", "top1"]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

# Traces of one batch of a checked run are kept in memory twice: the device's and the reference's.
_TRACE_BYTES = 512 << 20
_GOLDEN_FRAMES = 16


@dataclass(frozen=True, eq=False)
class EmulationReport:
    """What one run gave, beside the reference.

    channels: "intel" (real channels) or "lowered" (stages stepped by one scheduler kernel).
    checked: "every layer" or "output". elements: integers that were compared; mismatches: those
    that differ. top1: share of labelled samples whose label has the largest output, None without
    labels; reference_top1: the same of the reference. outputs: int32 (N, K).
    seconds_per_sample: on the device, host transfers included.
    """

    device: str
    platform: str
    channels: str
    samples: int
    checked: str
    elements: int
    mismatches: int
    top1: float | None
    reference_top1: float | None
    seconds_per_sample: float
    divergence: Divergence | None
    outputs: NDArray[np.int32]

    @property
    def bit_exact(self) -> bool:
        """Whether every compared integer equals the reference's."""
        return self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form; outputs are reduced to each sample's largest class."""
        return {
            "device": self.device,
            "platform": self.platform,
            "channels": self.channels,
            "samples": self.samples,
            "checked": self.checked,
            "elements": self.elements,
            "mismatches": self.mismatches,
            "bit_exact": self.bit_exact,
            "top1": self.top1,
            "reference_top1": self.reference_top1,
            "seconds_per_sample": self.seconds_per_sample,
            "divergence": self.divergence.to_dict() if self.divergence else None,
            "predictions": self.outputs.argmax(axis=1).tolist(),
        }


def codes_of(model: QuantizedModel, images: NDArray[np.uint8]) -> NDArray[Any]:
    """Input codes (N, C, H, W) of frames uint8 (N, H, W, C)."""
    from shiftforge.quant.data.inputs import to_codes

    return to_codes(images, model.preprocess, model.tensors[model.input].grid)


def top1(outputs: NDArray[Any], labels: NDArray[np.int64] | None) -> float | None:
    """Share of rows of outputs (N, K) whose first largest element is at the label."""
    if labels is None:
        return None
    return float(np.mean(outputs.argmax(axis=1) == labels))


def golden_frames(
    model: QuantizedModel, codes: NDArray[Any], progress: Progress | None = None
) -> Iterator[tuple[slice, dict[str, NDArray[Any]]]]:
    """Every tensor of the reference, a few frames at a time, with the slice of frames it is for."""
    from shiftforge.sim.golden.conv.network import run_golden

    for start in range(0, len(codes), _GOLDEN_FRAMES):
        frames = slice(start, min(start + _GOLDEN_FRAMES, len(codes)))
        yield frames, run_golden(model, codes[frames])
        if progress is not None:
            progress("reference", frames.stop, len(codes))


def emulate_codes(
    folder: Path,
    model: QuantizedModel,
    device: str,
    codes: NDArray[Any],
    labels: NDArray[np.int64] | None = None,
    *,
    check: bool = False,
    time_limit_s: float = 600.0,
    progress: Progress | None = None,
) -> EmulationReport:
    """Run codes (N, C, H, W) through a generated project on a device and compare with golden.

    check: compare every layer's map (the controller's trace), not the output alone.
    time_limit_s: for the device's part of each batch. Raises InputError for an unknown or missing
    device and a folder that cannot be run, CheckFailed for a run that hangs.
    """
    from shiftforge.sim.conv.emulate import emulate

    batch = _frames_at_once(model) if check else len(codes)
    outputs: list[NDArray[np.int32]] = []
    reference: list[NDArray[Any]] = []
    platform = channels = ""
    seconds, elements, mismatches = 0.0, 0, 0
    first: Divergence | None = None
    for start in range(0, len(codes), batch):
        part = codes[start : start + batch]
        result = emulate(
            folder, device, part, check=check, time_limit_s=time_limit_s, progress=progress
        )
        platform, channels = result.platform, result.channels
        seconds += result.seconds_per_sample * len(part)
        outputs.append(result.outputs)
        for frames, golden in golden_frames(model, part, progress):
            reference.append(golden[model.output].reshape(frames.stop - frames.start, -1))
            seen: dict[str, NDArray[Any]] = {
                name: trace[frames] for name, trace in (result.traces or {}).items()
            }
            seen[model.output] = result.outputs[frames].reshape(golden[model.output].shape)
            counted, differing, found = _compare(model, golden, seen, start + frames.start)
            elements += counted
            mismatches += differing
            first = first or found
    together = np.concatenate(outputs)
    return EmulationReport(
        device=device,
        platform=platform,
        channels=str(channels),
        samples=len(codes),
        checked="every layer" if check else "output",
        elements=elements,
        mismatches=mismatches,
        top1=top1(together, labels),
        reference_top1=top1(np.concatenate(reference), labels),
        seconds_per_sample=seconds / len(codes),
        divergence=first,
        outputs=together,
    )


def _frames_at_once(model: QuantizedModel) -> int:
    a_frame = sum(t.channels * t.height * t.width * 2 for t in model.tensors.values())
    return max(1, _TRACE_BYTES // (2 * a_frame))


def _compare(
    model: QuantizedModel,
    golden: Mapping[str, NDArray[Any]],
    seen: Mapping[str, NDArray[Any]],
    first_frame: int,
) -> tuple[int, int, Divergence | None]:
    """(elements compared, elements that differ, the first of them) over the maps that were seen."""
    from dataclasses import replace

    from shiftforge.sim.compare import first_divergence, tensor_order

    elements = sum(array.size for array in seen.values())
    differing = sum(int(np.count_nonzero(golden[name] != seen[name])) for name in seen)
    if not differing:
        return elements, 0, None
    order = [name for name in tensor_order(model) if name in seen]
    found = first_divergence(golden, seen, order, model=model)
    if found is not None:
        found = replace(found, frame=found.frame + first_frame)
    return elements, differing, found
