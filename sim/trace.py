"""Traces: what a network computed, stage by stage, and the first difference between two of them.

One form for every target and every checkpoint. A trace is a sequence of stages in the order of
computation; values are read when they are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed

__all__ = [
    "Comparison",
    "Divergence",
    "Groups",
    "Stage",
    "Trace",
    "compare",
    "divergence_text",
    "first_divergence",
    "outcomes",
]


@dataclass(frozen=True)
class Groups:
    """Values of a stage belong to groups along an axis, ``width`` neighbours each: attention heads
    in the columns of a projection. The first difference is then told of the first group."""

    name: str
    axis: int
    width: int = 1


@dataclass(frozen=True, eq=False)
class Stage:
    """Values with a name.

    axes: what the indices of the values count. layer: from 0, None outside the layers. sample: from
    0, None where an axis counts the samples. read: gives the values, integers for an exact
    comparison. label: where this is, in words; node, source: the operator that computes it, and the
    user's module that it comes from. start: what index 0 of the first axis is called. counted: how
    many values a comparison of this stage counts, None for all.
    """

    name: str
    axes: tuple[str, ...]
    read: Callable[[], NDArray[Any]]
    layer: int | None = None
    sample: int | None = None
    label: str = ""
    node: str = ""
    source: str = ""
    groups: Groups | None = None
    counted: int | None = None
    start: int = 0

    @property
    def key(self) -> tuple[int | None, int | None, str]:
        """Sample, layer and name."""
        return self.sample, self.layer, self.name


Trace = Sequence[Stage]


@dataclass(frozen=True)
class Divergence:
    """The first value that differs in a stage.

    at: (axis, index) of each axis; () where the shapes differ, got and want are sizes then. got,
    want: the values. differing, total: of the stage. groups: those in which values differ.
    label: the stage in words; source: the user's module that it comes from, where known.
    """

    stage: str
    at: tuple[tuple[str, int], ...]
    got: int
    want: int
    differing: int
    total: int
    layer: int | None = None
    sample: int | None = None
    label: str = ""
    node: str = ""
    source: str = ""
    group_name: str = ""
    groups: tuple[int, ...] = ()

    def index(self, axis: str) -> int:
        """The position along an axis. Raises KeyError for an axis that the stage has not."""
        return dict(self.at)[axis]

    @property
    def place(self) -> str:
        """The position in words, the group first where it is not an axis."""
        found = [f"{axis} {index}" for axis, index in self.at]
        if self.groups and self.group_name not in dict(self.at):
            found.insert(0, f"{self.group_name} {self.groups[0]}")
        return ", ".join(found)

    def __str__(self) -> str:
        """Where it is, and both values."""
        where = self.label or self.stage
        if not self.at:
            return f"{where}: {self.got}, expected {self.want}"
        among = ""
        if self.groups:
            plural = "s" if len(self.groups) > 1 else ""
            among = f" in {self.group_name}{plural} {', '.join(map(str, self.groups))}"
        return (
            f"{where}: {self.differing:,} of {self.total:,} values differ{among}, the first at "
            f"{self.place}: {self.got}, expected {self.want}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form; every axis is a key of its own as well."""
        return {
            "stage": self.stage,
            "layer": self.label or self.stage,
            "sample": self.sample,
            "node": self.node,
            "source": self.source,
            "at": dict(self.at),
            **dict(self.at),
            "got": self.got,
            "want": self.want,
            # Their names up to version 0.1, for one release more.
            "tensor": self.stage,
            "value_a": self.want,
            "value_b": self.got,
            "differing": self.differing,
            "total": self.total,
        }


@dataclass(frozen=True)
class Comparison:
    """values: that were compared. differences: the first of every stage that differs, in order."""

    values: int
    differences: tuple[Divergence, ...]

    @property
    def mismatches(self) -> int:
        """Values that differ."""
        return sum(found.differing for found in self.differences)


def compare(want: Trace, got: Trace) -> Comparison:
    """Every stage that both traces have, in the order of ``want``.

    Raises CheckFailed where that is no value at all: what was not compared does not agree.
    """
    values, found = 0, []
    for _, count, one in outcomes(want, got):
        values += count
        if one is not None:
            found.append(one)
    if not values:
        raise CheckFailed("nothing was compared")
    return Comparison(values, tuple(found))


def outcomes(want: Trace, got: Trace) -> Iterator[tuple[Stage, int, Divergence | None]]:
    """Every stage that both traces have, how many of its values count, and what differs there."""
    for stage, other in _common(want, got):
        right, left = np.asarray(stage.read()), np.asarray(other.read())
        count = right.size if stage.counted is None else stage.counted
        yield stage, count, _divergence(stage, left, right)


def first_divergence(want: Trace, got: Trace) -> Divergence | None:
    """The first value that differs in the first stage that differs; None where all agree.

    Stages after it are not read. Raises CheckFailed where there is nothing to compare.
    """
    values = 0
    for stage, other in _common(want, got):
        right, left = np.asarray(stage.read()), np.asarray(other.read())
        one = _divergence(stage, left, right)
        if one is not None:
            return one
        values += right.size
    if not values:
        raise CheckFailed("nothing was compared")
    return None


def divergence_text(found: Divergence | None, a: str, b: str) -> str:
    """One sentence on what was found between checkpoints a, which has ``want``, and b."""
    if found is None:
        return f"{a} and {b} agree in every element compared"
    return f"{a} and {b} first differ in {found}"


def _common(want: Trace, got: Trace) -> Iterator[tuple[Stage, Stage]]:
    others = {stage.key: stage for stage in got}
    for stage in want:
        if stage.key in others:
            yield stage, others[stage.key]


def _divergence(stage: Stage, got: NDArray[Any], want: NDArray[Any]) -> Divergence | None:
    if got.shape != want.shape:
        name, label = f"shape of {stage.name}", stage.label
        if label.endswith(stage.name):
            label = label.removesuffix(stage.name) + name
        return replace(_found(stage, (), got.size, want.size, want.size), stage=name, label=label)
    apart = np.not_equal(got, want)
    count = int(np.count_nonzero(apart))
    if not count:
        return None
    among: tuple[int, ...] = ()
    if stage.groups is None:
        first = np.unravel_index(int(apart.argmax()), apart.shape)
    else:
        places = np.argwhere(apart)
        own = places[:, stage.groups.axis] // stage.groups.width
        among = tuple(int(i) for i in np.unique(own))
        # A row holds several groups: the first value is the first group's.
        first = tuple(places[own == among[0]][0])
    at = tuple(int(i) for i in first)
    found = _found(stage, at, int(got[at]), int(want[at]), count)
    return replace(found, total=apart.size, groups=among)


def _found(stage: Stage, at: tuple[int, ...], got: int, want: int, count: int) -> Divergence:
    named = (at[0] + stage.start, *at[1:]) if at else at
    return Divergence(
        stage=stage.name,
        at=tuple(zip(stage.axes if at else (), named, strict=True)),
        got=got,
        want=want,
        differing=count,
        total=count,
        layer=stage.layer,
        sample=stage.sample,
        label=stage.label,
        node=stage.node,
        source=stage.source,
        group_name="" if stage.groups is None else stage.groups.name,
    )
