"""What a user says of a network's input in place of what its source says.

Nothing here needs PyTorch, so that a bad value is refused before it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, get_args

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import read_text
from shiftforge.quant.capture.carried import NORMALISED
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.graph.resizing import ResizeChoice, chosen_resize, describe

__all__ = ["NOTHING", "Overrides", "labels_of"]

_MOST_SIDE = 1 << 16
_MOST_LABELS_BYTES = 16 << 20


def labels_of(labels: Any) -> tuple[str, ...] | None:
    """Class names: given one by one, or the path of a text that has one a line. Raises InputError.

    None stays None.
    """
    if labels is None:
        return None
    if isinstance(labels, str | Path):
        lines = read_text(labels, most=_MOST_LABELS_BYTES, remedy="give a text, a label a line")
        names = tuple(line.strip() for line in lines.splitlines())
        if not names or not all(names):
            what = "no labels in it" if not names else f"line {names.index('') + 1} is empty"
            raise InputError(Problem(what, "give a label a line", str(labels)))
        return names
    good = isinstance(labels, Sequence) and not isinstance(labels, bytes | bytearray)
    if not good or not labels or not all(isinstance(name, str) and name for name in labels):
        what = f"labels are of the type {type(labels).__name__}"
        raise InputError(Problem(what, "give class names, or a file that has one a line", "labels"))
    return tuple(labels)


@dataclass(frozen=True)
class Overrides:
    """None where the source's own is kept.

    resolution: side of a square input. input_shape: (C, H, W) of a module or factory. mean, std:
    of every channel, pixels being from 0 to 1 before. labels: see ``labels_of``. resize: how
    pictures come to the network's size, "squash", or "crop", which keeps proportions and takes the
    centre. settle_batchnorm: frames, as ``--calib`` takes them, that batch norms take their
    statistics from in place of those that they have.
    """

    resolution: int | None = None
    input_shape: tuple[int, int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels: Any = None
    resize: str | None = None
    settle_batchnorm: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Overrides:
        """From values by name, as Python's callers give them. Raises InputError."""
        made = cls(**given)
        Problems(made.problems()).stop()
        size, shape = made.resolution, made.input_shape
        return replace(
            made,
            resolution=None if size is None else int(size),
            input_shape=None if shape is None else (int(shape[0]), int(shape[1]), int(shape[2])),
            mean=None if made.mean is None else tuple(float(v) for v in made.mean),
            std=None if made.std is None else tuple(float(v) for v in made.std),
            labels=labels_of(made.labels),
        )

    def problems(self) -> list[Problem]:
        """What no network could be taken with."""
        found = Problems()
        shape, size = self.input_shape, self.resolution
        if size is not None and not _side(size):
            what = f"resolution {size!r} is no side of an image"
            found.append(Problem(what, f"use a whole number from 1 to {_MOST_SIDE:,}"))
        if shape is not None and not (_many(shape) and len(shape) == 3 and all(map(_side, shape))):
            found.append(Problem(f"input_shape is {shape!r}", "give C,H,W, such as 3,224,224"))
        elif shape is not None and size is not None:
            found.append(Problem("input_shape and resolution", "leave one of them out"))
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is None:
                continue
            if not _many(values) or not values or not all(map(_finite, values)):
                remedy = "give a finite number for every channel, such as 0.5,0.5,0.5"
                found.append(Problem(f"{name} is {values!r}", remedy))
            elif not all(NORMALISED[name][0] <= v <= NORMALISED[name][1] for v in values):
                least, most = NORMALISED[name]
                remedy = f"give numbers from {least:g} to {most:g}, for pixels of 0 to 1"
                found.append(Problem(f"{name} is {values!r}", remedy))
        if _many(self.mean) and _many(self.std) and len(self.mean or ()) != len(self.std or ()):
            what = f"mean of {len(self.mean or ())} channels and std of {len(self.std or ())}"
            found.append(Problem(what, "give both the network's channels"))
        named = isinstance(self.resize, str) and self.resize in get_args(ResizeChoice)
        if self.resize is not None and not named:
            found.append(Problem(f"unknown way to resize {self.resize!r}", "use squash or crop"))
        found.check(labels_of, self.labels)
        if self.settle_batchnorm is not None and not isinstance(self.settle_batchnorm, str):
            what = f"settle_batchnorm is of the type {type(self.settle_batchnorm).__name__}"
            found.append(Problem(what, "give what --calib takes"))
        return found

    def apply(self, graph: FloatGraph) -> FloatGraph:
        """The network with this normalisation and these labels. Raises InputError.

        Sizes are the loader's to apply: the network is traced with them.
        """
        problems, taken = Problems(), graph.preprocess
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != taken.channels:
                what = f"{name} of {len(values)} channels; the network takes {taken.channels}"
                problems.append(Problem(what, "give one number for each", graph.name))
        labels, outputs = labels_of(self.labels), graph.shapes[graph.output][0]
        if labels is not None and len(labels) != outputs:
            what = f"{len(labels)} labels for {outputs} outputs"
            problems.append(Problem(what, "give one label for each output, or none", graph.name))
        problems.stop()
        taken = chosen_resize(taken, self.resize)
        preprocess = replace(taken, mean=self.mean or taken.mean, std=self.std or taken.std)
        return replace(graph, preprocess=preprocess, labels=labels or graph.labels)

    def told(self, graph: FloatGraph) -> str:
        """Which size and normalisation a network has been taken with, and what the user set."""
        taken = graph.preprocess
        own = [
            f"--{name.replace('_', '-')}"
            for name in (
                "resolution",
                "input_shape",
                "mean",
                "std",
                "labels",
                "resize",
                "settle_batchnorm",
            )
            if getattr(self, name) is not None
        ]
        mean, std = (", ".join(f"{v:g}" for v in values) for values in (taken.mean, taken.std))
        size = f"{taken.channels}x{taken.height}x{taken.width}"
        told = f"input {size}, pixels (p/255 - mean) / std with mean {mean} and std {std}; "
        told += describe(taken)
        return told + (f" ({', '.join(own)})" if own else "")


NOTHING = Overrides()


def _many(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _side(value: Any) -> bool:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    return whole and 1 <= int(value) <= _MOST_SIDE


def _finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
