"""Goldens of a suite: outputs in full, and of every stage a digest for each of its channels.

So a difference is told by its value where the network ends, and by the layer and channels where it
begins, for some kilobytes of a file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.files import read_bytes
from shiftforge.sim.ci.suite import RENEW
from shiftforge.sim.results import Run
from shiftforge.sim.trace import Stage, Trace
from shiftforge.sim.trace import compare as compare_traces

__all__ = ["Goldens", "difference", "goldens_bytes", "goldens_of", "read_goldens", "stage_key"]

_DESIGN, _OUTPUT, _DIGEST = "design", "output/", "digest/"
_MOST = 256 << 20
_MOST_NAMES = 100_000
_SHOWN = 6
# The axis along which an output channel of a layer lies.
_CHANNELS = ("channel", "column")


@dataclass(frozen=True, eq=False)
class Goldens:
    """design: digest of the design that they are of. outputs: int64, by stage (``stage_key``).
    digests: uint64, one for each channel of a stage, in the order of computation."""

    design: str
    outputs: Mapping[str, NDArray[np.int64]]
    digests: Mapping[str, NDArray[np.uint64]]


def stage_key(stage: Stage) -> str:
    """Sample, layer and name of a stage as a text."""
    return "|".join("" if part is None else str(part) for part in stage.key)


def goldens_of(design: str, every: Run, outputs: Run) -> Goldens:
    """Goldens of the same samples in two runs of the reference: every stage, and outputs alone."""
    return Goldens(
        design,
        {stage_key(s): np.asarray(s.read()).astype(np.int64) for s in outputs.trace},
        {stage_key(s): _digests(s) for s in every.trace},
    )


def _channel_axis(stage: Stage) -> int | None:
    return next((i for i, name in enumerate(stage.axes) if name in _CHANNELS), None)


def _digests(stage: Stage) -> NDArray[np.uint64]:
    """8 bytes of BLAKE2 of the values of each channel, of the whole stage where it has none."""
    values = np.asarray(stage.read()).astype("<i8")
    axis = _channel_axis(stage)
    parts = values[None] if axis is None else np.moveaxis(values, axis, 0)
    head = repr(parts.shape[1:]).encode()
    found = [
        hashlib.blake2b(head + np.ascontiguousarray(part).tobytes(), digest_size=8).digest()
        for part in parts
    ]
    return np.array([int.from_bytes(own, "little") for own in found], dtype=np.uint64)


def goldens_bytes(goldens: Goldens) -> bytes:
    """The .npz file; equal for equal goldens."""
    arrays: dict[str, NDArray[Any]] = {_DESIGN: np.array(goldens.design)}
    arrays |= {_OUTPUT + key: values for key, values in goldens.outputs.items()}
    arrays |= {_DIGEST + key: values for key, values in goldens.digests.items()}
    held = io.BytesIO()
    np.savez_compressed(held, allow_pickle=False, **arrays)
    return held.getvalue()


def read_goldens(path: Path) -> Goldens:
    """The goldens of a file. Raises InputError for what is none, and before much is unpacked."""
    data = read_bytes(path, most=_MOST, remedy=RENEW)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = [own.file_size for own in archive.infolist()]
        if len(sizes) > _MOST_NAMES or sum(sizes) > _MOST:
            raise ValueError("more than goldens take")
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        design = arrays.pop(_DESIGN)
        if design.shape or design.dtype.kind != "U":
            raise ValueError("names no design")
        return Goldens(
            str(design), _part(arrays, _OUTPUT, np.int64), _part(arrays, _DIGEST, np.uint64)
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, OverflowError,
            NotImplementedError, RuntimeError, SyntaxError, zipfile.BadZipFile,
            zlib.error) as error:  # fmt: skip
        what = f"cannot be read: {str(error)[:200] or type(error).__name__}"
        raise InputError(Problem(what, RENEW, str(path))) from error


def _part(
    arrays: Mapping[str, NDArray[Any]], begin: str, kind: type[np.generic]
) -> dict[str, NDArray[Any]]:
    found = {
        name.removeprefix(begin): own for name, own in arrays.items() if name.startswith(begin)
    }
    if not found or any(own.dtype != kind for own in found.values()):
        raise ValueError(f"no arrays {begin}... of the type {np.dtype(kind)}")
    return found


def difference(goldens: Goldens, run: Run, *, whole: bool = False) -> str:
    """What differs from the goldens, in words; empty where nothing does.

    The first output value that differs, and the first layer, with its channels. run: with every
    stage that it has, of the first samples or all. whole: it has to have every stage.
    Raises CheckFailed where there is no output to compare.
    """
    stages = {stage_key(stage): stage for stage in run.trace}
    if whole and (gone := [key for key in goldens.digests if key not in stages]):
        told = ", ".join(key.rpartition("|")[2] for key in gone[:_SHOWN])
        return f"the network has no stage {told} any more ({len(gone):,} of them)"
    found = _outputs(goldens, stages)
    layer = next((text for text in _layers(goldens, run.trace)), "")
    if found and layer:
        return f"{found}; it begins in {layer}"
    return found or layer


def _outputs(goldens: Goldens, stages: Mapping[str, Stage]) -> str:
    """The first value of an output that differs."""
    want, got = [], []
    for key, values in goldens.outputs.items():
        if key in stages:
            want.append(replace(stages[key], read=partial(np.asarray, values)))
            got.append(stages[key])
    if not want:
        raise CheckFailed("nothing was compared: the goldens are of other samples or stages")
    found = compare_traces(want, got).differences
    return str(found[0]) if found else ""


def _layers(goldens: Goldens, trace: Trace) -> Iterator[str]:
    """Stages whose digests differ, in words, in the order of computation."""
    for stage in trace:
        want = goldens.digests.get(stage_key(stage))
        if want is None:
            continue
        got = _digests(stage)
        where = stage.label or stage.name
        if got.shape != want.shape:
            yield f"{where}: {len(got):,} channels, the golden has {len(want):,}"
        elif (apart := np.flatnonzero(got != want)).size:
            yield f"{where}{_channels(stage, got, want, apart)}"


def _channels(
    stage: Stage,
    got: NDArray[np.uint64],
    want: NDArray[np.uint64],
    apart: NDArray[np.int64],
) -> str:
    axis = _channel_axis(stage)
    if axis is None:
        return ""
    shown = ", ".join(map(str, apart[:_SHOWN]))
    more = f" and {len(apart) - _SHOWN:,} more" if len(apart) > _SHOWN else ""
    plural = "s" if len(apart) > 1 else ""
    swapped = len(apart) > 1 and sorted(got[apart]) == sorted(want[apart])
    note = " (the same values in another order: swapped)" if swapped else ""
    return f", {stage.axes[axis]}{plural} {shown}{more}{note}"
