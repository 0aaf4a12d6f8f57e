"""Encoder layers as programs of the processing unit: what they are, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shiftforge.errors import Problem
from shiftforge.generator.edgebert.command import Command, Tensor
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign

__all__ = [
    "BIASED",
    "MATRICES",
    "LayerNumbers",
    "LayerPlan",
    "LayerShape",
    "Place",
    "Results",
]

MATRICES = ("q", "k", "v", "output", "ffn1", "ffn2")
BIASED = ("input", "q", "k", "v", "probabilities", "context", "attention_output", "add1", "norm1",
          "gelu", "ffn2", "add2", "norm2")  # fmt: skip
"""The tensors of AF codes, each with an exponent bias of its own."""
LARGEST_DIFFERENCE = 16


@dataclass(frozen=True)
class LayerShape:
    """length: tokens. hidden: columns of the input. heads of hidden / heads columns. ffn: columns
    of the inner product."""

    length: int = 128
    hidden: int = 768
    heads: int = 12
    ffn: int = 3072

    @property
    def width(self) -> int:
        """Columns of a head."""
        return self.hidden // self.heads

    @property
    def scale_log2(self) -> int:
        """log2 of sqrt(width)."""
        return (self.width.bit_length() - 1) // 2

    def problems(self, lanes: int) -> list[Problem]:
        """Sizes that no unit of so many lanes takes."""
        found = []

        def check(good: bool, what: str, remedy: str) -> None:
            if not good:
                found.append(Problem(what, remedy, "shape"))

        sizes = (self.length, self.hidden, self.heads, self.ffn)
        if min(sizes) < 1:
            return [Problem(f"sizes {sizes}", "give sizes of at least 1", "shape")]
        width = self.width
        what = f"{self.heads} heads in {self.hidden} columns"
        if width * self.heads != self.hidden:
            return [Problem(what, "use as many heads as divide the columns evenly", "shape")]
        check(
            width == 1 << 2 * self.scale_log2,
            f"heads of {width} columns",
            "use a power of 4 (the scale 1/sqrt(width) is a shift)",
        )
        check(
            width % lanes == 0 and width % 8 == 0,
            f"heads of {width} columns on {lanes} lanes",
            "use heads that are multiples of the lanes and of 8",
        )
        return found


@dataclass(frozen=True)
class LayerNumbers:
    """biases: the exponent bias of each tensor of BIASED. spans: whether the heads have span
    masks. skipped: heads whose mask is 0 throughout; their context is 0 without a command."""

    biases: Mapping[str, int]
    norm1: NormNumbers = field(default_factory=NormNumbers)
    norm2: NormNumbers = field(default_factory=NormNumbers)
    spans: bool = False
    skipped: frozenset[int] = frozenset()

    def problems(self, where: str) -> list[Problem]:
        """Missing biases, and sums of tensors too far apart."""
        missing = [name for name in BIASED if name not in self.biases]
        found = [Problem(f"no exponent bias for {name}", "give one", where) for name in missing]
        if missing:
            return found
        for name, value in self.biases.items():
            if not -64 <= value <= 63:
                found.append(Problem(f"exponent bias {value} of {name}", "use -64 to 63", where))
        for left, right in (("input", "attention_output"), ("norm1", "ffn2")):
            a, b = self.biases[left], self.biases[right]
            if abs(a - b) > LARGEST_DIFFERENCE:
                found.append(
                    Problem(
                        f"exponent biases {a} of {left} and {b} of {right}",
                        f"they may differ by {LARGEST_DIFFERENCE}",
                        where,
                    )
                )
        return found


@dataclass(frozen=True)
class Place:
    """Beat addresses of what all layers share.

    weights: by name of MATRICES. tables: "norm1", "norm2", and "span 0" ... of the heads, or
    "span" of all heads where there is no mask.
    """

    weights: Mapping[str, Tensor]
    tables: Mapping[str, int]


@dataclass(frozen=True)
class Results:
    """Where one layer's tensors and parameters lie.

    tensors: "input" and every stage that reaches memory (``vt`` is (hidden, length); the
    ``probabilities`` are one part a head). params: by name of MATRICES, "scores" and "context".
    """

    numbers: LayerNumbers
    tensors: Mapping[str, Tensor]
    params: Mapping[str, int]


@dataclass(frozen=True)
class LayerPlan:
    """A program of one or more layers with the same weights, and its memory map.

    program: beat address of the commands. results: first beat that a run writes. beats: size of
    the image. apart: whether every layer keeps its stages (otherwise only the last one's are left).
    """

    design: UnitDesign
    shape: LayerShape
    place: Place
    layers: tuple[Results, ...]
    commands: tuple[Command, ...]
    program: int
    results: int
    beats: int
    apart: bool

    @property
    def config(self) -> UnitConfig:
        """The matrix unit."""
        return self.design.config

    @property
    def sfu(self) -> SfuConfig:
        """The special functions."""
        return self.design.functions

    @property
    def ideal_cycles(self) -> int:
        """Of all products."""
        return sum(command.ideal_cycles for command in self.commands)
