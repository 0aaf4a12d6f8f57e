"""What the manifest of a convolution project tells its runtime, with types and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from annotated_types import Ge, Le

from shiftforge.errors import InputError, Problem
from shiftforge.fields import read_fields
from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.manifest import MANIFEST
from shiftforge.generator.project import AGAIN
from shiftforge.quant.graph.types import QuantizedModel

__all__ = [
    "DATA",
    "ConvManifest",
    "OutputLines",
    "StoredMap",
    "check_model",
    "read_conv_manifest",
]

DATA = ("weights", "rests", "params")
"""Names of the files data/*.bin."""
_DEEPEST = 1 << 20
Side: TypeAlias = Annotated[int, Ge(1), Le(1 << 16)]
Count: TypeAlias = Annotated[int, Ge(1), Le(1 << 26)]
Lines: TypeAlias = Annotated[int, Ge(0), Le(1 << 26)]


@dataclass(frozen=True)
class OutputLines:
    """The network's output. direct: 32-bit results, a beat a pixel of each of ``groups``
    channel groups, else ``lines`` lines. shape: (C, H, W). strips: rows of each step that makes
    them, which come one after the other. first: beats of a batch before its own."""

    tensor: str
    shape: tuple[Side, Side, Side]
    signed: bool
    direct: bool
    groups: Count
    tiles: Count
    lines: Lines
    strips: tuple[Side, ...]
    first: Lines

    def beats(self, frames: int) -> int:
        """Of a batch of so many frames."""
        whole = self.groups * self.shape[1] * self.shape[2] * frames
        return whole if self.direct else self.lines


@dataclass(frozen=True)
class StoredMap:
    """Rows [first, first + rows) of a tensor in the trace: ``lines`` lines from ``base``."""

    tensor: str
    first: Lines
    rows: Side
    base: Lines
    lines: Lines


@dataclass(frozen=True)
class ConvManifest:
    """units x pixels x frames: the array, and what a line holds. image: (C, H, W), laid out as
    ``layout``. weight_bytes: of a weight word in its channel. output_bytes: of a beat of results.

    steps: of the kernels a frame; passes: of the controller, which may store the image first.
    frame_words, channel_groups: weight words and parameter records of a frame. head_beats:
    of the parameters' file, that are read once; record_beats: of a batch, that bring the kernels'
    records. memory_lines: of the maps in global memory.
    """

    units: Annotated[int, Ge(1), Le(4096)]
    pixels: Annotated[int, Ge(1), Le(4096)]
    frames: Annotated[int, Ge(1), Le(64)]
    weight_bytes: Annotated[int, Ge(1), Le(4096)]
    output_bytes: Annotated[int, Ge(1), Le(1 << 16)]
    image: tuple[Side, Side, Side]
    layout: ImageLayout
    output: OutputLines
    more_outputs: tuple[OutputLines, ...]
    steps: Count
    passes: Count
    frame_words: Count
    channel_groups: Count
    head_beats: Count
    record_beats: Count
    memory_lines: Lines
    trace_lines: Lines
    trace: tuple[StoredMap, ...]
    channels: tuple[Channel, ...]

    @property
    def outputs(self) -> tuple[OutputLines, ...]:
        """All of the network, in its order."""
        return (self.output, *self.more_outputs)


def read_conv_manifest(folder: Path, manifest: Mapping[str, Any]) -> ConvManifest:
    """The typed part of a folder's manifest. Raises InputError with every field that is wrong."""
    where = str(folder / MANIFEST)
    found = read_fields(ConvManifest, manifest, where, AGAIN)
    odd = [c for c in found.channels if not c.name.isidentifier() or not 0 < c.depth <= _DEEPEST]
    if odd:
        what = f"channels of no name or depth: {', '.join(f'{c.name!r} {c.depth}' for c in odd)}"
        raise InputError(Problem(what, AGAIN, where))
    if any(own.base + own.lines > found.trace_lines for own in found.trace):
        what = f"a map lies beyond the trace's {found.trace_lines} lines"
        raise InputError(Problem(what, AGAIN, where))
    return found


def check_model(folder: Path, manifest: ConvManifest, model: QuantizedModel) -> None:
    """Raise InputError unless the manifest and the model of a folder are of one network."""
    outputs = [model.tensors[name] for name in model.outputs]
    shape = model.tensors[model.input].shape
    stored = {own.tensor for own in manifest.trace}
    pairs = {
        "image": (manifest.image, shape),
        "output": (
            [(own.tensor, own.shape, own.signed) for own in manifest.outputs],
            [(own.name, own.shape, own.grid.signed) for own in outputs],
        ),
        "trace": (sorted(stored - set(model.tensors)), []),
    }
    problems = [
        Problem(f"{name}: {told} in the manifest, {held} in the model", AGAIN, str(folder))
        for name, (told, held) in pairs.items()
        if told != held
    ]
    if problems:
        raise InputError(problems)
