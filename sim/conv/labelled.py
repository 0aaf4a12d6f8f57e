"""Labelled pictures as samples of a convolution project, without those that calibrated it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.data.inputs import Frames
from shiftforge.quant.data.labelled_input import frame_digests, load_labelled
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.sim.conv.frames import FrameOptions, FrameSamples
from shiftforge.sim.evaluation import Labelled

__all__ = ["labelled_frames"]


def labelled_frames(
    model: QuantizedModel, spec: Any, limit: int | None, options: FrameOptions, *, calibrated: bool
) -> Labelled:
    """The pictures of ``load_labelled``, of any network that has classes.

    calibrated: with those that the model's grids were measured on, which are found by their pixels;
    the notes say what is known of them. Raises InputError where none are left.
    """
    if not isinstance(spec, str | Path):
        what = f"labelled pictures of the type {type(spec).__name__}"
        raise InputError(Problem(what, "give a folder of class folders, or a .csv of path,class"))
    outputs = math.prod(model.tensors[model.output].shape)
    found = load_labelled(str(spec), model.preprocess, model.labels, outputs, limit=limit)
    frames, labels = found.frames, found.frames.labels
    assert labels is not None
    notes, keep = list(frames.notes), np.ones(len(frames), dtype=bool)
    known = model.meta.get("calibration_frames")
    if not isinstance(known, list | tuple):
        notes.append("the model does not say which pictures it was calibrated on")
        known = ()
    digests = frame_digests(frames.images)
    notes += _again(digests, frames.names, labels)
    seen = np.isin(digests, list(known))
    if seen.any() and calibrated:
        notes.append(f"{int(seen.sum()):,} of the pictures calibrated the model, and are counted")
    elif seen.any():
        keep = ~seen
        notes.append(f"{int(seen.sum()):,} pictures that calibrated the model are left out")
    if not keep.any():
        what = f"all {len(frames):,} pictures calibrated the model"
        remedy = "give others, or --with-calibration to count them all the same"
        raise InputError(Problem(what, remedy, str(spec)))
    names = tuple(name for name, own in zip(frames.names, keep, strict=True) if own)
    kept = Frames(frames.images[keep], labels[keep], names)
    samples = FrameSamples(model, kept, options=replace(options, clocked=False, timeline=None))
    return Labelled(samples, labels[keep], found.classes, names, int((~keep).sum()), tuple(notes))


def _again(
    digests: Sequence[str], names: Sequence[str], labels: NDArray[np.int64]
) -> Iterator[str]:
    """Lines on pictures that are there several times, under one class or several."""
    first: dict[str, int] = {}
    again = apart = 0
    example = ""
    for n, own in enumerate(digests):
        before = first.setdefault(own, n)
        again += before != n
        if labels[before] != labels[n]:
            apart += 1
            example = example or f"{names[before]} and {names[n]}"
    if again:
        yield f"{again:,} of the pictures are the same as others, and are counted"
    if apart:
        yield f"{apart:,} of them are of another class there, such as {example}"
